//! What a journal has lost and the topics still know: outputs that were published, and the events that led to them.
//!
//! The events are told again in the order of the decisions: of each partition everything up to the event whose decision comes next. What came
//! by a door stands in the topic of events with the record that it had. What was published stands: it is not published again, and where a
//! decision comes out otherwise now – the lost journal's clock, lags and efforts are not known – both are written to `recovered.jsonl`, as is
//! every decision whose event nobody has any more.

use super::Shared;
use super::notes::Lost;
use super::published::{Key, Published, Read, alert_key, is_stand_in, rejected_key};
use super::scratch::{Piece, Scratch};
use crate::event::{Answered, Event, Id, IdKind, Origin, StandInWhy};
use crate::ingress::Reading;
use crate::ingress::wire::parse_event;
use crate::kafka::{From, KafkaOptions, Past, read_to_end};
use crate::runtime::naming::Told;
use crate::topology::Topics;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

/// Decisions are looked for from so long before the newest record of the journal on, in milliseconds: clocks of brokers and of this machine
/// may differ.
const SLACK_MS: i64 = 60_000;
/// The name of the file that lists what came out otherwise, or not at all.
pub(super) const LISTED: &str = "recovered.jsonl";

/// An event that is told again.
#[derive(Clone, Copy, Debug)]
struct Again {
    id: Id,
    origin: Origin,
    piece: Piece,
}

/// The events of the records that are lost, in the order in which they are told again.
pub(super) struct Restoration {
    again: Vec<Again>,
    /// Answers that stand-ins gave, by event.
    answered: HashMap<Id, (u8, Value)>,
    scratch: Scratch,
    /// By topic and partition from where on the source reads.
    pub(super) positions: BTreeMap<(u16, u32), u64>,
}

/// What is told again next.
pub(super) enum Retold {
    Event { origin: Origin, event: Box<Event>, texts: Told },
    Answered(Answered),
}

/// The id alone of an event.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Restoration {
    /// Reads what was published of the records that are lost, and the events that are behind `positions`. `sources` are the topics that are
    /// read, each with the number of its source; `go_on` says whether it is still wanted.
    pub(super) fn read(
        shared: &Shared,
        kafka: &KafkaOptions,
        topics: &Topics,
        sources: &[(u16, String)],
        positions: &BTreeMap<(u16, u32), u64>,
        lost: Lost,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(Restoration, Published), String> {
        let words = |cause: io::Error| format!("the scratch file of a restoration: {cause}");
        let id_of = |payload: &[u8]| {
            let named: Named<'_> = serde_json::from_slice(payload).ok()?;
            Some(shared.key.id(IdKind::Event, named.id.as_bytes()))
        };
        let read = |topic: &str, from: &From, take: &mut dyn FnMut(Past<'_>)| read_to_end(kafka, topic, from, go_on, take);
        let is_lost =
            |past: &Past<'_>| past.sent_by.is_some_and(|(shard, at)| shard == kafka.shard && (lost.from..lost.until).contains(&at));
        let from = From::Time((lost.since - SLACK_MS).max(0));
        let mut failed = None;
        let mut keep = |done: io::Result<()>| failed = failed.take().or(done.err());
        let mut scratch = Scratch::new().map_err(words)?;
        let (mut known, mut order, mut answered) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        read(&topics.decisions, &from, &mut |past| {
            let (Some(payload), true) = (past.payload, is_lost(&past)) else { return };
            let Ok(decision) = serde_json::from_slice::<Value>(payload) else { return };
            let Some(id) = decision["event_id"].as_str().map(|id| shared.key.id(IdKind::Event, id.as_bytes())) else { return };
            let revision = decision["revision"].as_u64().unwrap_or(1) as u8;
            if is_stand_in(&decision) {
                answered.insert(id, (revision, decision));
            } else if let Some((_, sequence)) = past.sent_by {
                order.insert(sequence, id);
            }
            keep(scratch.put(payload).map(|piece| {
                known.insert(Key::Decision(id, revision), piece);
            }));
        })?;
        read(&topics.alerts, &from, &mut |past| {
            let Some(payload) = past.payload.filter(|_| is_lost(&past)) else { return };
            let Some(key) = serde_json::from_slice(payload).ok().and_then(|alert| alert_key(&alert)) else { return };
            keep(scratch.put(payload).map(|piece| {
                known.insert(key, piece);
            }));
        })?;
        let mut rejected = HashSet::new();
        read(&topics.rejected, &from, &mut |past| {
            let found = past.payload.filter(|_| is_lost(&past)).and_then(|payload| serde_json::from_slice(payload).ok());
            rejected.extend(found.and_then(|found| rejected_key(&found)));
        })?;
        // Events: those of the topics behind the positions, and those that came by a door.
        let (mut streams, mut by_door) = (BTreeMap::<(u16, u32), Vec<Again>>::new(), BTreeMap::new());
        let mut events = Scratch::new().map_err(words)?;
        let mut everywhere = positions.clone();
        let door = sources.iter().find(|(_, topic)| *topic == topics.events).map(|(number, _)| *number);
        let reads = sources.iter().map(|(number, topic)| (Some(*number), topic.as_str()));
        let reads: Vec<_> = reads.chain(door.is_none().then_some((None, topics.events.as_str()))).collect();
        for (number, topic) in reads {
            let from = match number {
                Some(number) => {
                    let own = positions.iter().filter(|((source, _), _)| *source == number);
                    // What came by a door may stand before them.
                    From::Earlier(own.map(|((_, partition), next)| (*partition, *next)).collect(), lost.since - SLACK_MS)
                }
                None => from.clone(),
            };
            let partitions = read(topic, &from, &mut |past| {
                let Some(payload) = past.payload else { return };
                let Some(id) = id_of(payload) else { return };
                let offset = past.offset;
                match (past.sent_by, number) {
                    (Some((shard, at)), _) if shard == kafka.shard && at >= lost.from => {
                        let origin = Origin { source: Origin::HOOK, ..Origin::default() };
                        keep(events.put(payload).map(|piece| {
                            by_door.insert(at, Again { id, origin, piece });
                        }));
                    }
                    (None, Some(source))
                        if kafka.owns(past.partition) && positions.get(&(source, past.partition)).is_none_or(|next| offset >= *next) =>
                    {
                        let origin = Origin { source, partition: past.partition, offset };
                        let of = streams.entry((source, past.partition)).or_default();
                        keep(events.put(payload).map(|piece| of.push(Again { id, origin, piece })));
                    }
                    _ => {}
                }
            })?;
            if let Some(source) = number {
                // Of what the journal has nothing, nothing is committed, whatever was before.
                for partition in partitions.into_iter().filter(|partition| kafka.owns(*partition)) {
                    everywhere.entry((source, partition)).or_insert(0);
                }
            }
        }
        if let Some(cause) = failed {
            return Err(words(cause));
        }
        let told = by_door.values().map(|again| again.id).collect();
        let (again, positions) = arranged(&order, &by_door, &streams, &everywhere);
        let read = Read { scratch, known, rejected, told, positions: positions.clone() };
        let published = Published::new(read, shared.dir.join(LISTED));
        Ok((Restoration { again, answered, scratch: events, positions }, published))
    }

    /// How many events are told again.
    pub(super) fn len(&self) -> usize {
        self.again.len()
    }

    /// Tells every event again, in order, each with the answer that a stand-in gave.
    pub(super) fn tell(mut self, shared: &Shared, tell: &mut dyn FnMut(Retold) -> bool) -> io::Result<()> {
        for Again { id, mut origin, piece } in std::mem::take(&mut self.again) {
            let json = self.scratch.get(piece)?;
            let mut texts = Told::default();
            // What is no event was refused then, and that stands.
            let Ok(event) = parse_event(&json, &mut Reading::new(shared.key, shared.options.id_bytes_max), &mut texts) else { continue };
            let is_judged = matches!(event.body, crate::event::Body::Payment(_) | crate::event::Body::Transfer(_));
            if origin.source == Origin::HOOK && !is_judged {
                origin.source = Origin::DOOR;
            }
            let answered = self.answered.get(&id).and_then(|(revision, decision)| answered_again(&event, *revision, decision));
            let event = Retold::Event { origin, event: Box::new(event), texts };
            let told = match answered {
                Some(answered) if answered.revision == 1 => tell(Retold::Answered(answered)) && tell(event),
                Some(answered) => tell(event) && tell(Retold::Answered(answered)),
                None => tell(event),
            };
            if !told {
                break;
            }
        }
        Ok(())
    }
}

/// The record of what a stand-in answered, as its decision says.
fn answered_again(event: &Event, revision: u8, decision: &Value) -> Option<Answered> {
    let outcome = crate::decision::Outcome::ALL.into_iter().find(|outcome| decision["outcome"] == outcome.name())?;
    let why = if decision["status"] == "fallback" { StandInWhy::Deadline } else { StandInWhy::ColdShard };
    Some(Answered {
        event: event.id,
        fingerprint: event.fingerprint(),
        kind: event.body.kind(),
        key: event.body.stream_key()?,
        time: event.time,
        revision,
        outcome: outcome as u8,
        why,
    })
}

/// All events whose place is known, and of each partition those before one of them: in the order of `order`, the judgements, and `by_door`, what
/// came by a door, by their records. And from where on the partitions are read.
fn arranged(
    order: &BTreeMap<u64, Id>,
    by_door: &BTreeMap<u64, Again>,
    streams: &BTreeMap<(u16, u32), Vec<Again>>,
    positions: &BTreeMap<(u16, u32), u64>,
) -> (Vec<Again>, BTreeMap<(u16, u32), u64>) {
    let mut places = HashMap::new();
    for (partition, events) in streams {
        for (place, event) in events.iter().enumerate() {
            // The first of an id is the one that was judged.
            places.entry(event.id).or_insert((*partition, place));
        }
    }
    let (mut again, mut done, mut positions) = (Vec::new(), BTreeMap::<(u16, u32), usize>::new(), positions.clone());
    let sequences: BTreeSet<u64> = order.keys().chain(by_door.keys()).copied().collect();
    for sequence in sequences {
        if let Some(event) = by_door.get(&sequence) {
            again.push(*event);
            continue;
        }
        let Some((partition, place)) = order.get(&sequence).and_then(|id| places.get(id)) else { continue };
        let from = done.entry(*partition).or_default();
        if *place >= *from {
            let events = &streams[partition][*from..=*place];
            again.extend_from_slice(events);
            *from = place + 1;
            positions.insert(*partition, events[events.len() - 1].origin.offset + 1);
        }
    }
    (again, positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(id: u128, partition: u32, offset: u64) -> Again {
        let source = if partition == 99 { Origin::HOOK } else { 1 };
        Again { id: Id::from_bits(id), origin: Origin { source, partition, offset }, piece: Piece { at: 0, length: 0 } }
    }

    /// Caught when planted: what lies before a judged event of its partition left out; a partition begun anew with each event.
    #[test]
    fn events_are_told_in_the_order_of_their_decisions_with_what_came_before_them() {
        // Of two partitions 3, 5, 7 and 4 were judged; 6 came by the hook; what is behind 7 was not decided yet.
        let streams = BTreeMap::from([
            ((1, 0), vec![again(30, 0, 10), again(3, 0, 11), again(70, 0, 13), again(7, 0, 14), again(71, 0, 15)]),
            ((1, 1), vec![again(4, 1, 20), again(50, 1, 21), again(5, 1, 22)]),
        ]);
        let by_door = BTreeMap::from([(106, again(6, 99, 0))]);
        let order: BTreeMap<u64, Id> =
            [(101, 3), (103, 4), (105, 5), (106, 6), (109, 7), (110, 8)].into_iter().map(|(at, id)| (at, Id::from_bits(id))).collect();
        let (told, positions) = arranged(&order, &by_door, &streams, &BTreeMap::from([((1, 0), 10), ((1, 2), 5)]));
        let ids: Vec<u128> = told.iter().map(|again| again.id.bits()).collect();
        assert_eq!(ids, [30, 3, 4, 50, 5, 6, 70, 7]);
        assert_eq!(positions, BTreeMap::from([((1, 0), 15), ((1, 1), 23), ((1, 2), 5)]));
    }
}
