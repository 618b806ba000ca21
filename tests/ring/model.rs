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

/// Typologies that make an alert a ring.
const RINGS: u32 = 1 << Typology::SharedDevice as u32 | 1 << Typology::HeldRing as u32;

/// Payments that were held, of those who share devices.
struct Group {
    number: u64,
    weight: u32,
    newest: Timestamp,
    /// Whether it is a user, and whether they are found by it. The first is the device that opened it, the others end at twelve.
    members: Vec<(Id, bool, bool)>,
    payments: Vec<Row>,
    put: usize,
}

impl Group {
    /// Four that came first and four that came last are kept.
    fn put(&mut self, row: Row) {
        match self.put {
            0..8 => self.payments.push(row),
            put => self.payments[4 + (put - 8) % 4] = row,
        }
        self.put += 1;
    }
}

/// An alert, as far as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    number: u64,
    subject: Id,
    typology: Typology,
    typologies: u32,
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
    groups: Vec<Group>,
    groups_opened: u64,
    /// Payments judged lately, and those of them that were held.
    judged: (u32, u32),
}

impl Model {
    pub fn new(options: AlertOptions) -> Model {
        Model { options, rows: Vec::new(), rings: Vec::new(), opened: 0, groups: Vec::new(), groups_opened: 0, judged: (0, 0) }
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
                let held = self.watch(&row, decision.outcome != Outcome::Approve, record.received);
                held.into_iter().for_each(|finding| self.found(finding));
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

    /// Who is newest among the rows of `id` in `slot`, other than `row` in `of`.
    fn met(&self, row: &Row, slot: usize, of: usize) -> Option<Id> {
        let mut rows = self.newest(slot, row.ends[slot]);
        rows.retain(|other| other.ends[of].is_some() && other.ends[of] != row.ends[of]);
        rows.last()?.ends[of]
    }

    fn group(&self, id: Option<Id>) -> Option<usize> {
        self.groups.iter().position(|group| group.members.iter().any(|member| Some(member.0) == id && member.2))
    }

    fn watch(&mut self, row: &Row, held: bool, now: Timestamp) -> Option<Finding> {
        let (all, stopped) = &mut self.judged;
        (*all, *stopped) = (*all + 1, *stopped + u32::from(held));
        if *all == 2048 {
            (*all, *stopped) = (1024, *stopped / 2);
        }
        let one_in = (*all).max(64) / (*stopped).max(1);
        let bits = [2, 4, 8, 16, 32, 64].iter().filter(|power| **power <= one_in).count() as u32;
        if !held {
            let at = self.group(row.ends[DEVICE].map(Some)?)?;
            if self.groups[at].weight == 1 {
                self.groups.remove(at);
            } else {
                self.groups[at].weight -= 1;
                self.belong(at, row.ends[USER], true);
            }
            return None;
        }
        if bits < 2 {
            return None;
        }
        let (device, user) = (self.met(row, USER, DEVICE), self.met(row, DEVICE, USER));
        let ids = [(row.ends[DEVICE], false), (row.ends[USER], true), (device, false), (user, true)];
        let mut home: Option<u64> = None;
        for (id, _) in ids {
            let Some(at) = id.and_then(|id| self.group(Some(id))) else { continue };
            if now - self.groups[at].newest >= self.options.typologies.window {
                self.groups.remove(at);
                continue;
            }
            let number = self.groups[at].number;
            home = Some(home.map_or(number, |home| self.unite(home.min(number), home.max(number))));
        }
        if home.is_none() {
            let (number, members) = (self.groups_opened, vec![(row.ends[DEVICE]?, false, true)]);
            self.groups.push(Group { number, weight: 0, newest: now, members, payments: Vec::new(), put: 0 });
            self.groups_opened += 1;
            home = Some(number);
        }
        let at = self.groups.iter().position(|group| Some(group.number) == home)?;
        let group = &mut self.groups[at];
        (group.weight, group.newest) = ((group.weight + bits - 1).min(32), now);
        group.put(row.clone());
        for (id, is_user) in ids {
            self.belong(at, id, is_user);
        }
        let group = &self.groups[at];
        let users = group.members.iter().filter(|member| member.1).count();
        let enough = group.weight >= 12 && users >= self.options.typologies.users_min as usize;
        let mut proofs = group.payments.clone();
        proofs.sort_by_key(|row| row.time);
        enough.then(|| Finding(Typology::HeldRing, DEVICE, group.members[0].0, 350 + 50 * users as u32, proofs))
    }

    /// Puts somebody into a group, where there is room; whoever is in another already is found there.
    fn belong(&mut self, at: usize, id: Option<Id>, is_user: bool) {
        let Some(id) = id.filter(|id| !self.groups[at].members.iter().any(|member| member.0 == *id)) else { return };
        if self.groups[at].members.len() <= 12 {
            let leads = self.group(Some(id)).is_none();
            self.groups[at].members.push((id, is_user, leads));
        }
    }

    /// The older of two groups takes the other in.
    fn unite(&mut self, into: u64, from: u64) -> u64 {
        if into == from {
            return into;
        }
        let place = |groups: &[Group], number| groups.iter().position(|group| group.number == number).expect("it is there");
        let from = self.groups.remove(place(&self.groups, from));
        let at = place(&self.groups, into);
        self.groups[at].weight = (self.groups[at].weight + from.weight).min(32);
        from.payments.into_iter().for_each(|row| self.groups[at].put(row));
        from.members.into_iter().for_each(|(id, is_user, _)| self.belong(at, Some(id), is_user));
        into
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
            Typology::SharedDevice | Typology::AccountTakeover | Typology::HeldRing => (USER, DEVICE),
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
            Typology::HeldRing => &[USER, DEVICE],
            Typology::CardTesting => &[CARD, DEVICE],
            Typology::AccountTakeover => &[DEVICE],
            _ => &[CARD],
        };
        for slot in slots {
            let Some(id) = row.ends[*slot] else { continue };
            self.add(at, id, typology.is_ring(), *slot == DEVICE && typology == Typology::HeldRing);
        }
    }

    /// A payment joins the alerts that grow by its device, its card or its user.
    fn join(&mut self, row: &Row) {
        let ring = |slot: usize| {
            let (at, _) = self.lead(row.ends[slot]?)?;
            (self.rings[at].told.typologies & RINGS != 0).then_some(self.rings[at].told.number)
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
        if typology.is_ring() {
            for user in proofs.iter().filter_map(|row| row.ends[USER]) {
                let Some((other, _)) = self.lead(user) else { continue };
                if self.rings[other].told.typologies & RINGS == 0 {
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
                if typology.is_ring() {
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
