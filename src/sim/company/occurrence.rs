//! What happens in the world, as a value without texts of its own, and as a line of JSON.

use super::name::Name;
use super::truth::Trace;
use crate::event::{Action, KycRisk, LabelSource, PaymentStatus, Timestamp, Verdict};

/// The most items of a payment here.
pub const BASKET_MAX: usize = 4;

/// The id of an event: a letter for its type and its number in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName {
    pub letter: u8,
    pub number: u64,
}

/// One event of the company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub id: EventName,
    /// Whole milliseconds.
    pub time: Timestamp,
    pub act: Act,
    /// Which attack it belongs to; no part of what is sent.
    pub trace: Option<Trace>,
}

/// The fields of an event, by type; see [`crate::event::Body`] for what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // it lives on the stack and is written at once
pub enum Act {
    Payment(Paying),
    PaymentResult { target: EventName, status: PaymentStatus, amount: Option<i64>, reason: Option<&'static str>, user: Name },
    Transfer(Sending),
    Session { user: Name, device: Option<Name>, ip: Option<u32>, action: &'static str, session: Name },
    Interaction(Touch),
    Item { item: Name, category: &'static str, brand: &'static str, price: i64, title: [&'static str; 2] },
    Label { target: EventName, verdict: Verdict, source: LabelSource, scenario: Option<&'static str> },
    Profile { user: Name, country: &'static str, consent: bool, kyc_risk: KycRisk },
}

/// A payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paying {
    pub user: Name,
    pub merchant: Name,
    pub device: Option<Name>,
    pub card: Option<Name>,
    pub ip: Option<u32>,
    pub amount: i64,
    pub currency: &'static str,
    pub mcc: u16,
    /// Where the payer is.
    pub country: &'static str,
    pub channel: &'static str,
    pub session: Option<Name>,
    pub items: Basket,
}

/// A transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    pub from: Option<Name>,
    pub to: Option<Name>,
    pub amount: i64,
    pub currency: &'static str,
    pub from_bank: Option<Bank>,
    pub to_bank: Option<Bank>,
    pub format: &'static str,
    pub user: Option<Name>,
    pub device: Option<Name>,
}

/// Something done with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub user: Name,
    pub item: Name,
    pub action: Action,
    pub merchant: Name,
    pub dwell_ms: Option<u32>,
    pub surface: &'static str,
    pub session: Name,
    pub device: Option<Name>,
    /// The experiment that showed it, and how likely it was to be shown, in 64ths.
    pub shown: Option<(&'static str, u8)>,
}

/// A few items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Basket {
    items: [Option<Name>; BASKET_MAX],
}

/// A bank: one of a handful in each country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank {
    pub country: &'static str,
    pub number: u8,
}

impl Basket {
    /// Adds an item; a full basket stays as it is.
    pub fn put(&mut self, item: Name) {
        if let Some(place) = self.items.iter_mut().find(|place| place.is_none()) {
            *place = Some(item);
        }
    }

    /// What is in it.
    pub fn iter(&self) -> impl Iterator<Item = Name> + '_ {
        self.items.iter().flatten().copied()
    }
}

impl std::fmt::Display for EventName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", char::from(self.letter), self.number)
    }
}

/// Writes occurrences as lines of the event contract. It remembers the text of the second that it wrote last: most lines have it again.
#[derive(Clone, Debug)]
pub struct Writer {
    second: i64,
    text: [u8; 20],
}

impl Default for Writer {
    fn default() -> Self {
        Writer { second: i64::MIN, text: [0; 20] }
    }
}

impl Writer {
    /// Appends `occurrence` as a JSON object and a line's end.
    pub fn write(&mut self, occurrence: &Occurrence, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        event_name(occurrence.id, out);
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(occurrence.act.kind_name().as_bytes());
        out.extend_from_slice(b"\",\"time\":\"");
        self.time(occurrence.time, out);
        out.push(b'"');
        match &occurrence.act {
            Act::Payment(paying) => payment(paying, out),
            Act::PaymentResult { target, status, amount, reason, user } => {
                out.extend_from_slice(b",\"target\":\"");
                event_name(*target, out);
                out.push(b'"');
                text(",\"status\":\"", status.name(), out);
                some(*amount, out, |amount, out| number(",\"amount\":", amount as u64, out));
                some(*reason, out, |reason, out| text(",\"reason\":\"", reason, out));
                name(",\"user\":\"", *user, out);
            }
            Act::Transfer(sending) => transfer(sending, out),
            Act::Session { user, device, ip, action, session } => {
                name(",\"user\":\"", *user, out);
                some(*device, out, |device, out| name(",\"device\":\"", device, out));
                some(*ip, out, address);
                text(",\"action\":\"", action, out);
                name(",\"session\":\"", *session, out);
            }
            Act::Interaction(touch) => interaction(touch, out),
            Act::Item { item, category, brand, price, title } => {
                name(",\"item\":\"", *item, out);
                text(",\"category\":\"", category, out);
                text(",\"brand\":\"", brand, out);
                number(",\"price\":", *price as u64, out);
                out.extend_from_slice(b",\"currency\":\"EUR\"");
                out.extend_from_slice(b",\"title\":\"");
                out.extend_from_slice(title[0].as_bytes());
                out.push(b' ');
                out.extend_from_slice(title[1].as_bytes());
                out.push(b'"');
            }
            Act::Label { target, verdict, source, scenario } => {
                out.extend_from_slice(b",\"target\":\"");
                event_name(*target, out);
                out.push(b'"');
                text(",\"label\":\"", verdict.name(), out);
                text(",\"source\":\"", source.name(), out);
                some(*scenario, out, |scenario, out| text(",\"scenario\":\"", scenario, out));
            }
            Act::Profile { user, country, consent, kyc_risk } => {
                name(",\"user\":\"", *user, out);
                text(",\"country\":\"", country, out);
                out.extend_from_slice(if *consent { b",\"consent_personalization\":true" } else { b",\"consent_personalization\":false" });
                text(",\"kyc_risk\":\"", kyc_risk.name(), out);
            }
        }
        out.extend_from_slice(b"}\n");
    }

    /// RFC 3339 in UTC with three decimals.
    fn time(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let second = time.0.div_euclid(1_000_000);
        if second != self.second {
            let civil = jiff::Timestamp::from_second(second).expect("worlds lie in this age").strftime("%Y-%m-%dT%H:%M:%S.");
            let formatted = civil.to_string();
            self.text.copy_from_slice(formatted.as_bytes());
            self.second = second;
        }
        out.extend_from_slice(&self.text);
        let milliseconds = (time.0.rem_euclid(1_000_000) / 1000) as u16;
        let digit = |value: u16| b'0' + (value % 10) as u8;
        out.extend_from_slice(&[digit(milliseconds / 100), digit(milliseconds / 10), digit(milliseconds), b'Z']);
    }
}

impl Act {
    /// The word in `type`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Act::Payment(_) => "payment",
            Act::PaymentResult { .. } => "payment_result",
            Act::Transfer(_) => "transfer",
            Act::Session { .. } => "session",
            Act::Interaction(_) => "interaction",
            Act::Item { .. } => "item",
            Act::Label { .. } => "label",
            Act::Profile { .. } => "profile",
        }
    }

    /// The letter with which ids of this type begin.
    pub fn letter(&self) -> u8 {
        match self {
            Act::Payment(_) => b'p',
            Act::PaymentResult { .. } => b'r',
            Act::Transfer(_) => b't',
            Act::Session { .. } => b'v',
            Act::Interaction(_) => b'x',
            Act::Item { .. } => b'k',
            Act::Label { .. } => b'l',
            Act::Profile { .. } => b'f',
        }
    }
}

fn payment(paying: &Paying, out: &mut Vec<u8>) {
    name(",\"user\":\"", paying.user, out);
    name(",\"merchant\":\"", paying.merchant, out);
    some(paying.device, out, |device, out| name(",\"device\":\"", device, out));
    some(paying.card, out, |card, out| name(",\"card\":\"", card, out));
    some(paying.ip, out, address);
    number(",\"amount\":", paying.amount as u64, out);
    text(",\"currency\":\"", paying.currency, out);
    number(",\"mcc\":", u64::from(paying.mcc), out);
    text(",\"country\":\"", paying.country, out);
    text(",\"channel\":\"", paying.channel, out);
    some(paying.session, out, |session, out| name(",\"session\":\"", session, out));
    let mut before = ",\"items\":[\"";
    for item in paying.items.iter() {
        name(before, item, out);
        before = ",\"";
    }
    if before == ",\"" {
        out.push(b']');
    }
}

fn transfer(sending: &Sending, out: &mut Vec<u8>) {
    some(sending.from, out, |account, out| name(",\"from\":\"", account, out));
    some(sending.to, out, |account, out| name(",\"to\":\"", account, out));
    number(",\"amount\":", sending.amount as u64, out);
    text(",\"currency\":\"", sending.currency, out);
    some(sending.from_bank, out, |of, out| bank(",\"from_bank\":\"", of, out));
    some(sending.to_bank, out, |of, out| bank(",\"to_bank\":\"", of, out));
    text(",\"format\":\"", sending.format, out);
    some(sending.user, out, |user, out| name(",\"user\":\"", user, out));
    some(sending.device, out, |device, out| name(",\"device\":\"", device, out));
}

fn interaction(touch: &Touch, out: &mut Vec<u8>) {
    name(",\"user\":\"", touch.user, out);
    name(",\"item\":\"", touch.item, out);
    text(",\"action\":\"", touch.action.name(), out);
    name(",\"merchant\":\"", touch.merchant, out);
    some(touch.dwell_ms, out, |dwell, out| number(",\"dwell_ms\":", u64::from(dwell), out));
    text(",\"surface\":\"", touch.surface, out);
    name(",\"session\":\"", touch.session, out);
    some(touch.device, out, |device, out| name(",\"device\":\"", device, out));
    if let Some((experiment, share)) = touch.shown {
        text(",\"experiment\":\"", experiment, out);
        // A 64th in millionths is exact: 15,625.
        out.extend_from_slice(b",\"propensity\":0.");
        let millionths = u32::from(share.min(63)) * 15_625;
        for place in [100_000, 10_000, 1000, 100, 10, 1] {
            out.push(b'0' + (millionths / place % 10) as u8);
        }
    }
}

fn event_name(id: EventName, out: &mut Vec<u8>) {
    out.push(id.letter);
    digits(id.number, out);
}

fn some<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    if let Some(value) = value {
        write(value, out);
    }
}

fn text(field: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn name(field: &str, value: Name, out: &mut Vec<u8>) {
    out.extend_from_slice(field.as_bytes());
    value.write(out);
    out.push(b'"');
}

fn number(field: &str, value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(field.as_bytes());
    digits(value, out);
}

fn bank(field: &str, of: Bank, out: &mut Vec<u8>) {
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(b"bank-");
    out.extend_from_slice(of.country.as_bytes());
    out.push(b'-');
    digits(u64::from(of.number), out);
    out.push(b'"');
}

fn address(ip: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"ip\":\"");
    for (place, part) in ip.to_be_bytes().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        digits(u64::from(part), out);
    }
    out.push(b'"');
}

fn digits(mut value: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut first = text.len();
    loop {
        first -= 1;
        text[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[first..]);
}
