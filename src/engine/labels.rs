//! Events that speak of others: labels, payment results, profiles, erasures, the catalogue.

use super::Engine;
use crate::event::{
    Erase, EventType, Id, IdKind, Item, Label, LabelSource, PaymentResult, PaymentStatus, Profile, Record, Target, Timestamp, Verdict,
};
use crate::graph::state::ResultKind;
use crate::graph::{Family, NodeId};

fn is_bad(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fraud | Verdict::Laundering)
}

/// How a new verdict changes the number of bads where the target's row has left the ring.
fn change(standing: Option<(Verdict, LabelSource)>, verdict: Verdict, source: LabelSource) -> i32 {
    match standing {
        Some((_, stronger)) if stronger > source => 0,
        _ => i32::from(is_bad(verdict)) - i32::from(standing.is_some_and(|(verdict, _)| is_bad(verdict))),
    }
}

impl Engine {
    /// Where the target's row stands, if it is visible.
    fn row_of(&mut self, target: &Target) -> Option<u32> {
        self.graph.rings[Family::Money as usize].find(target.sequence, &mut self.found)
    }

    fn nodes_of(&self, target: &Target) -> [NodeId; crate::event::SLOTS] {
        target.ends.map(|id| id.and_then(|id: Id| self.graph.nodes.find(id)).unwrap_or(NodeId::NONE))
    }

    pub(super) fn take_label(&mut self, record: &Record, label: &Label) {
        let target = label.resolved.as_ref().expect("admitted labels are resolved");
        let (nodes, by) = match self.row_of(target) {
            Some(position) => {
                let nodes = self.graph.rings[Family::Money as usize].row(position).nodes;
                let velocity = &mut self.velocity[Family::Money as usize];
                (nodes, velocity.label(&mut self.graph, position, label.verdict, label.source))
            }
            None => (self.nodes_of(target), change(target.standing, label.verdict, label.source)),
        };
        if by != 0 {
            for node in nodes.into_iter().filter(|node| node.is_some()) {
                self.graph.nodes.add_bad(node, by);
            }
        }
        if is_bad(label.verdict) && target.kind == EventType::Payment {
            self.look_at_target(record, target, &nodes, true);
        }
    }

    pub(super) fn take_result(&mut self, record: &Record, time: Timestamp, result: &PaymentResult) {
        let target = result.resolved.as_ref().expect("admitted results are resolved");
        let nodes = match self.row_of(target) {
            Some(position) => {
                let row = self.graph.rings[Family::Money as usize].row_mut(position);
                row.flags.set_status(result.status as u8);
                row.nodes
            }
            None => self.nodes_of(target),
        };
        let kind = match result.status {
            PaymentStatus::ChallengeFailed | PaymentStatus::Abandoned | PaymentStatus::DeclinedByIssuer => ResultKind::Failed,
            PaymentStatus::Cancelled | PaymentStatus::Refunded => ResultKind::Refunded,
            PaymentStatus::ChallengePassed | PaymentStatus::Authorized | PaymentStatus::Captured => return,
        };
        self.graph.fold_result(Family::Money, &nodes, time, kind);
        if matches!(result.status, PaymentStatus::ChallengeFailed | PaymentStatus::DeclinedByIssuer) {
            self.look_at_target(record, target, &nodes, false);
        }
    }

    pub(super) fn take_item(&mut self, item: &Item) {
        if let Some(node) = self.graph.nodes.intern(item.item, IdKind::Item) {
            self.graph.nodes.set_listed(node);
        }
    }

    pub(super) fn take_profile(&mut self, profile: &Profile) {
        if let Some(node) = self.graph.nodes.intern(profile.user, IdKind::User) {
            self.graph.nodes.set_profile(node, profile.consent_personalization, profile.kyc_risk);
        }
    }

    pub(super) fn take_erase(&mut self, erase: &Erase) {
        if let Some(node) = self.graph.nodes.find(erase.user) {
            self.graph.nodes.erase_profile(node);
        }
    }
}
