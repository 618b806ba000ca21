//! Which policy is in force, and that another one comes into force at the record that names it.

use super::alerts::AlertOptions;
use super::decide::{kind, lane};
use super::guard::sum_slot;
use super::options::GuardOptions;
use super::{Engine, GuardTurn, Options};
use crate::decision::{Declining, Policy};
use crate::event::{Content, ControlKind, EventType, Record};
use std::sync::Arc;

/// A compiled policy and the numbers that are published with it, under the name by which control records and decisions call them: the first
/// 128 bits of their text's SHA-256.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    pub name: [u8; 16],
    pub policy: Arc<Policy>,
    pub guard: GuardOptions,
    /// Their limits are those of the engine.
    pub alerts: AlertOptions,
}

impl Engine {
    /// Gives the engine a policy, compiled for engines of its options, that a record to come may name. Compiling takes its time, and an engine
    /// reads no files: so whoever has it step such a record gives it the policy first.
    pub fn prepare(&mut self, policy: NamedPolicy) {
        assert!(policy.alerts.limits == self.options.alerts.limits, "room for alerts is taken once");
        if !self.knows_policy(&policy.name) {
            self.prepared.push(policy);
        }
    }

    /// Whether a record that names this policy can be stepped.
    pub fn knows_policy(&self, name: &[u8; 16]) -> bool {
        self.prepared.iter().any(|known| known.name == *name)
    }

    /// Puts a fresh engine under the policies of a snapshot that it is to be filled from.
    pub fn put_in_force(&mut self, policy: NamedPolicy, before: Option<NamedPolicy>) {
        self.provenance.policy = policy.name;
        self.prepare(policy.clone());
        before.iter().for_each(|before| self.prepare(before.clone()));
        self.guard.begin(policy.policy.guarded().len());
        self.take_numbers(&policy);
        (self.policy, self.before) = (policy.policy, before);
        self.heirs = self.find_heirs();
    }

    /// The policy that was in force before the one that is.
    pub fn policy_before(&self) -> Option<[u8; 16]> {
        self.before.as_ref().map(|before| before.name)
    }

    /// Puts the policy that a record names in force from here on.
    pub(super) fn swap_policy(&mut self, record: &Record, name: [u8; 16]) {
        if name == self.provenance.policy {
            return;
        }
        let known = self.prepared.iter().find(|known| known.name == name).cloned();
        let new = known.expect("the runtime prepares a policy before the record that names it");
        let Options { guard, alerts, .. } = self.options;
        self.take_numbers(&new);
        let old = NamedPolicy { name: self.provenance.policy, policy: std::mem::replace(&mut self.policy, new.policy), guard, alerts };
        for (slot, cause) in old.policy.guarded().iter().enumerate() {
            let from = self.guard.standing(slot);
            let stays = (0..self.policy.guarded().len()).any(|new| self.policy.slot_before(new, &old.policy) == Some((slot, true)));
            if from.yields() && !stays {
                let kind = kind(old.policy.suspects(slot));
                self.turns.push(GuardTurn::ended(record.sequence, old.name, old.policy.guarded_type(slot), Some(*cause), kind, from));
            }
        }
        for of in [EventType::Payment, EventType::Transfer] {
            for suspects in [false, true] {
                let from = self.guard.standing(sum_slot(lane(of), suspects));
                if from.yields() {
                    self.turns.push(GuardTurn::ended(record.sequence, old.name, of, None, kind(suspects), from));
                }
            }
        }
        let policy = &self.policy;
        self.guard.carry(policy.guarded().len(), |slot| policy.slot_before(slot, &old.policy));
        self.provenance.policy = name;
        self.before = Some(old);
        self.heirs = self.find_heirs();
    }

    /// From here on the guard and alerts go by these numbers; what they counted stays.
    fn take_numbers(&mut self, of: &NamedPolicy) {
        (self.options.guard, self.options.alerts) = (of.guard, of.alerts);
        self.guard.go_by(of.guard);
        self.alerts.go_by(of.alerts);
        self.suspicions.go_by(of.alerts);
    }

    pub(super) fn find_heirs(&self) -> Declining {
        let mut heirs = Declining::default();
        if let Some(before) = &self.before {
            for slot in (0..self.policy.guarded().len()).filter(|slot| self.policy.has_predecessor(*slot, &before.policy)) {
                heirs[slot / 64] |= 1 << (slot % 64);
            }
        }
        heirs
    }
}

/// The policy that a record names, if it is one that does.
pub(super) fn named_policy(record: &Record) -> Option<[u8; 16]> {
    match &record.content {
        Content::Control(control) if control.kind == ControlKind::Policy => control.blob.first_chunk().copied(),
        _ => None,
    }
}
