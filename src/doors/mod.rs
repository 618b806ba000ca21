//! Who may come in: addresses, keys and their scopes, certificates, rates.
