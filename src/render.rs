//! Decisions as JSON text: what the hook answers and the topics carry.
//!
//! The keys and their order are those of the contract; a decision renders to the same bytes on every machine. Ids are looked up where
//! their texts are kept, sentences are made from the policy whose hash the decision bears.

mod alert;
#[cfg(test)]
pub(crate) mod schema;
mod texts;

pub use alert::{alert, alert_id};
pub use texts::PolicyTexts;

use crate::ENGINE_VERSION;
use crate::decision::{Audience, Decision, Part, Reason, SHARE_ONE, Skip, Status, Why};
use crate::event::{Currency, Duration, Id, Timestamp};
use serde::Serialize;
use std::cmp::Reverse;
use std::fmt::Write;

/// For whom a decision is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The hook's answer and the topic of decisions: nothing that speaks of laundering, and but for the outcome nothing that hangs on it.
    Public,
    /// The internal topic, which has its own access: everything.
    Internal,
}

impl View {
    /// Whether this view shows what is meant for `audience`.
    pub fn shows(self, audience: Audience) -> bool {
        match self {
            View::Public => audience != Audience::Aml,
            View::Internal => true,
        }
    }
}

/// Appends `decision` as one JSON object to `out`. `id_text` gives an id's text; where it has none the hash stands in hexadecimal.
pub fn decision(decision: &Decision, view: View, texts: &PolicyTexts, id_text: &dyn Fn(Id) -> Option<String>, out: &mut Vec<u8>) {
    let provenance = &decision.provenance;
    let suspicion = (view == View::Internal).then_some(&decision.suspicion);
    let mut reasons: Vec<&Reason> = decision.reasons.as_slice().iter().collect();
    reasons.extend(suspicion.iter().flat_map(|suspicion| suspicion.reasons.as_slice()));
    reasons.sort_by_key(|reason| Reverse(reason.weight));
    let skipped: Vec<Skip> = decision.skipped.as_slice().iter().copied().chain(suspicion.iter().flat_map(|of| of.skips())).collect();
    let status = match decision.status {
        // Whether something of it was skipped that is not for everybody.
        Status::Evaluated if skipped.iter().any(|skip| skip.why.degrades()) => Status::Degraded,
        status => status,
    };
    let used = if suspicion.is_some_and(|of| of.no_number) { decision.used.without(Part::Gnn) } else { decision.used };
    let wire = WireDecision {
        event_id: id_text(decision.event).unwrap_or_else(|| decision.event.to_string()),
        revision: decision.revision,
        sequence: decision.sequence.0,
        time: decision.time.to_string(),
        outcome: decision.outcome.name(),
        risk_score: suspicion.map_or(0, |suspicion| suspicion.risk_score).max(decision.risk_score),
        fraud_probability: decision.fraud_probability(),
        reasons: reasons
            .into_iter()
            .filter(|reason| view.shows(reason.code.audience()))
            .map(|reason| WireReason { code: reason.code.name(), text: texts.sentence(reason, decision.kind), weight: reason.weight })
            .collect(),
        control_group: decision.control_group.map(|share| WireControl { propensity: f64::from(share) / f64::from(SHARE_ONE) }),
        status: status.name(),
        used: Part::ALL.into_iter().filter(|part| used.contains(*part)).map(Part::name).collect(),
        skipped: skipped.iter().map(|skip| WireSkip { part: part(skip), why: why(skip, view, texts) }).collect(),
        model: provenance.model.as_ref().map(hexadecimal),
        policy: hexadecimal(&provenance.policy),
        topology: hexadecimal(&provenance.topology),
        engine_version: ENGINE_VERSION,
    };
    serde_json::to_writer(out, &wire).expect("a vector takes every byte, and the object has text keys only");
}

/// The judgement of one payment or transfer.
// The order of the fields is that of the keys; what is said of them here is what the schemas say.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireDecision {
    /// The id of the event that was judged.
    event_id: String,
    /// 2 where a stand-in and a judgement were both made and this is the later. Where both are there the stand-in (status fallback) is the
    /// answer, whatever its number.
    #[cfg_attr(test, schemars(range(min = 1, max = 2)))]
    revision: u8,
    /// Position in Weir's journal of the record that led to this.
    sequence: u64,
    /// When the event happened, as the event says: RFC 3339 in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    time: String,
    /// What to do, in order of severity: approve; challenge (ask the customer to prove who they are); review (hold for a person); decline.
    #[cfg_attr(test, schemars(extend("enum" = schema::outcomes())))]
    outcome: &'static str,
    /// 0 to 1000, the greater the worse. The outcome is at least as severe as it calls for, and may be severer.
    #[cfg_attr(test, schemars(range(max = 1000)))]
    risk_score: u16,
    /// The model's calibrated probability that this payment turns out to be fraud; null where no model judged, and for transfers.
    #[cfg_attr(test, schemars(range(min = 0, max = 1)))]
    fraud_probability: Option<f32>,
    /// Why: at most four, the strongest first; in the internal view at most four more that speak of laundering.
    reasons: Vec<WireReason>,
    /// Not null: it would have been declined and, unless the outcome is severer, goes through as one of the control group.
    control_group: Option<WireControl>,
    /// evaluated: all that is configured was used. degraded: a configured part was skipped, see skipped. fallback: a stand-in answered, for
    /// the deadline was over.
    #[cfg_attr(test, schemars(extend("enum" = schema::statuses())))]
    status: &'static str,
    /// The parts of the judgement that were used.
    #[cfg_attr(test, schemars(extend("items" = schema::used())))]
    used: Vec<&'static str>,
    /// The parts that were not, and why.
    skipped: Vec<WireSkip>,
    /// Content hash of the model that judged; null where none did.
    #[cfg_attr(test, schemars(regex(pattern = schema::HASH)))]
    model: Option<String>,
    /// Content hash of the policy that was in force.
    #[cfg_attr(test, schemars(regex(pattern = schema::HASH)))]
    policy: String,
    /// Content hash of what of the topology decides.
    #[cfg_attr(test, schemars(regex(pattern = schema::HASH)))]
    topology: String,
    /// The version of the program that judged.
    engine_version: &'static str,
}

/// One reason.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireReason {
    /// The word to act on.
    #[cfg_attr(test, schemars(extend("enum" = schema::codes(View::Internal), "$comment" = schema::OPEN)))]
    code: &'static str,
    /// A sentence for a person; its words may change.
    text: String,
    /// What it adds to the risk score.
    #[cfg_attr(test, schemars(range(max = 1000)))]
    weight: u16,
}

/// It would have been declined, and goes through to learn what declining is worth.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireControl {
    /// The share of would-be declines that go through, as it was when this one did.
    #[cfg_attr(test, schemars(range(min = 0, max = 1)))]
    propensity: f64,
}

/// A part of the judgement that was not used.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireSkip {
    /// Its name; a window's carries its length: window_30d. judgement is all of it, stream what a source has sent and nobody read yet.
    #[cfg_attr(test, schemars(extend("anyOf" = schema::skipped())))]
    part: String,
    /// A sentence for a person; its words may change.
    why: String,
}

fn part(skip: &Skip) -> String {
    match skip.part {
        Part::Window => format!("{}_{}", skip.part.name(), Duration(skip.window)),
        part => part.name().to_owned(),
    }
}

fn why(skip: &Skip, view: View, texts: &PolicyTexts) -> String {
    match skip.why {
        Why::NoModel => "no model configured".to_owned(),
        Why::NoTypologies => "no typologies configured".to_owned(),
        Why::Effort => "less effort was asked for".to_owned(),
        Why::NodesFull => "node table was full: an entity of this event is not kept".to_owned(),
        Why::WarmNodesFull => "pool of warm nodes was full: of an entity only the newest four events are known".to_owned(),
        Why::HistorySince => format!("history since {}", Timestamp(skip.value)),
        Why::PairsFull => "pair table was full".to_owned(),
        Why::LateFull => "ring of late events was full".to_owned(),
        Why::NoRate => "no rate for this currency".to_owned(),
        Why::Deadline => "not judged within the deadline: a stand-in answered".to_owned(),
        Why::NoNumber => "what the model said is no number".to_owned(),
        Why::ColdShard => "cold shard".to_owned(),
        Why::Behind => format!("{} {} s behind", texts.source(skip.window), skip.value),
        Why::Guarded if skip.value < 0 => "so much was declined of a sudden that declines yield".to_owned(),
        Why::Guarded => format!("{} declined so much of a sudden that it yields", texts.cause(skip.value, view)),
        Why::RuleError => format!("{} overflowed, divided by zero or compared what is not a number", texts.cause(skip.value, view)),
    }
}

/// `123450` minor units of EUR as `1234.50 EUR`.
pub fn money(minor: i64, currency: Currency) -> String {
    let digits = currency.exponent();
    let unit = 10u64.pow(digits);
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, rest) = (minor.unsigned_abs() / unit, minor.unsigned_abs() % unit);
    match digits {
        0 => format!("{sign}{whole} {}", currency.code()),
        _ => format!("{sign}{whole}.{rest:0width$} {}", currency.code(), width = digits as usize),
    }
}

fn hexadecimal(bytes: &[u8; 16]) -> String {
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every letter");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{
        CauseList, ListsOptions, Outcome, Parts, PolicyOptions, Provenance, ReasonCode, Reasons, RuleOptions, Skips, Suspicion,
        VelocityLimit,
    };
    use crate::event::{EventType, IdKey, IdKind, Sequence};
    use crate::velocity::{Aggregate, Role, Stat};
    use proptest::prelude::*;

    fn texts() -> PolicyTexts {
        texts_where("a \"large\" payment\nat night")
    }

    /// Those of a policy whose second rule has this text.
    fn texts_where(night: &str) -> PolicyTexts {
        let rule = |name: &str, text: &str| RuleOptions {
            name: name.to_owned(),
            of: EventType::Payment,
            when: "true".to_owned(),
            outcome: Outcome::Review,
            risk_score: 500,
            reason: ReasonCode::AmountHigh,
            text: text.to_owned(),
        };
        let limit = |aggregate: &str, stat: &str, window, max| VelocityLimit {
            name: stat.to_owned(),
            of: EventType::Payment,
            aggregate: aggregate.to_owned(),
            stat: stat.to_owned(),
            window,
            max,
            outcome: Outcome::Review,
            risk_score: 500,
        };
        let aggregate = |name: &str, key, filter: Option<&str>| Aggregate {
            name: name.to_owned(),
            key: Role::parse(EventType::Payment, key).unwrap(),
            of: EventType::Payment,
            filter: filter.map(str::to_owned),
            windows: vec![Duration::HOUR],
            stats: vec![Stat::Count],
            label_windows: vec![],
        };
        let options = PolicyOptions {
            rules: vec![
                rule("large", ""),
                rule("night", night),
                RuleOptions { reason: ReasonCode::ModelLaundering, ..rule("smurfing", "") },
            ],
            velocity: vec![
                limit("user_payments", "count", Duration::HOUR, 20),
                limit("user_payments", "sum", Duration::DAY, 100_000),
                limit("user_payments", "distinct_merchant", Duration::DAY.times(7), 5),
                limit("shop_abroad", "count", Duration::MINUTE, 3),
            ],
            ..PolicyOptions::default()
        };
        let aggregates = [aggregate("shop_abroad", "merchant", Some("country != 'SE'")), aggregate("user_payments", "user", None)];
        PolicyTexts::new(&options, &aggregates, &ListsOptions::default(), Currency::parse("EUR").unwrap())
    }

    fn reason(code: ReasonCode, cause: u16, weight: u16, value: i64) -> Reason {
        Reason { code, cause, weight, value }
    }

    fn skip(part: Part, why: Why, value: i64, window: Duration) -> Skip {
        Skip { part, why, value, window: window.0 }
    }

    fn sample() -> Decision {
        let mut reasons = Reasons::default();
        reasons.insert(reason(ReasonCode::VelocityCount, 3, 610, 31));
        reasons.insert(reason(ReasonCode::AmountHigh, 1, 500, 0));
        let mut skipped = Skips::default();
        skipped.push(skip(Part::Rules, Why::RuleError, 0, Duration(0)));
        skipped.push(skip(Part::Gnn, Why::NoModel, 0, Duration(0)));
        skipped.push(skip(Part::Window, Why::HistorySince, 1_525_132_800_000_000, Duration::DAY.times(30)));
        Decision {
            event: IdKey::FILES.id(IdKind::Event, b"payment-1"),
            kind: EventType::Payment,
            key: IdKey::FILES.id(IdKind::User, b"7"),
            revision: 1,
            sequence: Sequence(42),
            time: Timestamp(1_527_811_200_500_000),
            outcome: Outcome::Review,
            risk_score: 610,
            probability: None,
            reasons,
            control_group: None,
            status: Status::Degraded,
            used: Parts::default().with(Part::Velocity).with(Part::Rules),
            skipped,
            provenance: Provenance { model: None, policy: [0xab; 16], topology: [0x01; 16] },
            suspicion: Suspicion::default(),
        }
    }

    fn rendered(of: &Decision, id_text: &dyn Fn(Id) -> Option<String>) -> String {
        let mut out = Vec::new();
        decision(of, View::Public, &texts(), id_text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_decision_renders_to_these_bytes() {
        let golden = concat!(
            r#"{"event_id":"payment-1","revision":1,"sequence":42,"time":"2018-06-01T00:00:00.5Z","outcome":"review","#,
            r#""risk_score":610,"fraud_probability":null,"reasons":["#,
            r#"{"code":"velocity_count","text":"31 payments of this user within 1h, at most 20","weight":610},"#,
            r#"{"code":"amount_high","text":"a \"large\" payment\nat night","weight":500}],"control_group":null,"#,
            r#""status":"degraded","used":["rules","velocity"],"skipped":["#,
            r#"{"part":"rules","why":"rule large overflowed, divided by zero or compared what is not a number"},"#,
            r#"{"part":"gnn","why":"no model configured"},"#,
            r#"{"part":"window_30d","why":"history since 2018-05-01T00:00:00Z"}],"#,
            r#""model":null,"policy":"abababababababababababababababab","topology":"01010101010101010101010101010101","#,
            r#""engine_version":"VERSION"}"#
        );
        let golden = golden.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(rendered(&sample(), &|_| Some("payment-1".to_owned())), golden);
    }

    #[test]
    fn what_is_for_aml_alone_changes_no_byte_elsewhere() {
        let mut plain = sample();
        plain.skipped = Skips::default();
        (plain.status, plain.used) = (Status::Evaluated, plain.used.with(Part::Gnn));
        let mut causes = CauseList::default();
        causes.push(2);
        let mut reasons = Reasons::default();
        reasons.insert(reason(ReasonCode::ModelLaundering, 2, 550, 0));
        let (rule_errors, yielded) = (causes, causes);
        let outcome = plain.outcome;
        let suspicion = Suspicion { outcome, risk_score: 950, reasons, rule_errors, yielded, sum_yielded: true, no_number: true };
        let one = Decision { suspicion, ..plain };
        assert_eq!(rendered(&one, &|_| None), rendered(&plain, &|_| None));
        let mut internal = Vec::new();
        decision(&one, View::Internal, &texts(), &|_| None, &mut internal);
        let internal: serde_json::Value = serde_json::from_slice(&internal).unwrap();
        let codes: Vec<&str> = internal["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["velocity_count", "model_laundering", "amount_high"]);
        assert_eq!((&internal["risk_score"], &internal["status"]), (&950.into(), &"degraded".into()));
        assert_eq!(internal["used"], serde_json::json!(["rules", "velocity"]));
        let skipped = internal["skipped"].to_string();
        for said in ["what the model said is no number", "rule smurfing declined", "rule smurfing overflowed", "declines yield"] {
            assert!(skipped.contains(said), "{said}: {skipped}");
        }
    }

    #[test]
    fn an_id_without_text_shows_its_hash() {
        let hash = sample().event.to_string();
        assert!(rendered(&sample(), &|_| None).starts_with(&format!(r#"{{"event_id":"{hash}","#)));
    }

    #[test]
    fn sentences_say_what_was_counted_and_where() {
        use ReasonCode::*;
        for (reason, expected) in [
            (reason(AmountHigh, 0, 1, 0), "an unusually large amount"),
            (reason(VelocitySum, 4, 1, 123_450), "1234.50 EUR in payments of this user within 1d, at most 1000.00 EUR"),
            (reason(VelocityDistinct, 5, 1, 6), "6 different merchants in payments of this user within 7d, at most 5"),
            (reason(VelocityCount, 6, 1, 4), "4 payments of this merchant within 1m counted by shop_abroad, at most 3"),
            (reason(Rule, 99, 1, 0), "a rule of the policy holds"),
        ] {
            assert_eq!(texts().sentence(&reason, EventType::Payment), expected);
        }
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        let money = |minor, code| money(minor, Currency::parse(code).unwrap());
        assert_eq!(money(5, "EUR"), "0.05 EUR");
        assert_eq!(money(-150, "EUR"), "-1.50 EUR");
        assert_eq!(money(150, "JPY"), "150 JPY");
        assert_eq!(money(1500, "BHD"), "1.500 BHD");
    }

    #[test]
    fn nothing_of_laundering_is_public() {
        assert!(!View::Public.shows(Audience::Aml));
        assert!(View::Internal.shows(Audience::Aml));
        for audience in [Audience::Customer, Audience::Merchant, Audience::Internal] {
            assert!(View::Public.shows(audience) && View::Internal.shows(audience));
        }
    }

    proptest! {
        // Planted mistakes that it caught: a reason lost; a sentence escaped twice; JSON over several lines.
        #[test]
        fn every_decision_is_json_with_the_contract_s_keys(
            id in "\\PC{0,20}|[\\x00-\\x1f\"\\\\]{0,5}",
            text in "\\PC{0,20}|[\\x00-\\x1f\"\\\\]{0,5}",
            reasons in proptest::collection::vec((0..10usize, any::<u16>(), any::<u16>(), any::<i64>()), 0..6),
            skips in proptest::collection::vec((0..8usize, 0..10usize, any::<i64>(), any::<i64>()), 0..14),
            probability in any::<Option<f32>>(),
            time in any::<i64>(),
            used in any::<u8>(),
            model in any::<Option<[u8; 16]>>(),
        ) {
            let mut decided = Decision { probability, time: Timestamp(time), used: Parts(used), ..sample() };
            decided.provenance.model = model;
            decided.reasons = Reasons::default();
            for (code, cause, weight, value) in &reasons {
                decided.reasons.insert(reason(ReasonCode::ALL[*code], *cause % 7, *weight, *value));
            }
            decided.skipped = Skips::default();
            for (part, why, value, window) in &skips {
                decided.skipped.push(skip(Part::ALL[*part], Why::ALL[*why], *value, Duration(*window)));
            }
            let mut out = Vec::new();
            decision(&decided, View::Internal, &texts_where(&text), &|_| Some(id.clone()), &mut out);
            let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(parsed.as_object().unwrap().len(), 16);
            prop_assert_eq!(parsed["event_id"].as_str(), Some(id.as_str()));
            prop_assert_eq!(parsed["reasons"].as_array().unwrap().len(), reasons.len().min(4));
            prop_assert!(!out.contains(&b'\n'), "one line");
            for (shown, kept) in parsed["reasons"].as_array().unwrap().iter().zip(decided.reasons.as_slice()) {
                if kept.cause == 1 && !text.is_empty() && !kept.code.is_list() {
                    prop_assert_eq!(shown["text"].as_str(), Some(text.as_str()));
                }
            }
        }
    }
}
