//! The alerts that are open, for whoever asks: kept beside the engine, so that nobody who reads them is waited for.

use super::Service;
use super::judge::Judge;
use crate::engine::{Alert, AlertStatus, Engine, Output};
use crate::typology::Kind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The open alerts in their newest versions, by kind and number.
pub(super) struct OpenAlerts {
    /// Held for as long as it takes to put one in, or to copy the pointers.
    told: Mutex<BTreeMap<(Kind, u64), Arc<Alert>>>,
    /// By kind.
    held: [AtomicU64; Kind::ALL.len()],
}

impl OpenAlerts {
    /// Those of an engine that stands where its journal ends.
    pub(super) fn of(engine: &Engine) -> OpenAlerts {
        let told = engine.open_alerts().map(|alert| ((alert.kind, alert.number), Arc::new(alert))).collect();
        OpenAlerts { told: Mutex::new(told), held: Kind::ALL.map(|kind| AtomicU64::new(engine.alert_counts(kind).held)) }
    }

    fn note(&self, alert: &Alert) {
        let mut told = self.told.lock().expect("nobody panics with it");
        let key = (alert.kind, alert.number);
        match alert.status {
            AlertStatus::Open | AlertStatus::Suppressed => drop(told.insert(key, Arc::new(alert.clone()))),
            AlertStatus::Closed | AlertStatus::Merged => drop(told.remove(&key)),
        }
    }

    /// The weightiest first: score times money, then the older one. Those of laundering are among them for AML alone.
    pub(super) fn all(&self, aml: bool) -> Vec<Arc<Alert>> {
        let told = self.told.lock().expect("nobody panics with it");
        let mut all: Vec<Arc<Alert>> = told.values().filter(|alert| aml || alert.kind == Kind::Fraud).cloned().collect();
        drop(told);
        all.sort_by_key(|alert| std::cmp::Reverse(u64::from(alert.score).saturating_mul(alert.money_minor.max(1).unsigned_abs())));
        all
    }
}

impl Judge {
    /// Takes note of what the last step told of alerts.
    pub(super) fn publish_alerts(&self) {
        let shared = &self.shared;
        for output in &self.out {
            if let Output::Alert(alert) = output {
                shared.alerts.note(alert);
                shared.metrics.alerts_total.with_label_values(&[alert.kind.name(), alert.typology.name(), alert.status.name()]).inc();
            }
        }
        for kind in Kind::ALL {
            let held = self.engine.alert_counts(kind).held;
            shared.alerts.held[kind as usize].store(held, Ordering::Relaxed);
            shared.metrics.alerts_held.with_label_values(&[kind.name()]).set(held as i64);
        }
    }
}

impl Service {
    /// All that are open, and how many are held, as JSON text; of laundering for AML alone.
    pub(super) fn open_alerts(&self, aml: bool) -> Vec<u8> {
        let mut out = b"{\"alerts\":[".to_vec();
        for (place, alert) in self.shared.alerts.all(aml).iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.shared.alert_json(alert));
        }
        let held = Kind::ALL.into_iter().filter(|kind| aml || *kind == Kind::Fraud);
        let held: u64 = held.map(|kind| self.shared.alerts.held[kind as usize].load(Ordering::Relaxed)).sum();
        out.extend_from_slice(format!("],\"held\":{held}}}").as_bytes());
        out
    }
}
