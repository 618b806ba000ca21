//! A bank made by hand, for the tests of the typologies: accounts by name, transfers by hours before or behind one moment.

use super::{DEVICE, Finding, LaunderingOptions, Leg, Party, Report, Scratch, Transfer, look};
use crate::event::{Duration, EventType, Id, IdKey, IdKind, SLOTS, Sequence, Timestamp};
use crate::graph::{Family, FamilyLimits, Flags, Graph, Limits, Link, NodeId, Row};
use crate::typology::Typology;
use std::collections::BTreeMap;

/// The transfer looked at, among proofs.
pub const THIS: u64 = u64::MAX;

pub struct Bank {
    pub graph: Graph,
    pub options: LaunderingOptions,
    /// Whether users order what is sent.
    pub ordered: bool,
    /// By which device, where by one.
    pub device: Option<&'static str>,
    pub report: Report,
    names: BTreeMap<NodeId, String>,
    newest: Timestamp,
    scratch: Scratch,
}

pub fn time(hours: i64) -> Timestamp {
    Timestamp(1_735_689_600_000_000) + Duration::HOUR.times(hours)
}

impl Bank {
    /// A bank of which sixty days are visible, with room for so many accounts and transfers.
    pub fn with_room(nodes_max: u32, rows_max: u32) -> Bank {
        let family = FamilyLimits { rows_max: 1, warm_nodes_max: 1, pairs_max: 1, late_rows_max: 1 };
        let money = FamilyLimits { rows_max, warm_nodes_max: nodes_max, ..family };
        let options = LaunderingOptions::default();
        let mut bank = Bank {
            graph: Graph::new(&Limits { nodes_max, ids_max: 1, families: [money, family, family] }, [0; 3], &mut |_| {}),
            scratch: Scratch::with_room(&options.reach),
            options,
            ordered: true,
            device: None,
            report: Report::with_room(),
            names: BTreeMap::new(),
            newest: time(-60 * 24),
        };
        bank.send(-60 * 24, "first>", 1);
        bank
    }

    pub fn new() -> Bank {
        Bank::with_room(1000, 5000)
    }

    /// Accounts that everybody has known for fifty days, and that had dealings with nobody.
    pub fn old(&mut self, names: &str) {
        for name in names.split(' ') {
            self.send(-50 * 24, &format!(">{name}"), 1);
        }
    }

    fn ends(&self, sides: &str) -> [Option<(String, IdKind)>; 4] {
        let (from, to) = sides.split_once('>').expect("FROM>TO");
        let account = |name: &str| (!name.is_empty()).then(|| (name.to_owned(), IdKind::Account));
        let user = self.ordered.then(|| (format!("user of {from}"), IdKind::User));
        [account(from), account(to).filter(|_| from != to), user, self.device.map(|device| (device.to_owned(), IdKind::Device))]
    }

    fn id((name, kind): &(String, IdKind)) -> Id {
        IdKey::FILES.id(*kind, name.as_bytes())
    }

    /// Appends a transfer, `FROM>TO`, an empty side being the world outside; returns its ordinal.
    pub fn send(&mut self, hours: i64, sides: &str, minor: i64) -> u64 {
        let mut nodes = [NodeId::NONE; SLOTS];
        for (node, end) in nodes.iter_mut().zip(self.ends(sides)) {
            let Some(end) = end else { continue };
            *node = self.graph.nodes.intern(Bank::id(&end), end.1).expect("there is room");
            self.names.insert(*node, end.0);
        }
        let late = time(hours) < self.newest;
        self.newest = self.newest.max(time(hours));
        let flags = Flags::new(EventType::Transfer, 0, late);
        let row = Row::new(nodes, [Link::NONE; SLOTS], time(hours), minor, Sequence(0), flags);
        let recent = nodes.map(|node| self.graph.recent(Family::Money, node));
        self.graph.append(Family::Money, row, &recent, &mut Vec::new()).ordinal
    }

    /// Looks around a transfer that is yet to come.
    pub fn look(&mut self, hours: i64, sides: &str, minor: i64) {
        let ends = self.ends(sides);
        let nodes = ends.each_ref().map(|end| end.as_ref().and_then(|end| self.graph.nodes.find(Bank::id(end))));
        let party = |side: usize| match (&ends[side], nodes[side]) {
            (None, _) => Party::OUTSIDE,
            (_, Some(node)) => Party::of(node),
            (_, None) => Party::NEW[side],
        };
        let ordinal = self.graph.rings[Family::Money as usize].head().ordinal;
        let ordered = self.ordered || self.device.is_some();
        let leg = Leg { ordinal, time: time(hours), amount_minor: minor, from: party(0), to: party(1), ordered };
        let transfer = Transfer { leg, device: nodes[DEVICE].unwrap_or(NodeId::NONE) };
        look(&self.graph, &mut self.scratch, &transfer, &self.options, &mut self.report);
    }

    pub fn finding(&self, typology: Typology) -> Option<Finding> {
        self.report.findings().iter().find(|finding| finding.typology == typology).copied()
    }

    /// Looks around a transfer, and tells of a typology its subject and what proves it; nothing where it is not found.
    pub fn find(&mut self, typology: Typology, hours: i64, sides: &str, minor: i64) -> Option<(String, Vec<u64>)> {
        self.look(hours, sides, minor);
        let head = self.graph.rings[Family::Money as usize].head().ordinal;
        let finding = self.finding(typology)?;
        let proofs = self.report.proofs(&finding);
        assert!(proofs.is_sorted_by(|older, newer| older.is_before(newer)), "{proofs:?}");
        let ordinal = |leg: &Leg| if leg.ordinal == head { THIS } else { leg.ordinal };
        let ends = self.ends(sides).map(|end| end.map(|(name, _)| name));
        let subject = match finding.subject.node() {
            Some(node) => self.names[&node].clone(),
            None => ends[usize::from(finding.subject == Party::NEW[1])].clone().expect("a subject is an account"),
        };
        Some((subject, proofs.iter().map(ordinal).collect()))
    }
}

/// What [`Bank::find`] says where it finds something.
pub fn proved(subject: &str, legs: &[u64]) -> Option<(String, Vec<u64>)> {
    Some((subject.to_owned(), legs.to_vec()))
}
