//! An event of a simulated world, as a source would send it: with texts.

use crate::event::{
    Action, Body, Country, Currency, Erase, Event, Id, IdKey, IdKind, Interaction, Item, KycRisk, Label, LabelSource, Money, Payment,
    PaymentResult, PaymentStatus, Profile, Session, Timestamp, Transfer, Verdict,
};
use std::io::Write;

/// One event, with what a test may want to know of how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    pub id: String,
    pub time: Timestamp,
    pub body: Text,
    /// What is odd about it; no part of what is sent.
    pub oddity: Oddity,
}

/// In which way an event is out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oddity {
    None,
    /// Seconds behind the clock.
    Disorder,
    /// Minutes to days behind the clock.
    Late,
    /// Ahead of the clock by more than anybody's clock is wrong.
    FutureDated,
    /// So far behind the clock that it may have been judged before.
    TooOld,
    /// Sent again, the same.
    Duplicate,
    /// Sent again, with other content.
    Conflict,
    /// A label or result for an event that nobody sent.
    UnknownTarget,
}

/// The fields of an event, by type; see [`crate::event::Body`] for what they mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    Payment {
        user: String,
        merchant: String,
        device: Option<String>,
        card: Option<String>,
        ip: Option<String>,
        amount: i64,
        currency: &'static str,
        mcc: Option<u16>,
        country: Option<&'static str>,
        channel: Option<&'static str>,
        session: Option<String>,
        items: Vec<String>,
    },
    PaymentResult {
        target: String,
        status: PaymentStatus,
        amount: Option<i64>,
        reason: Option<&'static str>,
        user: Option<String>,
    },
    Transfer {
        from: Option<String>,
        to: Option<String>,
        amount: i64,
        currency: &'static str,
        from_bank: Option<&'static str>,
        to_bank: Option<&'static str>,
        format: Option<&'static str>,
        user: Option<String>,
        device: Option<String>,
    },
    Session {
        user: String,
        device: Option<String>,
        ip: Option<String>,
        action: Option<&'static str>,
        session: Option<String>,
    },
    Interaction {
        user: String,
        item: String,
        action: Action,
        merchant: Option<String>,
        dwell_ms: Option<u32>,
        surface: Option<&'static str>,
        session: Option<String>,
        device: Option<String>,
        experiment: Option<&'static str>,
        /// 64ths, so that the decimal text has the same value as any float.
        propensity: Option<u8>,
    },
    Item {
        item: String,
        merchant: Option<String>,
        category: Option<&'static str>,
        brand: Option<&'static str>,
        price: Option<i64>,
        title: Option<String>,
    },
    Label {
        target: String,
        label: Verdict,
        source: LabelSource,
        scenario: Option<&'static str>,
        user: Option<String>,
        from: Option<String>,
    },
    Profile {
        user: String,
        name: Option<String>,
        country: Option<&'static str>,
        consent_personalization: Option<bool>,
        kyc_risk: Option<KycRisk>,
    },
    Erase {
        user: String,
    },
}

/// The currency of the catalogue's prices.
const PRICE_CURRENCY: &str = "EUR";

impl Happening {
    /// The event as ingress would read it: texts hashed under `key`, targets not resolved.
    pub fn to_event(&self, key: &IdKey) -> Event {
        let id = |kind, text: &str| key.id(kind, text.as_bytes());
        let some = |kind, text: &Option<String>| text.as_deref().map(|text| id(kind, text));
        let word = |text: Option<&str>| text.map(|text| id(IdKind::Symbol, text));
        let body = match &self.body {
            Text::Payment { user, merchant, device, card, ip, amount, currency, mcc, country, channel, session, items } => {
                Body::Payment(Payment {
                    user: id(IdKind::User, user),
                    merchant: id(IdKind::Merchant, merchant),
                    device: some(IdKind::Device, device),
                    card: some(IdKind::Card, card),
                    ip: some(IdKind::Ip, ip),
                    amount: money(*amount, currency),
                    mcc: *mcc,
                    country: country.map(code),
                    channel: word(*channel),
                    session: some(IdKind::Session, session),
                    items: items.iter().map(|item| id(IdKind::Item, item)).collect::<Box<[Id]>>(),
                })
            }
            Text::PaymentResult { target, status, amount, reason, user } => Body::PaymentResult(PaymentResult {
                target: id(IdKind::Event, target),
                status: *status,
                amount_minor: *amount,
                reason: word(*reason),
                user: some(IdKind::User, user),
                resolved: None,
            }),
            Text::Transfer { from, to, amount, currency, from_bank, to_bank, format, user, device } => Body::Transfer(Transfer {
                from: some(IdKind::Account, from),
                to: some(IdKind::Account, to),
                amount: money(*amount, currency),
                from_bank: from_bank.map(|bank| id(IdKind::Bank, bank)),
                to_bank: to_bank.map(|bank| id(IdKind::Bank, bank)),
                format: word(*format),
                user: some(IdKind::User, user),
                device: some(IdKind::Device, device),
            }),
            Text::Session { user, device, ip, action, session } => Body::Session(Session {
                user: id(IdKind::User, user),
                device: some(IdKind::Device, device),
                ip: some(IdKind::Ip, ip),
                action: word(*action),
                session: some(IdKind::Session, session),
            }),
            Text::Interaction { user, item, action, merchant, dwell_ms, surface, session, device, experiment, propensity } => {
                Body::Interaction(Interaction {
                    user: id(IdKind::User, user),
                    item: id(IdKind::Item, item),
                    action: *action,
                    merchant: some(IdKind::Merchant, merchant),
                    dwell_ms: *dwell_ms,
                    surface: word(*surface),
                    session: some(IdKind::Session, session),
                    device: some(IdKind::Device, device),
                    experiment: experiment.map(|text| id(IdKind::Experiment, text)),
                    propensity: propensity.map(|share| f32::from(share) / 64.0),
                })
            }
            Text::Item { item, merchant, category, brand, price, title } => Body::Item(Item {
                item: id(IdKind::Item, item),
                merchant: some(IdKind::Merchant, merchant),
                category: word(*category),
                brand: word(*brand),
                price: price.map(|minor| money(minor, PRICE_CURRENCY)),
                title: some(IdKind::Name, title),
            }),
            Text::Label { target, label, source, scenario, user, from } => Body::Label(Label {
                target: id(IdKind::Event, target),
                verdict: *label,
                source: *source,
                scenario: word(*scenario),
                user: some(IdKind::User, user),
                from: some(IdKind::Account, from),
                resolved: None,
            }),
            Text::Profile { user, name, country, consent_personalization, kyc_risk } => Body::Profile(Profile {
                user: id(IdKind::User, user),
                name: some(IdKind::Name, name),
                country: country.map(code),
                consent_personalization: *consent_personalization,
                kyc_risk: *kyc_risk,
            }),
            Text::Erase { user } => Body::Erase(Erase { user: id(IdKind::User, user) }),
        };
        Event { id: id(IdKind::Event, &self.id), time: self.time, body }
    }

    /// Appends the event as a JSON object of the event contract, without a line's end.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut line = Line { out };
        line.out.push(b'{');
        line.text("id", &self.id);
        line.text("type", self.body.kind_name());
        line.name("time");
        write!(line.out, "\"{}\"", self.time).expect("memory takes all bytes");
        match &self.body {
            Text::Payment { user, merchant, device, card, ip, amount, currency, mcc, country, channel, session, items } => {
                line.text("user", user);
                line.text("merchant", merchant);
                line.some("device", device);
                line.some("card", card);
                line.some("ip", ip);
                line.number("amount", Some(*amount));
                line.text("currency", currency);
                line.number("mcc", *mcc);
                line.some("country", country);
                line.some("channel", channel);
                line.some("session", session);
                if !items.is_empty() {
                    line.name("items");
                    for (index, item) in items.iter().enumerate() {
                        line.out.push(if index == 0 { b'[' } else { b',' });
                        line.quoted(item);
                    }
                    line.out.push(b']');
                }
            }
            Text::PaymentResult { target, status, amount, reason, user } => {
                line.text("target", target);
                line.text("status", status.name());
                line.number("amount", *amount);
                line.some("reason", reason);
                line.some("user", user);
            }
            Text::Transfer { from, to, amount, currency, from_bank, to_bank, format, user, device } => {
                line.some("from", from);
                line.some("to", to);
                line.number("amount", Some(*amount));
                line.text("currency", currency);
                line.some("from_bank", from_bank);
                line.some("to_bank", to_bank);
                line.some("format", format);
                line.some("user", user);
                line.some("device", device);
            }
            Text::Session { user, device, ip, action, session } => {
                line.text("user", user);
                line.some("device", device);
                line.some("ip", ip);
                line.some("action", action);
                line.some("session", session);
            }
            Text::Interaction { user, item, action, merchant, dwell_ms, surface, session, device, experiment, propensity } => {
                line.text("user", user);
                line.text("item", item);
                line.text("action", action.name());
                line.some("merchant", merchant);
                line.number("dwell_ms", *dwell_ms);
                line.some("surface", surface);
                line.some("session", session);
                line.some("device", device);
                line.some("experiment", experiment);
                // Exact: a 64th has six decimals.
                line.number("propensity", propensity.map(|share| f64::from(share) / 64.0));
            }
            Text::Item { item, merchant, category, brand, price, title } => {
                line.text("item", item);
                line.some("merchant", merchant);
                line.some("category", category);
                line.some("brand", brand);
                if let Some(price) = price {
                    line.number("price", Some(*price));
                    line.text("currency", PRICE_CURRENCY);
                }
                line.some("title", title);
            }
            Text::Label { target, label, source, scenario, user, from } => {
                line.text("target", target);
                line.text("label", label.name());
                line.text("source", source.name());
                line.some("scenario", scenario);
                line.some("user", user);
                line.some("from", from);
            }
            Text::Profile { user, name, country, consent_personalization, kyc_risk } => {
                line.text("user", user);
                line.some("name", name);
                line.some("country", country);
                line.number("consent_personalization", *consent_personalization);
                line.some("kyc_risk", &kyc_risk.map(KycRisk::name));
            }
            Text::Erase { user } => line.text("user", user),
        }
        out.push(b'}');
    }
}

impl Text {
    /// The word in `type`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Text::Payment { .. } => "payment",
            Text::PaymentResult { .. } => "payment_result",
            Text::Transfer { .. } => "transfer",
            Text::Session { .. } => "session",
            Text::Interaction { .. } => "interaction",
            Text::Item { .. } => "item",
            Text::Label { .. } => "label",
            Text::Profile { .. } => "profile",
            Text::Erase { .. } => "erase",
        }
    }
}

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: Currency::parse(currency).expect("worlds pay in currencies of ISO 4217") }
}

fn code(country: &str) -> Country {
    Country(country.as_bytes().try_into().expect("worlds know countries by two letters"))
}

/// A JSON object that is being written.
struct Line<'o> {
    out: &'o mut Vec<u8>,
}

impl Line<'_> {
    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        write!(self.out, "\"{name}\":").expect("memory takes all bytes");
    }

    fn quoted(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.out, text).expect("memory takes all bytes");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.quoted(text);
    }

    fn some(&mut self, name: &str, text: &Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.text(name, text.as_ref());
        }
    }

    fn number(&mut self, name: &str, number: Option<impl std::fmt::Display>) {
        if let Some(number) = number {
            self.name(name);
            write!(self.out, "{number}").expect("memory takes all bytes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: Text) -> String {
        let happening = Happening { id: "p1".into(), time: Timestamp(1_500_000), body, oddity: Oddity::None };
        let mut out = Vec::new();
        happening.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_holds_what_is_there_and_nothing_else() {
        let payment = Text::Payment {
            user: "u\"1\"".into(),
            merchant: "m".into(),
            device: None,
            card: None,
            ip: None,
            amount: 12,
            currency: "EUR",
            mcc: Some(5411),
            country: None,
            channel: Some("web"),
            session: None,
            items: vec!["a".into(), "b".into()],
        };
        let expected = concat!(
            r#"{"id":"p1","type":"payment","time":"1970-01-01T00:00:01.5Z","user":"u\"1\"","merchant":"m","amount":12,"#,
            r#""currency":"EUR","mcc":5411,"channel":"web","items":["a","b"]}"#
        );
        assert_eq!(line(payment), expected);
        let interaction = Text::Interaction {
            user: "u".into(),
            item: "i".into(),
            action: Action::View,
            merchant: None,
            dwell_ms: Some(3),
            surface: None,
            session: None,
            device: None,
            experiment: None,
            propensity: Some(1),
        };
        assert!(line(interaction).ends_with(r#""action":"view","dwell_ms":3,"propensity":0.015625}"#));
    }
}
