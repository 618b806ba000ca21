//! The books of a reconciliation: what was asked, what was answered, and what does not fit.
//!
//! Ids are kept as 16 bytes of a hash: two million events take some hundred megabytes, whatever their ids look like.

use super::decision::Answer;
use super::traffic::Head;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;

/// A record as it stands in a topic.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// The headers `weir-shard` and `weir-sequence`.
    pub shard: Option<u64>,
    pub sequence: Option<u64>,
}

/// How many of each finding are shown.
const EXAMPLES_MAX: usize = 5;

type Digest = [u8; 16];

fn digest(bytes: &[u8]) -> Digest {
    let whole = Sha256::digest(bytes);
    let mut half = Digest::default();
    half.copy_from_slice(&whole[..16]);
    half
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Of the key of the event's first record, else of the decision's.
    key: u64,
    /// Of the event's first record.
    offset: i64,
    partition: i32,
    asked: bool,
    /// Whether Weir itself wrote an event's record: then its place in the topic says nothing about when it was judged.
    published: bool,
    rejected: bool,
    /// Records of decisions with revision 1 and 2, up to 255.
    revisions: [u8; 2],
    /// Which of them is a stand-in.
    stand_ins: [bool; 2],
    /// Where the judgement, not the stand-in, stands in the journal.
    judged: Option<u64>,
}

/// The books.
#[derive(Default)]
pub struct Ledger {
    known: HashMap<Digest, Known>,
    /// The last sequence by partition and shard of the topic of decisions.
    last: HashMap<(i32, u64), u64>,
    /// Decisions that a replay gave, by id and revision: their bytes, and whether the topic has them.
    replayed: Option<HashMap<(Digest, u64), (Digest, bool)>>,
    found: Findings,
}

/// What a reconciliation found. The upper half counts, the lower half is wrong wherever it is not 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// Records in the topic of events.
    pub events: u64,
    pub payments: u64,
    pub transfers: u64,
    /// Records of payments and transfers that Weir wrote itself.
    pub published: u64,
    /// Records of payments and transfers whose id came before.
    pub repeated: u64,
    /// Records that are no event at all.
    pub malformed_events: u64,
    /// Different ids of payments and transfers.
    pub asked: u64,
    /// Records in the topic of decisions.
    pub decisions: u64,
    /// Different ids among them.
    pub decided: u64,
    /// Ids with a stand-in and a judgement.
    pub pairs: u64,
    /// Ids with a stand-in only.
    pub stand_ins_alone: u64,
    /// Ids without a decision that were refused.
    pub rejected: u64,

    /// Ids without a decision that were not refused.
    pub missing: u64,
    /// Records of decisions whose id and revision came before.
    pub duplicates: u64,
    /// Ids of decisions that no event has.
    pub without_event: u64,
    /// Ids whose decisions are neither revision 1 alone nor revisions 1 and 2 of which one is a stand-in.
    pub wrong_revisions: u64,
    /// Records of decisions whose sequence does not rise within partition and shard.
    pub out_of_order: u64,
    /// Judgements that stand before that of an earlier event of the same key.
    pub out_of_key_order: u64,
    /// Records of decisions with another key than their event.
    pub other_key: u64,
    /// Records of decisions whose header `weir-sequence` is not their sequence.
    pub other_header: u64,
    /// Records that are no decision.
    pub malformed_decisions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Compared>,
    /// A few of what is wrong, in words.
    pub examples: Vec<String>,
}

/// Decisions of the topic beside those of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    pub replayed: u64,
    pub same: u64,
    /// In both, with other bytes.
    pub different: u64,
    /// In the replay only.
    pub not_in_topic: u64,
    /// In the topic only.
    pub not_in_replay: u64,
}

impl Findings {
    /// Everything that is wrong, by name.
    pub fn wrong(&self) -> Vec<(&'static str, u64)> {
        let replay = self.replay.unwrap_or_default();
        let all = [
            ("missing", self.missing),
            ("duplicates", self.duplicates),
            ("decisions without an event", self.without_event),
            ("wrong revisions", self.wrong_revisions),
            ("out of order in their partition", self.out_of_order),
            ("out of order for their key", self.out_of_key_order),
            ("with another key than the event", self.other_key),
            ("header is not the sequence", self.other_header),
            ("no decision at all", self.malformed_decisions),
            ("other bytes than in the replay", replay.different),
            ("in the replay only", replay.not_in_topic),
            ("in the topic only, not in the replay", replay.not_in_replay),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn show(&mut self, count: u64, what: impl FnOnce() -> String) {
        if count <= EXAMPLES_MAX as u64 {
            self.examples.push(what());
        }
    }
}

/// What the books need of refused input.
#[derive(Deserialize)]
struct Refused<'a> {
    #[serde(borrow)]
    raw: Option<Cow<'a, str>>,
}

impl Ledger {
    /// Takes a decision that a replay gave.
    ///
    /// # Errors
    /// Where it is none, or came before.
    pub fn expect(&mut self, line: &[u8]) -> Result<(), String> {
        let answer: Answer<'_> = serde_json::from_slice(line).map_err(|error| format!("expected a decision: {error}"))?;
        let place = (digest(answer.event_id.as_bytes()), answer.revision);
        let before = self.replayed.get_or_insert_default().insert(place, (digest(line), false));
        match before {
            None => Ok(()),
            Some(_) => Err(format!("found {} revision {} a second time", answer.event_id, answer.revision)),
        }
    }

    /// Takes a record of the topic of events.
    pub fn event(&mut self, entry: Entry<'_>) {
        let found = &mut self.found;
        found.events += 1;
        let Ok(head) = serde_json::from_slice::<Head<'_>>(entry.value) else {
            found.malformed_events += 1;
            return;
        };
        match &*head.kind {
            "payment" => found.payments += 1,
            "transfer" => found.transfers += 1,
            _ => return,
        }
        found.published += u64::from(entry.sequence.is_some());
        let known = self.known.entry(digest(head.id.as_bytes())).or_default();
        known.published |= entry.sequence.is_some();
        if known.asked {
            found.repeated += 1;
            return;
        }
        *known = Known { asked: true, key: key(entry.key), offset: entry.offset, partition: entry.partition, ..*known };
        found.asked += 1;
    }

    /// Takes a record of the topic of refused input.
    pub fn refused(&mut self, value: &[u8]) {
        let Ok(Refused { raw: Some(raw) }) = serde_json::from_slice(value) else { return };
        let Ok(head) = serde_json::from_str::<Head<'_>>(&raw) else { return };
        if head.is_money() {
            self.known.entry(digest(head.id.as_bytes())).or_default().rejected = true;
        }
    }

    /// Takes a record of the topic of decisions, after those of the topic of events.
    pub fn decision(&mut self, entry: Entry<'_>) {
        let Entry { partition, offset, .. } = entry;
        let found = &mut self.found;
        found.decisions += 1;
        let answer: Answer<'_> = match serde_json::from_slice(entry.value) {
            Ok(answer) if matches!(answer, Answer { revision: 1 | 2, .. }) => answer,
            other => {
                found.malformed_decisions += 1;
                let why = other.err().map_or("revision is not 1 or 2".to_owned(), |error| error.to_string());
                found.show(found.malformed_decisions, || format!("decisions[{partition}]@{offset}: {why}"));
                return;
            }
        };
        let (id, sequence) = (digest(answer.event_id.as_bytes()), answer.sequence);
        let name = || format!("decisions[{partition}]@{offset}: {} revision {}", answer.event_id, answer.revision);
        if entry.sequence != Some(sequence) {
            found.other_header += 1;
            found.show(found.other_header, || format!("{}: header weir-sequence is {:?}, expected {sequence}", name(), entry.sequence));
        }
        match self.last.insert((partition, entry.shard.unwrap_or(0)), sequence) {
            Some(last) if last >= sequence => {
                found.out_of_order += 1;
                found.show(found.out_of_order, || format!("{}: sequence {sequence} behind {last}", name()));
            }
            _ => {}
        }
        let known = self.known.entry(id).or_default();
        let place = answer.revision as usize - 1;
        let is_new = known.revisions == [0, 0];
        found.decided += u64::from(is_new);
        if known.revisions[place] > 0 {
            found.duplicates += 1;
            found.show(found.duplicates, || format!("{}: a second time", name()));
        }
        if is_new && !known.asked {
            found.without_event += 1;
            found.show(found.without_event, || format!("{}: without an event", name()));
        }
        known.revisions[place] = known.revisions[place].saturating_add(1);
        known.stand_ins[place] |= answer.is_stand_in();
        if !answer.is_stand_in() {
            known.judged.get_or_insert(sequence);
        }
        if known.asked && known.key != key(entry.key) {
            found.other_key += 1;
            let text = String::from_utf8_lossy(entry.key.unwrap_or_default());
            found.show(found.other_key, || format!("{}: key {text:?} is not that of events[{}]@{}", name(), known.partition, known.offset));
        }
        let Some(replayed) = &mut self.replayed else { return };
        let compared = found.replay.get_or_insert_default();
        match replayed.get_mut(&(id, answer.revision)) {
            Some((bytes, seen)) => {
                // What is there twice is told as a duplicate.
                let is_first = !std::mem::replace(seen, true);
                let is_same = *bytes == digest(entry.value);
                compared.same += u64::from(is_same && is_first);
                compared.different += u64::from(!is_same);
                let different = compared.different;
                if !is_same {
                    found.show(different, || format!("{}: other bytes than in the replay", name()));
                }
            }
            None => {
                compared.not_in_replay += 1;
                let only = compared.not_in_replay;
                found.show(only, || format!("{}: not in the replay", name()));
            }
        }
    }

    /// How many ids still have no decision and were not refused.
    pub fn open(&self) -> u64 {
        self.known.values().filter(|known| known.is_missing()).count() as u64
    }

    /// Closes the books.
    pub fn close(self) -> Findings {
        let mut found = self.found;
        let mut missing: Vec<(i32, i64)> = Vec::new();
        let mut judged: Vec<(u64, i32, i64, u64)> = Vec::new();
        for known in self.known.values() {
            if known.is_missing() {
                missing.push((known.partition, known.offset));
            }
            found.rejected += u64::from(known.asked && known.rejected && known.revisions == [0, 0]);
            found.pairs += u64::from(known.is_pair());
            found.stand_ins_alone += u64::from(known.revisions[1] == 0 && known.stand_ins[0]);
            // A repetition of revision 1 is a duplicate, told above.
            let is_single = known.revisions[1] == 0;
            found.wrong_revisions += u64::from(!is_single && !known.is_pair());
            if let (Some(sequence), true, false) = (known.judged, known.asked, known.published) {
                judged.push((known.key, known.partition, known.offset, sequence));
            }
        }
        missing.sort_unstable();
        found.missing = missing.len() as u64;
        for (partition, offset) in missing.iter().take(EXAMPLES_MAX) {
            found.examples.push(format!("events[{partition}]@{offset}: no decision"));
        }
        judged.sort_unstable();
        for pair in judged.windows(2) {
            let (earlier, later) = (pair[0], pair[1]);
            if (earlier.0, earlier.1) == (later.0, later.1) && earlier.3 >= later.3 {
                found.out_of_key_order += 1;
                let at = |event: (u64, i32, i64, u64)| format!("events[{}]@{} at sequence {}", event.1, event.2, event.3);
                found.show(found.out_of_key_order, || format!("{} is judged before {}", at(later), at(earlier)));
            }
        }
        if let Some(replayed) = &self.replayed {
            let compared = found.replay.get_or_insert_default();
            compared.replayed = replayed.len() as u64;
            compared.not_in_topic = replayed.values().filter(|(_, seen)| !seen).count() as u64;
        }
        found
    }
}

impl Known {
    fn is_missing(&self) -> bool {
        self.asked && !self.rejected && self.revisions == [0, 0]
    }

    /// Whether a stand-in and a judgement stand beside each other.
    fn is_pair(&self) -> bool {
        self.revisions[0] > 0 && self.revisions[1] > 0 && self.stand_ins[0] != self.stand_ins[1]
    }
}

/// Two keys are the same where these are; none is a key of its own.
fn key(key: Option<&[u8]>) -> u64 {
    key.map_or(0, |key| u64::from_le_bytes(digest(key)[..8].try_into().expect("eight bytes")))
}

#[cfg(test)]
mod tests;
