//! Equal content, equal fingerprint: how an id that comes again is told from one that is used twice.

use super::{Body, Event, Money};

impl Event {
    /// 64 bits over the known fields of the event, its id left out, and without what the runtime resolved. Ids in it are keyed hashes
    /// already, so a plain mixer (the finaliser of splitmix64, Steele et al. 2014) is enough. Part of the ground state: it must
    /// never change between versions.
    pub fn fingerprint(&self) -> u64 {
        let mut mix = Mixer(self.body.kind() as u64 ^ 0x5765_6972);
        mix.word(self.time.0 as u64);
        match &self.body {
            Body::Payment(p) => {
                mix.id(Some(p.user)).id(Some(p.merchant)).id(p.device).id(p.card).id(p.ip).money(p.amount);
                mix.word(p.mcc.map_or(0, |mcc| 1 + u64::from(mcc)));
                mix.word(p.country.map_or(0, |c| u64::from(u16::from_le_bytes(c.0))));
                mix.id(p.channel).id(p.session).word(p.items.len() as u64);
                for item in &p.items {
                    mix.id(Some(*item));
                }
            }
            Body::PaymentResult(r) => {
                mix.id(Some(r.target)).word(r.status as u64).word(r.amount_minor.is_some() as u64);
                mix.word(r.amount_minor.unwrap_or(0) as u64).id(r.reason).id(r.user);
            }
            Body::Transfer(t) => {
                mix.id(t.from).id(t.to).money(t.amount).id(t.from_bank).id(t.to_bank).id(t.format).id(t.user).id(t.device);
            }
            Body::Session(s) => {
                mix.id(Some(s.user)).id(s.device).id(s.ip).id(s.action).id(s.session);
            }
            Body::Interaction(i) => {
                mix.id(Some(i.user)).id(Some(i.item)).word(i.action as u64).id(i.merchant);
                mix.word(i.dwell_ms.map_or(0, |ms| 1 + u64::from(ms))).id(i.surface).id(i.session).id(i.device).id(i.experiment);
                mix.word(i.propensity.map_or(0, |p| 1 + u64::from(p.to_bits())));
            }
            Body::Item(i) => {
                mix.id(Some(i.item)).id(i.merchant).id(i.category).id(i.brand).word(i.price.is_some() as u64);
                if let Some(price) = i.price {
                    mix.money(price);
                }
                mix.id(i.title);
            }
            Body::Label(l) => {
                mix.id(Some(l.target)).word(l.verdict as u64).word(l.source as u64).id(l.scenario).id(l.user).id(l.from);
            }
            Body::Profile(p) => {
                mix.id(Some(p.user)).id(p.name).word(p.country.map_or(0, |c| u64::from(u16::from_le_bytes(c.0))));
                mix.word(p.consent_personalization.map_or(0, |c| 1 + c as u64)).word(p.kyc_risk.map_or(0, |k| k as u64));
            }
            Body::Erase(e) => {
                mix.id(Some(e.user));
            }
        }
        mix.0
    }
}

struct Mixer(u64);

impl Mixer {
    fn word(&mut self, word: u64) -> &mut Mixer {
        let mut z = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = z ^ (z >> 31);
        self
    }

    // Half of an id's bits tell two ids apart here: a conflict that is missed needs two ids with equal halves under one event id.
    fn id(&mut self, id: Option<super::Id>) -> &mut Mixer {
        self.word(id.map_or(0, super::Id::low))
    }

    fn money(&mut self, money: Money) -> &mut Mixer {
        let [a, b, c] = money.currency.bytes();
        self.word(money.minor as u64).word(u64::from(u32::from_le_bytes([a, b, c, 0])))
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn every_field_counts_and_the_id_does_not() {
        let id = |n: u128| Id::from_bits(n);
        let session = Session { user: id(1), device: Some(id(2)), ip: None, action: None, session: None };
        let event = Event { id: id(9), time: Timestamp(5), body: Body::Session(session.clone()) };
        let mut other = event.clone();
        other.id = id(10);
        assert_eq!(event.fingerprint(), other.fingerprint());
        other.time = Timestamp(6);
        assert_ne!(event.fingerprint(), other.fingerprint());
        let moved = Session { device: None, ip: Some(id(2)), ..session };
        assert_ne!(event.fingerprint(), Event { body: Body::Session(moved), ..event.clone() }.fingerprint());
    }
}
