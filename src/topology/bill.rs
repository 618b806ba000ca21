//! The bill of memory: what every table of the limits costs. All of it is allocated and touched at start.

use super::Deciding;
use crate::engine::{Evidence, Guard, Judged, Layout, Lists, Output};
use crate::event::{Duration, IdKey, Record};
use crate::graph::ego::{EDGE, SEED_SLOTS};
use crate::graph::{Family, Index, Limits, Nodes, RECENT, Row, Warm, state};
use crate::memory::slots_for;
use crate::velocity::{LATE_ROW_BYTES, Pairs, Plan};

/// What one entry of each table takes, as the modules that own the tables know it.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Bytes of a row.
    pub row: u64,
    /// Bytes of a node's header, with whatever else every node has.
    pub node: u64,
    /// The index from ids to nodes.
    pub node_index: TableSize,
    /// The table of event ids.
    pub ids: TableSize,
    /// The entries of lists.
    pub lists: TableSize,
    /// How many entries lists may have.
    pub list_entries_max: u32,
    /// Bytes of a warm record, by [`Family`].
    pub warm_record: [u64; 3],
    /// The table of pairs.
    pub pairs: TableSize,
    /// Bytes of a row waiting in the late ring.
    pub late_row: u64,
    /// Bytes of an alert with its members, its edges and its share of their index.
    pub alert: u64,
    pub alerts_max: u32,
    /// Bytes of the ids of a row that may prove an alert.
    pub evidence_row: u64,
    pub evidence_rows_max: u32,
    /// Bytes of the guard's counters.
    pub guard: u64,
    /// Bytes a record of a batch takes in the step's columns and outputs.
    pub batch_record: u64,
}

/// A hash table: more slots than entries.
#[derive(Clone, Copy, Debug)]
pub struct TableSize {
    /// Slots of a table for at most so many entries; 0 entries need none.
    pub slots: fn(entries_max: u32) -> u64,
    /// Bytes of a slot.
    pub slot: u64,
}

impl Sizes {
    /// The sizes under these declarations.
    pub fn of(deciding: &Deciding) -> Sizes {
        let plan = |family| Plan::new(family, &deciding.aggregates, Duration::default());
        // A record that is in the pool may also stand in the list of those that came back.
        let warm = |family| (Warm::stride(plan(family).counter_words) + 1) * size_of::<u32>();
        let columns = Layout::new(&deciding.aggregates, &deciding.lists, &IdKey::FILES).schema.len();
        let neighbour = size_of::<u32>() * (1 + EDGE + state::STATE);
        let batch_record = size_of::<Record>() + size_of::<Output>() + columns * 8 + SEED_SLOTS * RECENT * neighbour;
        Sizes {
            row: size_of::<Row>() as u64,
            node: Nodes::NODE_BYTES as u64,
            node_index: TableSize { slots: |nodes| slots_for(nodes) as u64, slot: Index::SLOT_BYTES as u64 },
            ids: TableSize { slots: u64::from, slot: Judged::BYTES_EACH },
            lists: TableSize { slots: |entries| slots_for(entries) as u64, slot: Lists::SLOT_BYTES as u64 },
            list_entries_max: deciding.lists.entries_max,
            warm_record: Family::ALL.map(|family| warm(family) as u64),
            pairs: TableSize { slots: |pairs| slots_for(pairs) as u64, slot: Pairs::SLOT_BYTES as u64 },
            late_row: LATE_ROW_BYTES as u64,
            alert: deciding.alerts.limits.alert_bytes() as u64,
            alerts_max: deciding.alerts.limits.alerts_max,
            evidence_row: Evidence::BYTES_EACH as u64,
            evidence_rows_max: deciding.alerts.limits.evidence_rows_max,
            guard: Guard::BYTES as u64,
            batch_record: batch_record as u64,
        }
    }
}

/// One table's share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub table: String,
    pub count: u64,
    pub bytes_each: u64,
}

impl Line {
    /// Bytes of the whole table.
    pub fn bytes(&self) -> u64 {
        self.count * self.bytes_each
    }
}

/// The bill: lines in the order of `[limits]`, tables of no entries left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    pub lines: Vec<Line>,
}

impl Bill {
    /// The bill of `limits` and batches of `batch_events_max` records.
    pub fn of(limits: &Limits, batch_events_max: usize, sizes: &Sizes) -> Bill {
        let mut lines = Vec::new();
        let mut line = |table: String, count: u64, bytes_each: u64| {
            if count > 0 {
                lines.push(Line { table, count, bytes_each });
            }
        };
        line("nodes".to_string(), limits.nodes_max.into(), sizes.node);
        line("index of nodes".to_string(), (sizes.node_index.slots)(limits.nodes_max), sizes.node_index.slot);
        line("event ids".to_string(), (sizes.ids.slots)(limits.ids_max), sizes.ids.slot);
        line("entries of lists".to_string(), (sizes.lists.slots)(sizes.list_entries_max), sizes.lists.slot);
        for family in Family::ALL {
            let (name, of) = (family.name(), limits.families[family as usize]);
            line(format!("{name}: rows"), of.rows_max.into(), sizes.row);
            line(format!("{name}: warm nodes"), of.warm_nodes_max.into(), sizes.warm_record[family as usize]);
            line(format!("{name}: pairs"), (sizes.pairs.slots)(of.pairs_max), sizes.pairs.slot);
            line(format!("{name}: late rows"), of.late_rows_max.into(), sizes.late_row);
        }
        line("alerts".to_string(), sizes.alerts_max.into(), sizes.alert);
        line("evidence rows".to_string(), sizes.evidence_rows_max.into(), sizes.evidence_row);
        line("guard".to_string(), u64::from(sizes.guard > 0), sizes.guard);
        line("batch".to_string(), batch_events_max as u64, sizes.batch_record);
        Bill { lines }
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.lines.iter().map(Line::bytes).sum()
    }
}

#[cfg(test)]
pub(in crate::topology) mod tests {
    use super::*;
    use crate::graph::FamilyLimits;

    /// Sizes near those of the layouts that were measured before the tables were written.
    pub(in crate::topology) fn sizes() -> Sizes {
        let half_full = |entries: u32| u64::from(entries) * 2;
        Sizes {
            row: 64,
            node: 40,
            node_index: TableSize { slots: half_full, slot: 8 },
            ids: TableSize { slots: |entries| u64::from(entries) * 5 / 4, slot: 48 },
            lists: TableSize { slots: half_full, slot: 32 },
            list_entries_max: 0,
            warm_record: [320, 96, 96],
            pairs: TableSize { slots: half_full, slot: 12 },
            late_row: 24,
            alert: 0,
            alerts_max: 0,
            evidence_row: 96,
            evidence_rows_max: 0,
            guard: 0,
            batch_record: 2048,
        }
    }

    #[test]
    fn every_table_has_its_line_and_the_sum_is_theirs() {
        let family = |rows_max| FamilyLimits { rows_max, warm_nodes_max: 2, pairs_max: 0, late_rows_max: 1 };
        let limits = Limits { nodes_max: 10, ids_max: 8, families: [family(100), family(1), family(1)] };
        let bill = Bill::of(&limits, 3, &sizes());
        let tables: Vec<(&str, u64)> = bill.lines.iter().map(|line| (line.table.as_str(), line.bytes())).collect();
        assert_eq!(
            tables[..5],
            [("nodes", 400), ("index of nodes", 160), ("event ids", 480), ("money: rows", 6400), ("money: warm nodes", 640),]
        );
        assert!(!tables.iter().any(|(table, _)| table.contains("pairs")), "a table of no entries costs nothing");
        assert_eq!(bill.bytes(), tables.iter().map(|(_, bytes)| bytes).sum::<u64>());
        assert_eq!(tables.len(), 3 + 3 * 3 + 1);
    }
}
