//! What the console's first page shows of a service.

use super::Service;
use super::news::Item;
use super::pulse::Beat;
use crate::console::{Alert as Shown, Attention, Now, Rate};
use crate::engine::Alert;
use crate::event::{Id, Timestamp};
use crate::graph::Family;
use crate::render::{View, money};
use serde_json::Value;
use std::sync::atomic::Ordering;

/// Judgements that the page shows.
const SHOWN: usize = 12;
/// And alerts.
const ALERTS_SHOWN: usize = 8;

impl Service {
    /// The figures of `beat`, and what stands here; alerts of laundering for AML alone. `attack_of` knows of some events which attack they belong to.
    pub(super) fn overview(&self, beat: Beat, url: &str, aml: bool, attack_of: &dyn Fn(Id) -> Option<&'static str>) -> Now {
        let (shared, readiness) = (&self.shared, self.readiness());
        let metrics = &shared.metrics;
        let alerts = shared.alerts.all(aml);
        let alerts = alerts.iter().map(|alert| (alert, alert.edges.iter().find_map(|edge| attack_of(edge.event))));
        // The weightiest, and those that somebody looks for.
        let alerts = alerts.enumerate().filter(|(place, (_, attack))| *place < ALERTS_SHOWN || attack.is_some()).take(2 * ALERTS_SHOWN);
        let rows = Family::ALL.iter().map(|family| metrics.graph_rows.with_label_values(&[family.name()]).get()).sum::<i64>();
        Now {
            version: crate::ENGINE_VERSION,
            url: url.to_owned(),
            trouble: (!readiness.ready).then_some(readiness.detail),
            events: beat.events.iter().map(|(name, per_second)| Rate { name, per_second: *per_second }).collect(),
            history: beat.history,
            decisions_per_second: beat.decisions_per_second,
            outcomes: beat.outcomes,
            stand_ins: beat.stand_ins,
            answer_ms: beat.answer_seconds.map(|(half, most)| (half * 1000.0, most * 1000.0)),
            nodes: metrics.graph_nodes.get().unsigned_abs(),
            rows: rows.unsigned_abs(),
            behind: self.recorded().saturating_sub(shared.judged.load(Ordering::Acquire)),
            alerts: alerts.map(|(_, (alert, attack))| Shown { attack, ..self.alert(alert) }).collect(),
            attention: shared.news.newest(SHOWN).iter().map(|item| self.attention(item, attack_of(item.decision.event))).collect(),
            demonstration: None,
        }
    }

    fn alert(&self, alert: &Alert) -> Shown {
        // As the door of alerts shows it.
        let json: Value = serde_json::from_slice(&self.shared.alert_json(alert)).expect("an object was rendered");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subject = &json["subject"];
        let reasons = json["reasons"].as_array().map_or(&[][..], Vec::as_slice);
        Shown {
            id: text(&json["alert_id"]),
            subject: format!("{} {}", text(&subject["kind"]), text(&subject["id"])),
            first: clock_time(alert.first_event),
            last: clock_time(alert.last_event),
            score: alert.score,
            money: money(alert.money_minor, self.shared.options.rates.reporting),
            events: alert.events,
            members: alert.members.len() as u64,
            reasons: reasons.iter().map(|reason| text(&reason["text"])).collect(),
            attack: None,
        }
    }

    fn attention(&self, item: &Item, attack: Option<&'static str>) -> Attention {
        // Where the text is not there yet, or was erased, the hash stands for it.
        let text = |id: Id| self.shared.identity.text(id).ok().flatten().map_or_else(|| id.to_string(), |(_, text)| text);
        let party = |id: Option<Id>| id.map_or_else(|| "outside".to_owned(), &text);
        let decision = &item.decision;
        let texts = self.shared.policies.texts(&decision.provenance.policy);
        let shown = decision.reasons.as_slice().iter().filter(|reason| View::Public.shows(reason.code.audience()));
        Attention {
            time: clock_time(decision.time),
            event: text(decision.event),
            from: party(item.parties[0]),
            to: party(item.parties[1]),
            amount: money(item.amount.minor, item.amount.currency),
            outcome: decision.outcome.name(),
            risk_score: decision.risk_score,
            reasons: shown.map(|reason| texts.sentence(reason, decision.kind)).collect(),
            attack,
        }
    }
}

/// `14:03:07`, in UTC.
pub(in crate::runtime) fn clock_time(time: Timestamp) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::clock_time;
    use crate::event::Timestamp;

    #[test]
    fn a_time_of_day_has_eight_signs() {
        assert_eq!(clock_time(Timestamp(1_527_811_200_500_000)), "00:00:00");
        assert_eq!(clock_time(Timestamp(1_527_811_200_000_000 + 3_661_000_000)), "01:01:01");
    }
}
