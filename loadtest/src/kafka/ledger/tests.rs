//! Caught when planted, each by the test of its name: a sequence that may stand still; shards in one order; published events in the order of
//! keys; all keys in one order; any two revisions as a pair; keys that are not compared; bytes of a replay that are not compared; refused
//! input that is missing all the same; decisions that nobody asked for; a second record that is none.

use super::*;

/// An event or a decision, as a test writes it down.
struct Written {
    entry: (i32, i64),
    key: &'static str,
    value: String,
    sequence: Option<u64>,
}

impl Written {
    fn entry(&self) -> Entry<'_> {
        let (partition, offset) = self.entry;
        Entry { partition, offset, key: Some(self.key.as_bytes()), value: self.value.as_bytes(), shard: Some(0), sequence: self.sequence }
    }
}

fn payment(offset: i64, id: &str, key: &'static str) -> Written {
    let value = format!(r#"{{"type":"payment","id":"{id}","time":"2026-01-01T00:00:00Z","user":"{key}","amount":5}}"#);
    Written { entry: (0, offset), key, value, sequence: None }
}

fn decision(sequence: u64, id: &str, revision: u64, status: &str, key: &'static str) -> Written {
    let value = format!(r#"{{"event_id":"{id}","revision":{revision},"sequence":{sequence},"outcome":"approve","status":"{status}"}}"#);
    Written { entry: (0, sequence as i64), key, value, sequence: Some(sequence) }
}

fn evaluated(sequence: u64, id: &str, key: &'static str) -> Written {
    decision(sequence, id, 1, "evaluated", key)
}

fn ledger(events: &[Written], decisions: &[Written]) -> Ledger {
    let mut ledger = Ledger::default();
    events.iter().for_each(|event| ledger.event(event.entry()));
    decisions.iter().for_each(|decision| ledger.decision(decision.entry()));
    ledger
}

fn close(events: &[Written], decisions: &[Written]) -> Findings {
    ledger(events, decisions).close()
}

/// What is wrong, which must be this one thing.
fn only(findings: &Findings) -> (&'static str, u64) {
    let wrong = findings.wrong();
    assert_eq!(wrong.len(), 1, "{findings:?}");
    assert!(!findings.examples.is_empty() || wrong[0].0 == "wrong revisions" || wrong[0].0 == "in the replay only", "{findings:?}");
    wrong[0]
}

#[test]
fn one_decision_each_is_right() {
    let mut session = payment(2, "s", "u1");
    session.value = session.value.replace("payment", "session");
    let mut transfer = payment(3, "t", "a1");
    transfer.value = transfer.value.replace("payment", "transfer");
    let broken = Written { entry: (1, 0), key: "", value: "{".to_owned(), sequence: None };
    let events = [payment(0, "a", "u1"), payment(1, "b", "u2"), session, transfer, broken, payment(4, "a", "u1")];
    let found = close(&events, &[evaluated(10, "a", "u1"), evaluated(11, "b", "u2"), evaluated(13, "t", "a1")]);
    assert_eq!(found.wrong(), []);
    assert_eq!((found.events, found.payments, found.transfers, found.malformed_events), (6, 3, 1, 1));
    assert_eq!((found.asked, found.repeated, found.decisions, found.decided), (3, 1, 3, 3));
}

#[test]
fn what_is_missing_is_named_with_its_place() {
    let found = close(&[payment(6, "a", "u"), payment(7, "b", "u")], &[evaluated(1, "a", "u")]);
    assert_eq!((only(&found), &found.examples[..]), (("missing", 1), &["events[0]@7: no decision".to_owned()][..]));
}

#[test]
fn refused_input_needs_no_decision() {
    let mut books = ledger(&[payment(6, "a", "u"), payment(7, "b", "u"), payment(8, "c", "u")], &[evaluated(1, "a", "u")]);
    assert_eq!(books.open(), 2);
    books.refused(br#"{"source":"stream","offset":7,"reason":"future_dated","raw":"{\"type\":\"payment\",\"id\":\"b\"}"}"#);
    // A conflicting repetition was refused; the first one was decided.
    books.refused(br#"{"source":"stream","offset":9,"reason":"id_conflict","raw":"{\"type\":\"payment\",\"id\":\"a\"}"}"#);
    for useless in [&br#"{"raw":null}"#[..], br#"{"raw":"{\"type\":\"session\",\"id\":\"c\"}"}"#, b"{", br#"{"raw":"{"}"#] {
        books.refused(useless);
    }
    let found = books.close();
    assert_eq!((only(&found), found.rejected), (("missing", 1), 1));
}

#[test]
fn a_second_record_is_a_duplicate_whatever_its_bytes() {
    let found = close(&[payment(0, "a", "u")], &[evaluated(1, "a", "u"), evaluated(2, "a", "u")]);
    assert_eq!((only(&found), found.decided), (("duplicates", 1), 1));
}

#[test]
fn nobody_is_decided_on_who_did_not_ask() {
    let found = close(&[payment(0, "a", "u")], &[evaluated(1, "a", "u"), evaluated(2, "b", "u"), decision(3, "b", 2, "fallback", "u")]);
    assert_eq!(only(&found), ("decisions without an event", 1));
}

#[test]
fn two_revisions_are_a_stand_in_and_a_judgement() {
    let events = || [payment(0, "a", "u"), payment(1, "b", "u"), payment(2, "c", "u")];
    let right = [
        decision(1, "a", 1, "fallback", "u"),
        decision(2, "a", 2, "degraded", "u"),
        decision(3, "b", 1, "evaluated", "u"),
        decision(4, "b", 2, "fallback", "u"),
        decision(5, "c", 1, "fallback", "u"),
    ];
    let found = close(&events(), &right);
    assert_eq!((found.wrong(), found.pairs, found.stand_ins_alone), (vec![], 2, 1));
    let wrong = [
        decision(1, "a", 1, "evaluated", "u"),
        decision(2, "a", 2, "evaluated", "u"),
        decision(3, "b", 2, "evaluated", "u"),
        decision(4, "c", 1, "fallback", "u"),
        decision(5, "c", 2, "fallback", "u"),
    ];
    let found = close(&events(), &wrong);
    assert_eq!((only(&found), found.pairs), (("wrong revisions", 3), 0));
}

#[test]
fn sequences_rise_in_a_partition_and_a_shard() {
    let events = || [payment(0, "a", "u1"), payment(1, "b", "u2")];
    let found = close(&events(), &[evaluated(7, "a", "u1"), evaluated(6, "b", "u2")]);
    assert_eq!(only(&found), ("out of order in their partition", 1));
    let mut elsewhere = evaluated(6, "b", "u2");
    elsewhere.entry.0 = 1;
    assert_eq!(close(&events(), &[evaluated(7, "a", "u1"), elsewhere]).wrong(), []);
    let (mut books, other) = (ledger(&events(), &[evaluated(7, "a", "u1")]), evaluated(6, "b", "u2"));
    books.decision(Entry { shard: Some(1), ..other.entry() });
    assert_eq!(books.close().wrong(), []);
}

#[test]
fn events_of_one_key_are_judged_in_their_order() {
    let events = || [payment(0, "a", "u1"), payment(1, "b", "u1"), payment(2, "c", "u2")];
    let found = close(&events(), &[evaluated(1, "b", "u1"), evaluated(2, "a", "u1"), evaluated(3, "c", "u2")]);
    assert_eq!(only(&found), ("out of order for their key", 1));
    assert_eq!(found.examples, ["events[0]@1 at sequence 1 is judged before events[0]@0 at sequence 2"]);
    let found = close(&events(), &[evaluated(1, "c", "u2"), evaluated(2, "a", "u1"), evaluated(3, "b", "u1")]);
    assert_eq!(found.wrong(), [], "of other keys nothing is said");
    // What Weir published was judged before it stood in the topic.
    let mut published = events();
    published[0].sequence = Some(2);
    let found = close(&published, &[evaluated(1, "b", "u1"), evaluated(2, "a", "u1"), evaluated(3, "c", "u2")]);
    assert_eq!((found.wrong(), found.published), (vec![], 1));
}

#[test]
fn keys_and_headers_are_those_of_event_and_decision() {
    let found = close(&[payment(0, "a", "u1")], &[evaluated(1, "a", "u2")]);
    assert_eq!(only(&found), ("with another key than the event", 1));
    let mut headless = evaluated(1, "a", "u1");
    headless.sequence = None;
    assert_eq!(only(&close(&[payment(0, "a", "u1")], &[headless])), ("header is not the sequence", 1));
}

#[test]
fn what_is_no_decision_is_told() {
    let odd = |value: &str| Written { value: value.to_owned(), ..evaluated(1, "a", "u") };
    let third = evaluated(1, "a", "u").value.replace(r#""revision":1"#, r#""revision":3"#);
    let found = close(&[], &[odd("{"), odd("{}"), odd(&third)]);
    assert_eq!(only(&found), ("no decision at all", 3));
}

#[test]
fn a_replay_must_give_the_same_bytes() {
    let events = [payment(0, "a", "u"), payment(1, "b", "u"), payment(2, "c", "u")];
    let decisions = || [evaluated(1, "a", "u"), evaluated(2, "b", "u"), evaluated(3, "c", "u")];
    let compared = |lines: &[String]| {
        let mut books = Ledger::default();
        lines.iter().for_each(|line| books.expect(line.as_bytes()).expect("a decision"));
        events.iter().for_each(|event| books.event(event.entry()));
        decisions().iter().for_each(|decision| books.decision(decision.entry()));
        books.close()
    };
    let lines = decisions().map(|decision| decision.value);
    let found = compared(&lines);
    assert_eq!((found.wrong(), found.replay), (vec![], Some(Compared { replayed: 3, same: 3, ..Compared::default() })));
    let mut other = lines.clone();
    other[1] = other[1].replace("approve", "decline");
    assert_eq!(only(&compared(&other)), ("other bytes than in the replay", 1));
    assert_eq!(only(&compared(&lines[..2])), ("in the topic only, not in the replay", 1));
    let more = [&lines[..], &[evaluated(4, "d", "u").value]].concat();
    assert_eq!(only(&compared(&more)), ("in the replay only", 1));
    let mut books = Ledger::default();
    assert!(books.expect(b"{}").is_err_and(|error| error.starts_with("expected a decision")));
    assert_eq!(books.expect(lines[0].as_bytes()), Ok(()));
    assert_eq!(books.expect(lines[0].as_bytes()), Err("found a revision 1 a second time".to_owned()));
}
