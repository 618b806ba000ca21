//! What a data directory holds of laundering: its alerts, and the products whose transfers they are of.

use super::error::ReplayError;
use super::source::founded;
use crate::engine::{Alert, AlertStatus, Output};
use crate::event::{Body, Content, EventType, Id, Sequence, Timestamp};
use crate::journal::{DataDir, Disk, Files, Outputs, Records};
use crate::topology::Deciding;
use crate::typology::{Kind, Typology};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// A data directory, looked at for laundering. Where a service still writes it, what is there by now is seen.
#[derive(Debug)]
pub struct Laundering {
    dir: DataDir,
    files: Arc<dyn Files>,
    /// What it was judged under.
    pub deciding: Deciding,
}

/// The newest version of an alert, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub number: u64,
    pub version: u32,
    pub status: AlertStatus,
    pub typology: Typology,
    pub score: u16,
    /// Its subject and members.
    pub accounts: usize,
    /// Events in all, and what they amount to in reporting minor units.
    pub events: u64,
    pub money_minor: i64,
    /// Event time of its first and last events.
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Listed {
    fn of(alert: &Alert) -> Listed {
        Listed {
            number: alert.number,
            version: alert.version,
            status: alert.status,
            typology: alert.typology,
            score: alert.score,
            accounts: alert.members.len() + 1,
            events: alert.events,
            money_minor: alert.money_minor,
            first: alert.first_event,
            last: alert.last_event,
        }
    }
}

/// One way in which money moves, as the journal holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    pub of: EventType,
    /// A transfer's `format`; none where it says none, and of payments.
    pub format: Option<Id>,
    /// Records of the journal.
    pub events: u64,
    /// What they amount to, in reporting minor units.
    pub money_minor: i128,
    /// By typology of laundering, the alerts in which it was seen and that show a transfer of this product.
    pub alerts: [u64; Typology::LAUNDERING.len()],
}

/// The products of a journal, and what was found by typology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Those of transfers by their formats' ids, payments last.
    pub products: Vec<Product>,
    /// By typology of laundering, the alerts in which it was seen.
    pub alerts: [u64; Typology::LAUNDERING.len()],
}

/// What of an alert its products are counted by.
struct Shown {
    typologies: u32,
    events: Vec<Id>,
}

/// What a product moved, and by their places the alerts that show something of it.
#[derive(Default)]
struct Moved {
    events: u64,
    money_minor: i128,
    alerts: HashSet<usize>,
}

impl Laundering {
    /// Opens the data directory `root` for reading.
    ///
    /// # Errors
    /// Where it is none of Weir's, or does not say what it was judged under.
    pub fn open(root: &Path) -> Result<Laundering, ReplayError> {
        let files: Arc<dyn Files> = Arc::new(Disk);
        let dir = DataDir::read(root)?;
        let deciding = founded(root, &files, &dir)?;
        Ok(Laundering { dir, files, deciding })
    }

    /// The newest version of every alert of laundering, in short, by their numbers.
    ///
    /// # Errors
    /// Where the output log cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, ReplayError> {
        self.newest(|_| true, |alert| Listed::of(&alert))
    }

    /// The newest version of the alert of laundering with this number; none where there is none.
    ///
    /// # Errors
    /// Where the output log cannot be read.
    pub fn alert(&self, number: u64) -> Result<Option<Alert>, ReplayError> {
        Ok(self.newest(|alert| alert.number == number, |alert| alert)?.pop())
    }

    fn newest<T>(&self, wanted: impl Fn(&Alert) -> bool, keep: impl Fn(Alert) -> T) -> Result<Vec<T>, ReplayError> {
        let mut outputs = Outputs::open(self.files.clone(), &self.dir.outputs(), Sequence(0))?;
        let mut newest: BTreeMap<u64, (u32, T)> = BTreeMap::new();
        while let Some(output) = outputs.next_output()? {
            let Output::Alert(alert) = output else { continue };
            let (number, version) = (alert.number, alert.version);
            let is_news = newest.get(&number).is_none_or(|(known, _)| *known <= version);
            if alert.typology.kind() == Kind::Aml && is_news && wanted(&alert) {
                newest.insert(number, (version, keep(alert)));
            }
        }
        Ok(newest.into_values().map(|(_, kept)| kept).collect())
    }

    /// The products whose transfers and payments the journal holds, and the alerts that show some of them.
    ///
    /// # Errors
    /// Where journal or output log cannot be read.
    pub fn seen(&self) -> Result<Seen, ReplayError> {
        let shown = self.newest(
            |_| true,
            |alert| {
                // What another alert has taken in is counted there.
                let events = alert.edges.iter().map(|edge| edge.event).collect();
                (alert.status != AlertStatus::Merged).then_some(Shown { typologies: alert.typologies, events })
            },
        )?;
        let shown: Vec<Shown> = shown.into_iter().flatten().collect();
        let mut alerts_of: HashMap<Id, Vec<usize>> = HashMap::new();
        for (place, alert) in shown.iter().enumerate() {
            alert.events.iter().for_each(|event| alerts_of.entry(*event).or_default().push(place));
        }
        // Payments behind all formats.
        let mut products: BTreeMap<(bool, Option<Id>), Moved> = BTreeMap::new();
        let mut records = Records::open(self.files.clone(), &self.dir.journal(), Sequence(0))?;
        while let Some(record) = records.next_record()? {
            let Content::Event(event) = record.content else { continue };
            let (product, amount) = match &event.body {
                Body::Transfer(transfer) => ((false, transfer.format), transfer.amount),
                Body::Payment(payment) => ((true, None), payment.amount),
                _ => continue,
            };
            let moved = products.entry(product).or_default();
            moved.events += 1;
            moved.money_minor += i128::from(self.deciding.rates.reporting_minor(amount, event.time).unwrap_or(0));
            moved.alerts.extend(alerts_of.get(&event.id).into_iter().flatten());
        }
        let count = |alerts: &mut dyn Iterator<Item = usize>| {
            let mut counts = [0; Typology::LAUNDERING.len()];
            for place in alerts {
                for (count, typology) in counts.iter_mut().zip(Typology::LAUNDERING) {
                    *count += u64::from(shown[place].typologies >> *typology as u32 & 1);
                }
            }
            counts
        };
        let product = |((is_payment, format), moved): (_, Moved)| {
            let of = if is_payment { EventType::Payment } else { EventType::Transfer };
            let Moved { events, money_minor, alerts } = moved;
            Product { of, format, events, money_minor, alerts: count(&mut alerts.into_iter()) }
        };
        Ok(Seen { products: products.into_iter().map(product).collect(), alerts: count(&mut (0..shown.len())) })
    }
}
