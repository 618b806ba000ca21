//! What each event type demands of its fields: the one place that turns fields into an [`Event`], whether they came as JSON
//! ([`super::wire`]) or as a table's row ([`super::table`]).

use crate::event::*;
use std::fmt;

/// Takes the text of every id, symbol, name and title that is met on the way, so that the identity store can keep it.
///
/// Countries and currencies stand in events as they are. The id of a mapping's label is not reported: its text is that of its target.
pub trait Texts {
    /// `text` has the hash `id` as a name of `kind`. The same pair comes as often as it is met.
    fn keep(&mut self, id: Id, kind: IdKind, text: &[u8]);

    /// How many were kept so far.
    fn told(&self) -> usize {
        0
    }

    /// Those behind the first `told` came from input that was refused: a store may forget them, since nothing bears their ids, and nobody
    /// could say later to whom a name among them belongs.
    fn take_back(&mut self, _told: usize) {}
}

/// Keeps nothing.
impl Texts for () {
    #[inline]
    fn keep(&mut self, _: Id, _: IdKind, _: &[u8]) {}
}

/// Why input was refused, for the machine and for the person who must mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub refused: Refused,
    /// What was found and what was expected, in words.
    pub detail: String,
}

impl Fault {
    /// A fault that no single field causes.
    pub fn whole(reason: Refusal, detail: impl Into<String>) -> Fault {
        Fault { refused: Refused { reason, field: None }, detail: detail.into() }
    }

    /// A fault of `field`; its name is put before `detail`.
    pub fn of(reason: Refusal, field: Field, detail: impl fmt::Display) -> Fault {
        Fault { refused: Refused { reason, field: Some(field) }, detail: format!("{}: {detail}", field.name()) }
    }

    /// `field` holds `found` where `expected` was due.
    pub fn invalid(field: Field, found: impl fmt::Display, expected: impl fmt::Display) -> Fault {
        Fault::of(Refusal::Invalid, field, format_args!("found {found}, expected {expected}"))
    }

    fn missing(kind: EventType, field: Field) -> Fault {
        Fault::of(Refusal::Missing, field, format_args!("found nothing, expected a value in every {}", kind.name()))
    }
}

/// `text` in quotes and short enough for a message.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Where an event's fields come from. `None` is an absent field; a field of another type is a [`Fault`].
pub(super) trait Fields {
    /// The text of `field`, perhaps written into `room`.
    fn text<'a>(&'a self, field: Field, room: &'a mut String) -> Result<Option<&'a str>, Fault>;
    fn integer(&self, field: Field) -> Result<Option<i64>, Fault>;
    fn number(&self, field: Field) -> Result<Option<f64>, Fault>;
    fn boolean(&self, field: Field) -> Result<Option<bool>, Fault>;
    fn time(&self) -> Result<Option<Timestamp>, Fault>;
    /// How many `items` there are.
    fn items(&self) -> Result<usize, Fault>;
    /// The item at `place`, below [`Fields::items`].
    fn item<'a>(&'a self, place: usize, room: &'a mut String) -> Result<&'a str, Fault>;
}

/// The longest name or title in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// What is needed to turn fields into events: key, limits, and room that is used again.
#[derive(Clone, Debug)]
pub struct Reading {
    key: IdKey,
    id_bytes_max: usize,
    room: String,
    /// The last currency met: ISO 4217 is searched once, not for every row.
    currency: Option<Currency>,
}

impl Reading {
    /// Ids are hashed under `key`; one longer than `id_bytes_max` is refused.
    pub fn new(key: IdKey, id_bytes_max: usize) -> Reading {
        Reading { key, id_bytes_max, room: String::new(), currency: None }
    }

    /// The key under which ids are hashed.
    pub fn key(&self) -> IdKey {
        self.key
    }

    /// The event of type `kind` that `fields` describe. Every text met goes to `texts`; those of an event refused later are taken back.
    pub(super) fn event<F: Fields, T: Texts + ?Sized>(&mut self, kind: EventType, fields: &F, texts: &mut T) -> Result<Event, Fault> {
        let told = texts.told();
        self.event_of(kind, fields, texts).inspect_err(|_| texts.take_back(told))
    }

    fn event_of<F: Fields, T: Texts + ?Sized>(&mut self, kind: EventType, fields: &F, texts: &mut T) -> Result<Event, Fault> {
        let mut meant = Meant { kind, fields, reading: self, texts };
        let id = meant.needed(Field::Id, IdKind::Event)?;
        let time = fields.time()?.ok_or_else(|| Fault::missing(kind, Field::Time))?;
        if !time.is_valid() {
            return Err(Fault::of(Refusal::TimeOutOfRange, Field::Time, format_args!("found {time}, expected 1900 to 2200")));
        }
        let body = meant.body()?;
        Ok(Event { id, time, body })
    }

    /// The id of `field` alone, as it stands in an event; used to see whether a catalogue entry is new before it is made.
    pub(super) fn id_of<F: Fields>(&mut self, kind: EventType, field: Field, as_kind: IdKind, fields: &F) -> Result<Option<Id>, Fault> {
        Meant { kind, fields, reading: self, texts: &mut () }.optional(field, as_kind)
    }

    /// The body of a catalogue entry.
    pub(super) fn item<F: Fields, T: Texts + ?Sized>(&mut self, fields: &F, texts: &mut T) -> Result<Item, Fault> {
        let told = texts.told();
        let entry = Meant { kind: EventType::Item, fields, reading: self, texts: &mut *texts }.catalogue_entry();
        entry.inspect_err(|_| texts.take_back(told))
    }
}

/// The fields of one event while they are turned into it.
struct Meant<'a, F: Fields, T: Texts + ?Sized> {
    kind: EventType,
    fields: &'a F,
    reading: &'a mut Reading,
    texts: &'a mut T,
}

impl<F: Fields, T: Texts + ?Sized> Meant<'_, F, T> {
    fn body(&mut self) -> Result<Body, Fault> {
        use IdKind as K;
        Ok(match self.kind {
            EventType::Payment => Body::Payment(Payment {
                user: self.needed(Field::User, K::User)?,
                merchant: self.needed(Field::Merchant, K::Merchant)?,
                device: self.optional(Field::Device, K::Device)?,
                card: self.optional(Field::Card, K::Card)?,
                ip: self.optional(Field::Ip, K::Ip)?,
                amount: self.money(Field::Amount)?,
                mcc: self.mcc()?,
                country: self.country()?,
                channel: self.optional(Field::Channel, K::Symbol)?,
                session: self.optional(Field::Session, K::Session)?,
                items: self.items()?,
            }),
            EventType::PaymentResult => Body::PaymentResult(PaymentResult {
                target: self.needed(Field::Target, K::Event)?,
                status: self.word(Field::Status, &PaymentStatus::ALL, PaymentStatus::name)?.ok_or_else(|| self.missing(Field::Status))?,
                amount_minor: self.amount(Field::Amount)?,
                reason: self.optional(Field::Reason, K::Symbol)?,
                user: self.optional(Field::User, K::User)?,
                resolved: None,
            }),
            EventType::Transfer => Body::Transfer(self.transfer()?),
            EventType::Session => Body::Session(Session {
                user: self.needed(Field::User, K::User)?,
                device: self.optional(Field::Device, K::Device)?,
                ip: self.optional(Field::Ip, K::Ip)?,
                action: self.optional(Field::Action, K::Symbol)?,
                session: self.optional(Field::Session, K::Session)?,
            }),
            EventType::Interaction => Body::Interaction(Interaction {
                user: self.needed(Field::User, K::User)?,
                item: self.needed(Field::Item, K::Item)?,
                action: self.word(Field::Action, &Action::ALL, Action::name)?.ok_or_else(|| self.missing(Field::Action))?,
                merchant: self.optional(Field::Merchant, K::Merchant)?,
                dwell_ms: self.dwell_ms()?,
                surface: self.optional(Field::Surface, K::Symbol)?,
                session: self.optional(Field::Session, K::Session)?,
                device: self.optional(Field::Device, K::Device)?,
                experiment: self.optional(Field::Experiment, K::Experiment)?,
                propensity: self.propensity()?,
            }),
            EventType::Item => Body::Item(self.catalogue_entry()?),
            EventType::Label => Body::Label(Label {
                target: self.needed(Field::Target, K::Event)?,
                verdict: self.word(Field::Label, &Verdict::ALL, Verdict::name)?.ok_or_else(|| self.missing(Field::Label))?,
                source: self.word(Field::Source, &LabelSource::ALL, LabelSource::name)?.unwrap_or(LabelSource::Chargeback),
                scenario: self.optional(Field::Scenario, K::Symbol)?,
                user: self.optional(Field::User, K::User)?,
                from: self.optional(Field::From, K::Account)?,
                resolved: None,
            }),
            EventType::Profile => Body::Profile(Profile {
                user: self.needed(Field::User, K::User)?,
                name: self.optional(Field::Name, K::Name)?,
                country: self.country()?,
                consent_personalization: self.fields.boolean(Field::ConsentPersonalization)?,
                kyc_risk: self.word(Field::KycRisk, &KycRisk::ALL, KycRisk::name)?,
            }),
            EventType::Erase => Body::Erase(Erase { user: self.needed(Field::User, K::User)? }),
        })
    }

    fn transfer(&mut self) -> Result<Transfer, Fault> {
        let transfer = Transfer {
            from: self.optional(Field::From, IdKind::Account)?,
            to: self.optional(Field::To, IdKind::Account)?,
            amount: self.money(Field::Amount)?,
            from_bank: self.optional(Field::FromBank, IdKind::Bank)?,
            to_bank: self.optional(Field::ToBank, IdKind::Bank)?,
            format: self.optional(Field::Format, IdKind::Symbol)?,
            user: self.optional(Field::User, IdKind::User)?,
            device: self.optional(Field::Device, IdKind::Device)?,
        };
        if transfer.from.is_none() && transfer.to.is_none() {
            return Err(Fault::whole(Refusal::Contradictory, "found neither from nor to, expected at least one account"));
        }
        if transfer.from == transfer.to && transfer.amount.minor == 0 {
            return Err(Fault::whole(
                Refusal::Contradictory,
                "found an account that pays itself nothing, expected another account or an amount",
            ));
        }
        Ok(transfer)
    }

    fn catalogue_entry(&mut self) -> Result<Item, Fault> {
        Ok(Item {
            item: self.needed(Field::Item, IdKind::Item)?,
            merchant: self.optional(Field::Merchant, IdKind::Merchant)?,
            category: self.optional(Field::Category, IdKind::Symbol)?,
            brand: self.optional(Field::Brand, IdKind::Symbol)?,
            price: match self.amount(Field::Price)? {
                Some(minor) => Some(Money { minor, currency: self.currency()? }),
                None => None,
            },
            title: self.optional(Field::Title, IdKind::Name)?,
        })
    }

    fn missing(&self, field: Field) -> Fault {
        Fault::missing(self.kind, field)
    }

    fn needed(&mut self, field: Field, kind: IdKind) -> Result<Id, Fault> {
        self.optional(field, kind)?.ok_or_else(|| self.missing(field))
    }

    #[inline]
    fn optional(&mut self, field: Field, kind: IdKind) -> Result<Option<Id>, Fault> {
        let Some(text) = self.fields.text(field, &mut self.reading.room)? else { return Ok(None) };
        check_length(field, kind, text, self.reading.id_bytes_max)?;
        let id = self.reading.key.id(kind, text.as_bytes());
        self.texts.keep(id, kind, text.as_bytes());
        Ok(Some(id))
    }

    fn items(&mut self) -> Result<Box<[Id]>, Fault> {
        let count = self.fields.items()?;
        if count > ITEMS_MAX {
            return Err(Fault::of(Refusal::Oversized, Field::Items, format_args!("found {count}, expected at most {ITEMS_MAX}")));
        }
        let mut items = Vec::with_capacity(count);
        for place in 0..count {
            let text = self.fields.item(place, &mut self.reading.room)?;
            check_length(Field::Items, IdKind::Item, text, self.reading.id_bytes_max)?;
            let id = self.reading.key.id(IdKind::Item, text.as_bytes());
            self.texts.keep(id, IdKind::Item, text.as_bytes());
            items.push(id);
        }
        Ok(items.into_boxed_slice())
    }

    /// An amount in minor units, if there is one.
    fn amount(&mut self, field: Field) -> Result<Option<i64>, Fault> {
        let Some(minor) = self.fields.integer(field)? else { return Ok(None) };
        if (0..=AMOUNT_MINOR_MAX).contains(&minor) {
            Ok(Some(minor))
        } else {
            Err(Fault::invalid(field, minor, format_args!("0 to {AMOUNT_MINOR_MAX} minor units")))
        }
    }

    fn money(&mut self, field: Field) -> Result<Money, Fault> {
        let minor = self.amount(field)?.ok_or_else(|| self.missing(field))?;
        Ok(Money { minor, currency: self.currency()? })
    }

    fn currency(&mut self) -> Result<Currency, Fault> {
        let found = self.fields.text(Field::Currency, &mut self.reading.room)?;
        let code = found.ok_or_else(|| Fault::missing(self.kind, Field::Currency))?;
        if let Some(last) = self.reading.currency
            && last.code() == code
        {
            return Ok(last);
        }
        let currency = Currency::parse(code).ok_or_else(|| Fault::invalid(Field::Currency, quoted(code), "a code of ISO 4217"))?;
        self.reading.currency = Some(currency);
        Ok(currency)
    }

    fn mcc(&mut self) -> Result<Option<u16>, Fault> {
        let Some(text) = self.fields.text(Field::Mcc, &mut self.reading.room)? else { return Ok(None) };
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(mcc) if digits => Ok(Some(mcc)),
            _ => Err(Fault::invalid(Field::Mcc, quoted(text), "a category code of four digits")),
        }
    }

    fn country(&mut self) -> Result<Option<Country>, Fault> {
        let Some(text) = self.fields.text(Field::Country, &mut self.reading.room)? else { return Ok(None) };
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Some(Country([*a, *b]))),
            _ => Err(Fault::invalid(Field::Country, quoted(text), "two capital letters of ISO 3166")),
        }
    }

    /// One word of a closed list.
    fn word<W: Copy>(&mut self, field: Field, all: &[W], name: fn(W) -> &'static str) -> Result<Option<W>, Fault> {
        let Some(text) = self.fields.text(field, &mut self.reading.room)? else { return Ok(None) };
        match all.iter().find(|word| name(**word) == text) {
            Some(word) => Ok(Some(*word)),
            None => {
                let names: Vec<&str> = all.iter().map(|word| name(*word)).collect();
                Err(Fault::invalid(field, quoted(text), format_args!("one of {}", names.join(", "))))
            }
        }
    }

    fn dwell_ms(&mut self) -> Result<Option<u32>, Fault> {
        let Some(found) = self.fields.integer(Field::DwellMs)? else { return Ok(None) };
        u32::try_from(found).map(Some).map_err(|_| Fault::invalid(Field::DwellMs, found, format_args!("0 to {} milliseconds", u32::MAX)))
    }

    fn propensity(&mut self) -> Result<Option<f32>, Fault> {
        let Some(found) = self.fields.number(Field::Propensity)? else { return Ok(None) };
        // Checked after the narrowing: a tiny double may become the float 0.
        let narrow = found as f32;
        if narrow > 0.0 && narrow <= 1.0 { Ok(Some(narrow)) } else { Err(Fault::invalid(Field::Propensity, found, "above 0, at most 1")) }
    }
}

fn check_length(field: Field, kind: IdKind, text: &str, id_bytes_max: usize) -> Result<(), Fault> {
    let bytes_max = if kind == IdKind::Name { NAME_BYTES_MAX } else { id_bytes_max };
    if text.is_empty() {
        return Err(Fault::invalid(field, "an empty text", "at least one character"));
    }
    if text.len() > bytes_max {
        return Err(Fault::of(Refusal::Oversized, field, format_args!("found {} bytes, expected at most {bytes_max}", text.len())));
    }
    Ok(())
}
