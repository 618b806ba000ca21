//! The referee of alerts: what `ARCHITECTURE.md` says of them, by looking at every payment again for every question. It knows no window that
//! ends, no budget and no limit: those have tests of their own.

use std::collections::BTreeSet;
use weir::decision::Outcome;
use weir::engine::{Alert, AlertOptions, Output, Subject};
use weir::event::{Body, Content, Id, PaymentStatus, Record, SLOTS, Timestamp, Verdict, ends};
use weir::typology::Typology;

const USER: usize = 0;
const MERCHANT: usize = 1;
const DEVICE: usize = 2;
const CARD: usize = 3;
/// Rows of an entity that are looked at.
const ROWS: usize = 16;

#[derive(Clone)]
struct Row {
    event: Id,
    ends: [Option<Id>; SLOTS],
    amount: i64,
    time: Timestamp,
    bad: bool,
    failed: bool,
}

impl Row {
    fn suspicious(&self) -> bool {
        self.bad || self.failed
    }
}

/// An alert, as far as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    number: u64,
    subject: Id,
    typology: Typology,
    typologies: u16,
    score: u16,
    events: u64,
    money: i64,
    members: BTreeSet<Id>,
    edges: BTreeSet<(Id, Id, Id)>,
}

impl Told {
    pub fn of(alert: &Alert) -> Told {
        let Subject::Entity(_, subject) = alert.subject else { panic!("no cause turned") };
        Told {
            number: alert.number,
            subject,
            typology: alert.typology,
            typologies: alert.typologies,
            score: alert.score,
            events: alert.events,
            money: alert.money_minor,
            members: alert.members.iter().map(|member| member.id).collect(),
            edges: alert.edges.iter().map(|edge| (edge.event, edge.from, edge.to)).collect(),
        }
    }
}

struct Ring {
    told: Told,
    counted: BTreeSet<Id>,
    /// What leads to it, and whether it grows by that.
    keys: Vec<(Id, bool)>,
}

/// What is found: typology, slot of the subject, the subject, score, and the payments that prove it, oldest first.
struct Finding(Typology, usize, Id, u32, Vec<Row>);

pub struct Model {
    options: AlertOptions,
    rows: Vec<Row>,
    rings: Vec<Ring>,
    opened: u64,
}

impl Model {
    pub fn new(options: AlertOptions) -> Model {
        Model { options, rows: Vec::new(), rings: Vec::new(), opened: 0 }
    }

    pub fn told(&self) -> Vec<Told> {
        let mut told: Vec<Told> = self.rings.iter().map(|ring| ring.told.clone()).collect();
        told.sort_by_key(|told| told.number);
        told
    }

    /// The newest rows with `id` in `slot`, oldest first.
    fn newest(&self, slot: usize, id: Option<Id>) -> Vec<Row> {
        let of: Vec<&Row> = self.rows.iter().filter(|row| id.is_some() && row.ends[slot] == id).collect();
        of[of.len().saturating_sub(ROWS)..].iter().map(|row| (*row).clone()).collect()
    }

    pub fn apply(&mut self, record: &Record, outputs: &[Output]) {
        let Content::Event(event) = &record.content else { return };
        match &event.body {
            Body::Payment(payment) => {
                let row = Row {
                    event: event.id,
                    ends: ends(&event.body),
                    amount: payment.amount.minor,
                    time: event.time,
                    bad: false,
                    failed: false,
                };
                let mut found = Vec::new();
                found.extend(self.shared(&row.ends, Some(&row)));
                let Some(Output::Decision(decision)) = outputs.first() else { panic!("a payment is judged") };
                if decision.outcome >= Outcome::Review {
                    found.extend(self.taken(&row));
                }
                self.join(&row);
                found.into_iter().for_each(|finding| self.found(finding));
                self.rows.push(row);
            }
            Body::PaymentResult(result) => {
                let row = self.rows.iter_mut().find(|row| row.event == result.target).expect("it was paid");
                row.failed = matches!(result.status, PaymentStatus::DeclinedByIssuer | PaymentStatus::ChallengeFailed);
                let row = row.clone();
                if !row.failed {
                    return;
                }
                let mut found: Vec<Finding> = self.shared(&row.ends, None).into_iter().collect();
                found.extend(self.stolen(&row.ends));
                found.extend(self.tested(&row.ends, DEVICE, event.time));
                found.extend(self.tested(&row.ends, MERCHANT, event.time));
                found.into_iter().for_each(|finding| self.found(finding));
            }
            Body::Label(label) => {
                let row = self.rows.iter_mut().find(|row| row.event == label.target).expect("it was paid");
                row.bad = label.verdict == Verdict::Fraud;
                let row = row.clone();
                if !row.bad {
                    return;
                }
                let mut found: Vec<Finding> = self.shared(&row.ends, None).into_iter().collect();
                found.extend(self.stolen(&row.ends));
                found.extend(self.bads(&row.ends));
                found.into_iter().for_each(|finding| self.found(finding));
            }
            _ => {}
        }
    }

    fn shared(&self, ends: &[Option<Id>; SLOTS], paying: Option<&Row>) -> Option<Finding> {
        let rows = self.newest(DEVICE, ends[DEVICE]);
        let users =
            |of: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| of(row)).filter_map(|row| row.ends[USER]).collect::<BTreeSet<Id>>();
        let mut all = users(&|_| true);
        all.extend(paying.and_then(|row| row.ends[USER]));
        let (suspects, known) = (users(&Row::suspicious).len(), users(&|row| row.bad).len());
        let users_min = self.options.typologies.users_min as usize;
        let weight: i32 = rows
            .iter()
            .map(|row| {
                if row.bad {
                    7
                } else if row.failed {
                    3
                } else {
                    -1
                }
            })
            .sum();
        let full = rows.len() == ROWS;
        // How many payments each has made, if all were made with this device.
        let own = all.iter().map(|user| self.newest(USER, Some(*user)));
        let own = own.filter(|own| own.iter().all(|row| row.ends[DEVICE].is_none() || row.ends[DEVICE] == ends[DEVICE]));
        let own: Vec<usize> = own.map(|own| own.len()).filter(|len| *len > 0).collect();
        let regulars = own.iter().filter(|len| **len > 1).count();
        let settlement = own.len() >= users_min && 2 * own.len() >= all.len() && (known > 0 || regulars >= 2 && 4 * regulars >= all.len());
        let suspicious = rows.iter().filter(|row| row.suspicious()).count();
        let asked = if full && all.len() > 8 { 22 } else { 14 };
        let likely = 2 * suspicious >= rows.len() && weight >= asked || !full && settlement && weight >= 7;
        let enough = (suspects >= 3 || suspects == 2 && known > 0 && !full) && likely;
        if all.len() < users_min || !enough {
            return None;
        }
        let score = 400 + 120 * known + 60 * suspects + 10 * all.len();
        let proofs = rows.into_iter().chain(paying.cloned()).collect();
        Some(Finding(Typology::SharedDevice, DEVICE, ends[DEVICE]?, score as u32, proofs))
    }

    fn taken(&self, row: &Row) -> Option<Finding> {
        let rows = self.newest(USER, row.ends[USER]);
        let met = rows.iter().any(|other| other.ends[DEVICE] == row.ends[DEVICE] || other.ends[MERCHANT] == row.ends[MERCHANT]);
        let most = rows.iter().map(|row| row.amount).max().unwrap_or(0);
        (rows.len() >= 8 && !met && row.amount > 3 * most)
            .then(|| Finding(Typology::AccountTakeover, USER, row.ends[USER].expect("a payment has a user"), 600, vec![row.clone()]))
    }

    fn stolen(&self, ends: &[Option<Id>; SLOTS]) -> Option<Finding> {
        let rows = self.newest(CARD, ends[CARD]);
        let (known, failures) = (rows.iter().filter(|row| row.bad).count(), rows.iter().filter(|row| row.failed).count());
        let shops: BTreeSet<Id> = rows.iter().filter(|row| row.failed).filter_map(|row| row.ends[MERCHANT]).collect();
        let reported = known >= 2 || known == 1 && failures >= 1;
        let testing = shops.len() >= 3 && 2 * failures >= rows.len();
        if !(reported || testing) {
            return None;
        }
        let proofs = rows.into_iter().filter(Row::suspicious).collect();
        Some(Finding(Typology::StolenCard, CARD, ends[CARD]?, (400 + 150 * known + 60 * failures) as u32, proofs))
    }

    fn tested(&self, ends: &[Option<Id>; SLOTS], slot: usize, now: Timestamp) -> Option<Finding> {
        let mut rows = self.newest(slot, ends[slot]);
        rows.retain(|row| row.time > now - self.options.typologies.testing_window);
        let all = rows.len();
        rows.retain(|row| row.failed);
        let cards = rows.iter().filter_map(|row| row.ends[CARD]).collect::<BTreeSet<Id>>().len();
        let enough = cards >= self.options.typologies.cards_min as usize && 2 * rows.len() >= all;
        enough.then_some(Finding(Typology::CardTesting, slot, ends[slot]?, 450 + 50 * cards as u32, rows))
    }

    fn bads(&self, ends: &[Option<Id>; SLOTS]) -> Option<Finding> {
        let all: Vec<&Row> = self.rows.iter().filter(|row| row.ends[MERCHANT] == ends[MERCHANT]).collect();
        let bads = all.iter().filter(|row| row.bad).count();
        if bads < self.options.typologies.bads_min as usize || bads * 100 < self.options.typologies.bads_percent as usize * all.len() {
            return None;
        }
        let score = 400 + 5 * (bads * 100 / all.len()).min(100) + 10 * bads.min(20);
        let proofs = self.newest(MERCHANT, ends[MERCHANT]).into_iter().filter(|row| row.bad).collect();
        Some(Finding(Typology::MerchantBads, MERCHANT, ends[MERCHANT]?, score as u32, proofs))
    }

    /// Which alert an id leads to, and whether that grows by it.
    fn lead(&self, id: Id) -> Option<(usize, bool)> {
        self.rings.iter().enumerate().find_map(|(at, ring)| ring.keys.iter().find(|key| key.0 == id).map(|key| (at, key.1)))
    }

    fn count(&mut self, at: usize, row: &Row, typology: Typology) {
        let ring = &mut self.rings[at];
        if !ring.counted.insert(row.event) {
            return;
        }
        ring.told.events += 1;
        ring.told.money += row.amount;
        let (from, to) = match typology {
            Typology::SharedDevice | Typology::AccountTakeover => (USER, DEVICE),
            Typology::CardTesting | Typology::StolenCard => (CARD, MERCHANT),
            _ => (USER, MERCHANT),
        };
        let end = |slot: usize| row.ends[slot].unwrap_or(ring.told.subject);
        let edge = (row.event, end(from), end(to));
        ring.told.edges.insert(edge);
    }

    fn add(&mut self, at: usize, id: Id, leads: bool, grows: bool) {
        if self.rings[at].told.subject == id || self.rings[at].told.members.contains(&id) {
            return;
        }
        if leads && self.lead(id).is_none() {
            self.rings[at].keys.push((id, grows));
        }
        self.rings[at].told.members.insert(id);
    }

    fn members(&mut self, at: usize, row: &Row, typology: Typology) {
        let slots: &[usize] = match typology {
            Typology::SharedDevice | Typology::StolenCard => &[USER],
            Typology::CardTesting => &[CARD, DEVICE],
            Typology::AccountTakeover => &[DEVICE],
            _ => &[CARD],
        };
        for id in slots.iter().filter_map(|slot| row.ends[*slot]) {
            self.add(at, id, typology == Typology::SharedDevice, false);
        }
    }

    /// A payment joins the alerts that grow by its device, its card or its user.
    fn join(&mut self, row: &Row) {
        let ring = |slot: usize| {
            let (at, _) = self.lead(row.ends[slot]?)?;
            (self.rings[at].told.typologies & 1 != 0).then_some(self.rings[at].told.number)
        };
        if let (Some(one), Some(other)) = (ring(DEVICE), ring(USER))
            && one != other
        {
            self.merge(one.min(other), one.max(other));
        }
        for slot in [DEVICE, CARD, USER] {
            if let Some((at, true)) = row.ends[slot].and_then(|id| self.lead(id)) {
                let typology = self.rings[at].told.typology;
                self.count(at, row, typology);
                self.members(at, row, typology);
            }
        }
    }

    fn found(&mut self, finding: Finding) {
        let Finding(typology, slot, subject, score, proofs) = finding;
        let score = score.clamp(1, 1000) as u16;
        let mut home = self.lead(subject).map(|(at, _)| self.rings[at].told.number);
        if typology == Typology::SharedDevice {
            for user in proofs.iter().filter_map(|row| row.ends[USER]) {
                let Some((other, _)) = self.lead(user) else { continue };
                if self.rings[other].told.typologies & 1 == 0 {
                    continue;
                }
                let other = self.rings[other].told.number;
                home = Some(match home {
                    Some(home) if home != other => self.merge(home.min(other), home.max(other)),
                    _ => other,
                });
            }
        }
        let at = match home {
            Some(number) => {
                let at = self.place(number);
                if typology == Typology::SharedDevice {
                    self.add(at, subject, true, true);
                }
                at
            }
            None => {
                self.opened += 1;
                let told = Told {
                    number: self.opened,
                    subject,
                    typology,
                    typologies: 0,
                    score: 0,
                    events: 0,
                    money: 0,
                    members: BTreeSet::new(),
                    edges: BTreeSet::new(),
                };
                let keys = if self.lead(subject).is_none() { vec![(subject, slot != MERCHANT)] } else { Vec::new() };
                self.rings.push(Ring { told, counted: BTreeSet::new(), keys });
                self.rings.len() - 1
            }
        };
        let told = &mut self.rings[at].told;
        told.typologies |= 1 << typology as u8;
        if score > told.score {
            (told.score, told.typology) = (score, typology);
        }
        for row in &proofs {
            self.count(at, row, typology);
            self.members(at, row, typology);
        }
    }

    fn place(&self, number: u64) -> usize {
        self.rings.iter().position(|ring| ring.told.number == number).expect("it is open")
    }

    fn merge(&mut self, into: u64, from: u64) -> u64 {
        let Ring { told, counted, keys } = self.rings.remove(self.place(from));
        let at = self.place(into);
        let ring = &mut self.rings[at];
        // An event that both counted counts once.
        let both: Vec<Id> = counted.intersection(&ring.counted).copied().collect();
        let shared: i64 = both.iter().map(|event| self.rows.iter().find(|row| row.event == *event).map_or(0, |row| row.amount)).sum();
        ring.told.events += told.events - both.len() as u64;
        ring.told.money += told.money - shared;
        ring.told.edges.extend(told.edges.into_iter().filter(|edge| !both.contains(&edge.0)));
        ring.counted.extend(counted);
        ring.told.typologies |= told.typologies;
        if told.score > ring.told.score {
            (ring.told.score, ring.told.typology) = (told.score, told.typology);
        }
        let marks = |id: Id| keys.iter().find(|key| key.0 == id).map(|key| key.1);
        self.add(at, told.subject, true, !self.rows.iter().any(|row| row.ends[MERCHANT] == Some(told.subject)));
        for id in told.members {
            self.add(at, id, marks(id).is_some(), marks(id).unwrap_or(false));
        }
        into
    }
}
