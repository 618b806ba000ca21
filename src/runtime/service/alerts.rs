//! The alerts that are open, for whoever asks: kept beside the engine, so that nobody who reads them is waited for.

use super::Service;
use super::judge::Judge;
use crate::engine::{Alert, AlertStatus, Engine, Output};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The open alerts in their newest versions, by number.
pub(super) struct OpenAlerts {
    /// Held for as long as it takes to put one in, or to copy the pointers.
    told: Mutex<BTreeMap<u64, Arc<Alert>>>,
    held: AtomicU64,
}

impl OpenAlerts {
    /// Those of an engine that stands where its journal ends.
    pub(super) fn of(engine: &Engine) -> OpenAlerts {
        let told = engine.open_alerts().map(|alert| (alert.number, Arc::new(alert))).collect();
        OpenAlerts { told: Mutex::new(told), held: AtomicU64::new(engine.alert_counts().held) }
    }

    fn note(&self, alert: &Alert) {
        let mut told = self.told.lock().expect("nobody panics with it");
        match alert.status {
            AlertStatus::Open | AlertStatus::Suppressed => drop(told.insert(alert.number, Arc::new(alert.clone()))),
            AlertStatus::Closed | AlertStatus::Merged => drop(told.remove(&alert.number)),
        }
    }

    /// The weightiest first: score times money, then the older one.
    pub(super) fn all(&self) -> Vec<Arc<Alert>> {
        let mut all: Vec<Arc<Alert>> = self.told.lock().expect("nobody panics with it").values().cloned().collect();
        all.sort_by_key(|alert| std::cmp::Reverse(u64::from(alert.score).saturating_mul(alert.money_minor.max(1).unsigned_abs())));
        all
    }
}

impl Judge {
    /// Takes note of what the last step told of alerts.
    pub(super) fn publish_alerts(&self) {
        let (shared, counts) = (&self.shared, self.engine.alert_counts());
        for output in &self.out {
            if let Output::Alert(alert) = output {
                shared.alerts.note(alert);
                shared.metrics.alerts_total.with_label_values(&[alert.typology.name(), alert.status.name()]).inc();
            }
        }
        shared.alerts.held.store(counts.held, Ordering::Relaxed);
        shared.metrics.alerts_held.set(counts.held as i64);
    }
}

impl Service {
    /// All that are open, and how many are held, as JSON text.
    pub(super) fn open_alerts(&self) -> Vec<u8> {
        let mut out = b"{\"alerts\":[".to_vec();
        for (place, alert) in self.shared.alerts.all().iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.shared.alert_json(alert));
        }
        out.extend_from_slice(format!("],\"held\":{}}}", self.shared.alerts.held.load(Ordering::Relaxed)).as_bytes());
        out
    }
}
