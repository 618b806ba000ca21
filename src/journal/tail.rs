//! `weir tail`: the outputs of one topic as JSON lines, from a sequence on, as long as somebody waits for more.

use super::dir::DataDir;
use super::error::JournalError;
use super::export::{TextOf, id_text};
use super::files::Files;
use super::reader::Outputs;
use super::rejected::{RawInput, RawInputs};
use crate::decision::Decision;
use crate::engine::{Alert, Output, Rejected};
use crate::event::{Field, Origin, Refusal, Refused, Sequence};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// What can be read of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Decisions,
    Rejected,
    Alerts,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 3] = [Topic::Decisions, Topic::Rejected, Topic::Alerts];

    /// The word on the command line; the topic's own name has `weir.` before it.
    pub fn name(self) -> &'static str {
        ["decisions", "rejected", "alerts"][self as usize]
    }

    /// The topic with this name, with or without `weir.`.
    pub fn parse(name: &str) -> Option<Topic> {
        let name = name.strip_prefix("weir.").unwrap_or(name);
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// What outputs need that they do not hold themselves.
pub struct Shown<'a> {
    /// A decision as one JSON object, without a line's end.
    pub decision: &'a dyn Fn(&Decision) -> String,
    /// A version of an alert as one JSON object, without a line's end.
    pub alert: &'a dyn Fn(&Alert) -> String,
    /// The name of the source that an origin's number stands for.
    pub source: &'a dyn Fn(Origin) -> String,
    pub text_of: &'a TextOf<'a>,
}

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown")
    }
}

/// Writes the outputs of `topic` that answer records from `from` on. At the end of the log `wait` is asked: it returns when it is worth
/// looking again, or false to end. Returns how many lines were written.
///
/// # Errors
/// As [`Outputs::next_output`], and where `out` refuses.
pub fn tail(
    files: &Arc<dyn Files>,
    dir: &DataDir,
    topic: Topic,
    from: Sequence,
    shown: &Shown,
    wait: &mut dyn FnMut() -> bool,
    out: &mut dyn Write,
) -> Result<u64, JournalError> {
    let mut outputs = Outputs::open(files.clone(), &dir.outputs(), from)?;
    let mut raw = RawInputs::open(files.clone(), &dir.rejected(), from)?;
    let failed = |source: io::Error| JournalError::Io { doing: "writing the topic", path: Path::new("output").to_owned(), source };
    let mut lines = 0;
    loop {
        let Some(output) = outputs.next_output()? else {
            out.flush().map_err(failed)?;
            if wait() { continue } else { return Ok(lines) }
        };
        let line = match (topic, &output) {
            (Topic::Decisions, Output::Decision(decision)) => (shown.decision)(decision),
            (Topic::Alerts, Output::Alert(alert)) => (shown.alert)(alert),
            (Topic::Rejected, Output::Rejected(rejected)) => {
                let input = raw.of(rejected.sequence)?;
                rejected_json(rejected, input.as_ref(), &(shown.source)(rejected.origin), None, shown.text_of)
            }
            _ => continue,
        };
        writeln!(out, "{line}").map_err(failed)?;
        lines += 1;
    }
}

/// `{source, partition, offset, code, reason, raw}`, `field` where it is about one, and `event_id` where there was an event; of a source's
/// several files the partition is the number. `topic` is the one that the source is, where it is one. `raw` is null where the input is no
/// longer kept, or where it was an event: that stands in the journal; bytes that are no UTF-8 stand in `raw_base64` as they were.
pub fn rejected_json(rejected: &Rejected, input: Option<&RawInput>, source: &str, topic: Option<&str>, text_of: &TextOf) -> String {
    let mut reason = reason(rejected.refused);
    if let Some(input) = input.filter(|input| !input.detail.is_empty()) {
        // The detail may begin with the field that is named already.
        let field = rejected.refused.field.map_or("", Field::name);
        let detail = input.detail.strip_prefix(field).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&input.detail);
        reason = format!("{reason}: {detail}");
    }
    let raw = input.map(|input| String::from_utf8_lossy(&input.raw).into_owned());
    let raw_base64 = input.filter(|input| std::str::from_utf8(&input.raw).is_err()).map(|input| BASE64_STANDARD.encode(&input.raw));
    let line = WireRejected {
        source,
        partition: rejected.origin.partition,
        offset: rejected.origin.offset,
        code: rejected.refused.reason.code(),
        field: rejected.refused.field.map(Field::name),
        reason,
        raw,
        raw_base64,
        topic,
        event_id: rejected.event.map(|event| id_text(event, text_of)),
    };
    serde_json::to_string(&line).expect("the object has text keys only")
}

/// Input that became no event.
// The order of the fields is that of the keys; what is said of them here is what the schema says.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct WireRejected<'a> {
    /// The name of the source that sent it: as the topology calls it, or a door.
    source: &'a str,
    /// The file among a source's files, or the partition of a topic.
    partition: u32,
    /// The line or row in the file, from 0, or the offset in the partition.
    offset: u64,
    /// Why it was refused.
    #[cfg_attr(test, schemars(extend("enum" = Refusal::ALL.map(Refusal::code), "$comment" = "open: words may be added")))]
    code: &'static str,
    /// The field of the event that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("type" = "string")))]
    field: Option<&'static str>,
    /// Code, field, what was found and what was expected as a sentence for a person; its words may change.
    reason: String,
    /// The input as it stood, cut at its limit; null where it is no longer kept, or was an event: that stands in the journal.
    raw: Option<String>,
    /// The bytes of the input where they are no UTF-8: those of raw are mended then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("type" = "string")))]
    raw_base64: Option<String>,
    /// The topic that it came from, where it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("type" = "string")))]
    topic: Option<&'a str>,
    /// The id of the event, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("type" = "string")))]
    event_id: Option<String>,
}

/// The schema of rejected input.
#[cfg(test)]
pub(crate) fn rejected_schema() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<WireRejected>()
}

/// `invalid amount`, `missing user`, `malformed`, `unknown target`: the field where the reason alone does not say it.
fn reason(refused: Refused) -> String {
    let words = refused.reason.code().replace('_', " ");
    match refused.field {
        Some(field) if matches!(refused.reason, Refusal::Invalid | Refusal::Missing) => format!("{words} {}", field.name()),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Id, IdKind, Timestamp};
    use crate::journal::{Disk, LogOptions, OutputLog, RejectedLog};
    use serde_json::{Value, json};

    fn rejected(sequence: u64, reason: Refusal, event: Option<Id>) -> Output {
        let origin = Origin { source: 2, partition: 0, offset: sequence * 10 };
        let field = if reason == Refusal::Invalid { Some(Field::Amount) } else { None };
        Output::Rejected(Rejected { sequence: Sequence(sequence), origin, refused: Refused { reason, field }, event })
    }

    #[test]
    fn rejected_input_is_shown_with_what_is_kept_of_it_while_the_log_grows() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::write(folder.path()).unwrap();
        let files: Arc<dyn Files> = Arc::new(Disk);
        let small = LogOptions { segment_bytes: 200, ..LogOptions::default() };
        let (mut outputs, _) = OutputLog::open(files.clone(), &dir.outputs(), small).unwrap();
        let (mut raw, _) = RejectedLog::open(files.clone(), &dir.rejected(), LogOptions::default()).unwrap();
        let mut write = |sequence: u64| {
            if sequence == 3 {
                outputs.append(&rejected(3, Refusal::FutureDated, Some(Id::from_bits(5)))).unwrap();
            } else {
                let (received, detail) = (Timestamp(0), "amount: \"x\", expected an integer".to_owned());
                raw.append(&RawInput { sequence: Sequence(sequence), received, detail, raw: b"{\"amount\":\"x\"}".to_vec() }).unwrap();
                raw.commit().unwrap();
                outputs.append(&rejected(sequence, Refusal::Invalid, None)).unwrap();
            }
            outputs.commit().unwrap();
        };
        write(1);
        let mut next = 2;
        let mut wait = || {
            // Written while the tail stands at the end, over several segments.
            if next < 12 {
                write(next);
                next += 1;
                return true;
            }
            false
        };
        let decision = |_: &Decision| unreachable!("none was made");
        let alert = |_: &Alert| unreachable!("none was made");
        let (source, text_of) = (|origin: Origin| format!("source{}", origin.source), |_| Some((IdKind::Event, "late".to_owned())));
        let shown = Shown { decision: &decision, alert: &alert, source: &source, text_of: &text_of };
        let mut out = Vec::new();
        let lines = tail(&files, &dir, Topic::Rejected, Sequence(2), &shown, &mut wait, &mut out).unwrap();
        assert_eq!(lines, 10);
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let reason = "invalid amount: \"x\", expected an integer";
        assert_eq!(
            lines[0],
            json!({
                "source": "source2", "partition": 0, "offset": 20, "code": "invalid", "field": "amount", "reason": reason,
                "raw": "{\"amount\":\"x\"}",
            })
        );
        assert_eq!(
            lines[1],
            json!({
                "source": "source2", "partition": 0, "offset": 30, "code": "future_dated", "reason": "future dated", "raw": null,
                "event_id": "late",
            })
        );
        let offsets: Vec<u64> = lines.iter().map(|line| line["offset"].as_u64().unwrap()).collect();
        assert_eq!(offsets, (2..12).map(|n| n * 10).collect::<Vec<_>>());
    }

    #[test]
    fn topics_have_two_names() {
        assert_eq!(Topic::parse("decisions"), Some(Topic::Decisions));
        assert_eq!(Topic::parse("weir.rejected"), Some(Topic::Rejected));
        assert_eq!(Topic::parse("weir.alerts"), Some(Topic::Alerts));
        assert_eq!(Topic::parse("events"), None);
    }
}
