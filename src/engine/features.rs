//! The feature row: the event's own fields, its entities, their aggregates and neighbourhoods, under the names that rules use.

use crate::decision::ListsOptions;
use crate::event::{Body, Country, Currency, Duration, Event, EventType, Id, IdKey, IdKind, Timestamp};
use crate::feature::{FeatureType, LAUNDERING, PROBABILITY, Schema, int};
use crate::graph::ego::SEED_SLOTS;
use crate::typology::Typology;
use crate::typology::laundering::Figure;
use crate::velocity::{Aggregate, Role, columns, family, row_type};

/// Roles that have columns of their own, with their kinds.
const ROLES: [(&str, IdKind); 7] = [
    ("user", IdKind::User),
    ("merchant", IdKind::Merchant),
    ("device", IdKind::Device),
    ("card", IdKind::Card),
    ("ip", IdKind::Ip),
    ("from", IdKind::Account),
    ("to", IdKind::Account),
];

/// Columns of one role's node, behind its id.
pub const NODE_COLUMNS: usize = 6;
/// Further columns of a role whose neighbourhood is gathered: what is usual for it.
pub const USUAL_COLUMNS: usize = 6;
/// Seconds since what never was.
pub const NEVER: i64 = -1;

/// Whether an event has the role's entity among those whose neighbourhood is gathered.
fn is_viewed(role: &str) -> bool {
    let viewed = |of| Role::names(of).iter().take(SEED_SLOTS).any(|name| *name == role);
    viewed(EventType::Payment) || viewed(EventType::Transfer)
}

/// An aggregate as one event type reads it.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub family: usize,
    /// Its number in the family's plan.
    pub number: usize,
    /// The judged event's slot whose node is the key.
    pub slot: usize,
    /// Whether the judged event is of the aggregate's own type.
    pub own_type: bool,
    /// Its first column and how many it has.
    pub at: usize,
    pub width: usize,
}

/// `ROLE.on_LIST`.
#[derive(Clone, Copy, Debug)]
pub struct ListedColumn {
    pub at: usize,
    /// The list's number.
    pub list: usize,
    /// By event type ([`row_type`]): the slot of the role.
    pub slots: [Option<usize>; 4],
}

/// Where everything stands in a feature row.
pub struct Layout {
    pub schema: Schema,
    /// How many columns, from the first, are the event's own fields: filters see these alone.
    pub fields: usize,
    /// By event type ([`row_type`]) and slot: first column of the node's figures.
    pub nodes: [[Option<usize>; crate::event::SLOTS]; 4],
    /// By event type: the aggregates that it reads.
    pub uses: [Vec<Use>; 4],
    /// Columns that say whether a role's entity stands on a list.
    pub listed: Vec<ListedColumn>,
    /// The first column of what surrounds a transfer: figures, then the score of each typology of laundering.
    pub laundering: usize,
    /// The column of the model's probability.
    pub probability: usize,
    /// The row of an event of which nothing is known.
    pub blank: Vec<u64>,
    symbols: Symbols,
}

/// Columns of the event's own fields, in order.
#[derive(Clone, Copy)]
enum Own {
    Amount,
    AmountMinor,
    Currency,
    Country,
    Mcc,
    Channel,
    Hour,
    Weekday,
    Action,
    Format,
    Items,
    /// From here one column a role, in the order of [`ROLES`], then `item`.
    Ids,
}

impl Layout {
    /// The layout for these aggregates and lists.
    pub fn new(aggregates: &[Aggregate], lists: &ListsOptions, key: &IdKey) -> Layout {
        let mut schema = Schema::default();
        let text = FeatureType::Text(IdKind::Symbol);
        schema.push("amount", FeatureType::Int, "amount in minor units of the reporting currency, 0 where no rate is known");
        schema.push("amount_minor", FeatureType::Int, "amount in minor units of its own currency");
        schema.push("currency", text, "ISO 4217 code");
        schema.push("country", text, "ISO 3166-1 alpha-2 code");
        schema.push("mcc", FeatureType::Int, "merchant category code, 0 where absent");
        schema.push("channel", text, "payment channel");
        schema.push("hour", FeatureType::Int, "hour of the event time in UTC, 0 to 23");
        schema.push("weekday", FeatureType::Int, "day of the week in UTC, 0 (Monday) to 6");
        schema.push("action", text, "action of a session or interaction");
        schema.push("format", text, "format of a transfer");
        schema.push("items", FeatureType::Int, "items of a payment");
        for (role, kind) in ROLES {
            schema.push(format!("{role}_id"), FeatureType::Text(kind), format!("id of the {role}"));
        }
        schema.push("item_id", FeatureType::Text(IdKind::Item), "id of the item");
        let fields = schema.len();
        let (mut first, mut never) = (Vec::new(), Vec::new());
        for (role, _) in ROLES {
            first.push(schema.push(
                format!("{role}.events"),
                FeatureType::Int,
                format!("events this {role} was ever part of, at most 65535"),
            ));
            schema.push(format!("{role}.days"), FeatureType::Int, format!("days since the first event of this {role}"));
            schema.push(format!("{role}.bads"), FeatureType::Int, format!("known bad events of this {role}, ever"));
            schema.push(
                format!("{role}.recent_events"),
                FeatureType::Int,
                format!("events in the neighbourhood of this {role}, at most 16"),
            );
            schema.push(format!("{role}.recent_bads"), FeatureType::Int, format!("known bad among the recent events of this {role}"));
            let help = format!("mean faded daily count of those this {role} met lately");
            schema.push(format!("{role}.neighbour_activity"), FeatureType::Double, help);
            if is_viewed(role) {
                let double = FeatureType::Double;
                let help = format!("mean amount of this {role} in the last weeks, outliers bounded; 0 with fewer than three events");
                schema.push(format!("{role}.usual_amount"), double, help);
                let help = "spreads by which the amount lies above that, -4 to 8";
                schema.push(format!("{role}.amount_score"), double, help);
                let help = format!("faded number of amounts of this {role} far above its usual ones");
                schema.push(format!("{role}.outliers"), double, help);
                let help = format!("seconds since the latest event or result of this {role}, -1: none");
                never.push(schema.push(format!("{role}.idle_s"), FeatureType::Int, help));
                let help = format!("recent events of this {role} known to be bad and newer than any known to be genuine");
                schema.push(format!("{role}.bad_streak"), FeatureType::Int, help);
                let help = format!("seconds since the newest recent event of this {role} known to be bad, -1: none");
                never.push(schema.push(format!("{role}.bad_age_s"), FeatureType::Int, help));
            }
        }
        let mut nodes = [[None; crate::event::SLOTS]; 4];
        for of in [EventType::Payment, EventType::Transfer] {
            for (slot, name) in Role::names(of).iter().enumerate() {
                nodes[row_type(of)][slot] = ROLES.iter().position(|(role, _)| role == name).map(|role| first[role]);
            }
        }
        let mut uses: [Vec<Use>; 4] = Default::default();
        let mut numbers = [0; 3];
        let mut blank = vec![0; schema.len()];
        for column in never {
            blank[column] = int(NEVER);
        }
        for aggregate in aggregates {
            let family = family(aggregate.of).expect("an aggregate is over events that have rows") as usize;
            let at = schema.len();
            columns(aggregate, &mut schema, &mut blank);
            let width = schema.len() - at;
            for of in [EventType::Payment, EventType::Transfer] {
                let own_type = of == aggregate.of;
                let kind = aggregate.key.kind(aggregate.of);
                let same_kind = |slot: &usize| Role(*slot as u8).kind(of) == kind;
                let slot = if own_type { Some(usize::from(aggregate.key.0)) } else { (0..Role::names(of).len()).find(same_kind) };
                if let Some(slot) = slot {
                    uses[row_type(of)].push(Use { family, number: numbers[family], slot, own_type, at, width });
                }
            }
            numbers[family] += 1;
        }
        let laundering = schema.len();
        for (name, help) in Figure::ALL.map(Figure::names) {
            schema.push(format!("{LAUNDERING}{name}"), FeatureType::Int, help);
        }
        for typology in Typology::LAUNDERING {
            let help = format!("score of what was found around this transfer, 0 to 1000: {}", typology.sentence());
            schema.push(format!("{LAUNDERING}{}", typology.name()), FeatureType::Int, help);
        }
        let help = "what the model says of fraud (payments) or laundering (transfers), 0 where none judges";
        let probability = schema.push(PROBABILITY, FeatureType::Double, help);
        let listed = listed_columns(lists, &mut schema);
        blank.resize(schema.len(), 0);
        Layout { schema, fields, nodes, uses, listed, laundering, probability, blank, symbols: Symbols::new(key) }
    }

    /// The schema of what a filter sees: the event's own fields.
    pub fn fields_schema(&self) -> Schema {
        Schema { features: self.schema.features[..self.fields].to_vec() }
    }

    /// Writes the event's own fields into the first columns of a row of zeroes. `amount` is in reporting minor units.
    #[inline]
    pub fn fill_fields(&self, event: &Event, amount: i64, row: &mut [u64]) {
        let hours = event.time.0.div_euclid(Duration::HOUR.0);
        row[Own::Amount as usize] = int(amount);
        row[Own::Hour as usize] = int(hours.rem_euclid(24));
        // 1970-01-01 was a Thursday.
        row[Own::Weekday as usize] = int((hours.div_euclid(24) + 3).rem_euclid(7));
        let low = |id: Option<Id>| id.map_or(0, Id::low);
        let ids = |role: &str| Own::Ids as usize + ROLES.iter().position(|(name, _)| *name == role).expect("a role with columns");
        let mut money = |minor: i64, currency: Currency| {
            row[Own::AmountMinor as usize] = int(minor);
            row[Own::Currency as usize] = self.symbols.currency(currency);
        };
        match &event.body {
            Body::Payment(p) => {
                money(p.amount.minor, p.amount.currency);
                row[Own::Country as usize] = p.country.map_or(0, |country| self.symbols.country(country));
                row[Own::Mcc as usize] = int(i64::from(p.mcc.unwrap_or(0)));
                row[Own::Channel as usize] = low(p.channel);
                row[Own::Items as usize] = int(p.items.len() as i64);
                for (at, id) in [Some(p.user), Some(p.merchant), p.device, p.card, p.ip].into_iter().enumerate() {
                    row[Own::Ids as usize + at] = low(id);
                }
            }
            Body::Transfer(t) => {
                money(t.amount.minor, t.amount.currency);
                row[Own::Format as usize] = low(t.format);
                row[ids("user")] = low(t.user);
                row[ids("device")] = low(t.device);
                row[ids("from")] = low(t.from);
                row[ids("to")] = low(t.to);
            }
            Body::Session(s) => {
                row[Own::Action as usize] = low(s.action);
                row[ids("user")] = low(Some(s.user));
                row[ids("device")] = low(s.device);
                row[ids("ip")] = low(s.ip);
            }
            Body::Interaction(i) => {
                row[Own::Action as usize] = self.symbols.actions[i.action as usize - 1];
                row[ids("user")] = low(Some(i.user));
                row[ids("merchant")] = low(i.merchant);
                row[ids("device")] = low(i.device);
                row[Own::Ids as usize + ROLES.len()] = low(Some(i.item));
            }
            _ => {}
        }
    }
}

/// A column for each role whose entities may stand on a list.
fn listed_columns(lists: &ListsOptions, schema: &mut Schema) -> Vec<ListedColumn> {
    let mut columns = Vec::new();
    for (number, list) in lists.lists.iter().enumerate() {
        for (role, _) in ROLES.into_iter().filter(|(_, kind)| list.of.contains(kind)) {
            let help = format!("whether this {role} stands on the list {}", list.name);
            let at = schema.push(format!("{role}.on_{}", list.name), FeatureType::Bool, help);
            let mut slots = [None; 4];
            for of in [EventType::Payment, EventType::Transfer] {
                slots[row_type(of)] = Role::names(of).iter().position(|name| *name == role);
            }
            columns.push(ListedColumn { at, list: number, slots });
        }
    }
    columns
}

/// Hashes of words that events carry as codes, so that rules can compare them with texts.
struct Symbols {
    key: IdKey,
    countries: Vec<u64>,
    actions: [u64; 6],
    /// The currency met most; the others are hashed when they come.
    euro: (Currency, u64),
}

impl Symbols {
    fn new(key: &IdKey) -> Symbols {
        let low = |text: &[u8]| key.id(IdKind::Symbol, text).low();
        let letters = || b'A'..=b'Z';
        let euro = Currency::parse("EUR").expect("ISO 4217 lists the euro");
        Symbols {
            key: *key,
            countries: letters().flat_map(|a| letters().map(move |b| low(&[a, b]))).collect(),
            actions: crate::event::Action::ALL.map(|action| low(action.name().as_bytes())),
            euro: (euro, low(b"EUR")),
        }
    }

    fn currency(&self, currency: Currency) -> u64 {
        if currency == self.euro.0 {
            return self.euro.1;
        }
        self.key.id(IdKind::Symbol, &currency.bytes()).low()
    }

    fn country(&self, country: Country) -> u64 {
        let [a, b] = country.0.map(|letter| usize::from(letter.wrapping_sub(b'A')));
        // A country that is not two capital letters was refused at the door.
        if a < 26 && b < 26 { self.countries[a * 26 + b] } else { 0 }
    }
}

/// Days between the first event of a node and now.
pub fn days_since(first_day: i64, now: Timestamp) -> i64 {
    crate::graph::day(now) - first_day
}
