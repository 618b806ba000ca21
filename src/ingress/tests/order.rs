//! The order of the merged stream, labels, and what a bad file does to the others.

use super::*;

fn micros(second: i64) -> Timestamp {
    Timestamp(1_735_689_600_000_000 + second * 1_000_000)
}

fn payment_line(id: &str, second: i64) -> String {
    let line = wire::Line::new(EventType::Payment, id.to_owned(), micros(second));
    let line = line.text(Field::User, "u").text(Field::Merchant, "m").integer(Field::Amount, 1).text(Field::Currency, "EUR");
    let mut out = Vec::new();
    line.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn label_line(id: &str, target: &str, second: i64) -> String {
    let line = wire::Line::new(EventType::Label, id.to_owned(), micros(second));
    let mut out = Vec::new();
    line.text(Field::Target, target).text(Field::Label, "fraud").write(&mut out);
    String::from_utf8(out).unwrap()
}

/// A mapped source over CSV with columns id, s (seconds), bad; its labels come `delay` seconds later.
fn mapped(name: &str, files: &[PathBuf], delay: i64) -> SourceOptions {
    let fields = vec![
        (Field::Id, column("id")),
        (Field::Time, Cell { time: Some(TimeFormat::Since { unit: Duration::SECOND, since: micros(0) }), ..column("s") }),
        (Field::User, constant("u")),
        (Field::Merchant, constant("m")),
        (Field::Amount, constant("1")),
        (Field::Currency, constant("EUR")),
    ];
    let kinds = vec![("1".to_owned(), Verdict::Fraud), ("0".to_owned(), Verdict::Legitimate)];
    let label = LabelMapping { column: "bad".to_owned(), kinds, delay: Duration::SECOND.times(delay), scenario: None };
    source(name, files, Format::Table(Mapping { event: EventType::Payment, fields, label: Some(label), catalogue: None }))
}

/// The ids of the records in order: a label of a row as `+` and its target, a refusal as `!`.
fn names(records: &[Record], heard: &Heard) -> String {
    let text = |id: &Id| heard.texts[id].1.clone();
    let name = |record: &Record| match &record.content {
        Content::Refused(_) => "!".to_owned(),
        Content::Event(Event { id, body: Body::Label(label), .. }) if !heard.texts.contains_key(id) => format!("+{}", text(&label.target)),
        Content::Event(event) => text(&event.id),
        other => panic!("found {other:?}"),
    };
    records.iter().map(name).collect::<Vec<_>>().join(" ")
}

// Caught ties ordered by file before kind, and labels that overtook an event of their own time.
#[test]
fn ties_go_events_before_labels_then_by_source_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let first = write_file(folder.path(), "a.csv", "id,s,bad\na0,0,1\na1,5,0\na2,5,\n");
    let second = write_file(folder.path(), "b.csv", "id,s,bad\nb0,5,0\nb1,10,0\n");
    let wire = [payment_line("w0", 5), label_line("w1", "a0", 5), payment_line("w2", 10), payment_line("w3", 10)].concat();
    let wire = write_file(folder.path(), "w.jsonl", &wire);
    let sources = [mapped("cards", &[first, second], 5), source("wire", &[wire], Format::Wire)];
    let (records, heard) = read_files(&[], &sources);
    assert_eq!(names(&records, &heard), "a0 a1 a2 b0 w0 +a0 w1 b1 w2 w3 +a1 +b0 +b1");
    for batch in [1, 2, 500] {
        assert_eq!(read_all(open(&[], &sources).unwrap(), batch).0, records);
    }
}

// Caught `received` that counted the record's own time.
#[test]
fn records_say_where_and_when_they_came_and_whom_they_judge() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_file(folder.path(), "a.csv", "id,s,bad\na0,0,1\na1,3,0\nx,abc,0\na2,2,2\n");
    let wire = write_file(folder.path(), "w.jsonl", &[payment_line("w0", 1), label_line("w1", "w0", 9), label_line("w2", "?", 9)].concat());
    let (records, heard) = read_files(&[], &[mapped("cards", &[file], 4), source("wire", &[wire], Format::Wire)]);
    assert_eq!(names(&records, &heard), "a0 w0 a1 ! a2 +a0 +a1 w1 w2");
    let received: Vec<Timestamp> = records.iter().map(|record| record.received).collect();
    assert_eq!(received, [0, 0, 1, 3, 3, 3, 4, 7, 9].map(micros));
    let origin = |source, offset| Origin { source, partition: 0, offset };
    let origins: Vec<Origin> = records.iter().map(|record| record.origin).collect();
    let expected = [(0, 0), (1, 0), (0, 1), (0, 2), (0, 3), (0, 0), (0, 1), (1, 1), (1, 2)];
    assert_eq!(origins, expected.map(|(source, offset)| origin(source, offset)));

    let Body::Label(of_row) = &event(&records[6]).body else { panic!() };
    let judged = event(&records[2]);
    let target =
        Target { sequence: Sequence(2), time: judged.time, kind: EventType::Payment, source: 0, ends: ends(&judged.body), standing: None };
    assert_eq!((of_row.target, of_row.verdict, of_row.source), (judged.id, Verdict::Legitimate, LabelSource::Chargeback));
    assert_eq!(of_row.resolved, Some(target));
    assert_eq!(event(&records[6]).id, IdKey::FILES.id(IdKind::RowLabel, b"a1"));

    let resolved = |place: usize| match &event(&records[place]).body {
        Body::Label(label) => label.resolved,
        other => panic!("found {other:?}"),
    };
    assert_eq!(resolved(7).unwrap().sequence, Sequence(1), "noted when it went by");
    assert_eq!(resolved(8), None);

    let Content::Refused(refused) = records[3].content else { panic!() };
    assert_eq!(refused, Refused { reason: Refusal::Invalid, field: Some(Field::Time) });
    let (sequence, raw, detail) = &heard.rejected[0];
    assert_eq!((*sequence, raw.as_str()), (Sequence(3), r#"{"id":"x","s":"abc","bad":"0"}"#));
    assert!(detail.starts_with("time: found \"abc\", expected a number of 1s since 2025-01-01"), "{detail}");
}

#[test]
fn a_disordered_file_keeps_its_own_order() {
    let folder = tempfile::tempdir().unwrap();
    let a = write_file(folder.path(), "a.csv", "id,s,bad\na0,10,0\na1,5,0\na2,20,\n");
    let b = write_file(folder.path(), "b.csv", "id,s,bad\nb0,7,\nb1,8,\nb2,15,\n");
    let (records, heard) = read_files(&[], &[mapped("cards", &[a, b], 100)]);
    assert_eq!(names(&records, &heard), "b0 b1 a0 a1 b2 a2 +a0 +a1");
}

// Caught a wrong time that waited for its place: all labels went before it, and what came behind was late. Caught a jump that raised `received`: everything behind it passed as on time.
#[test]
fn a_time_that_jumps_moves_nothing_and_holds_up_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let a = write_file(folder.path(), "a.csv", "id,s,bad\na0,0,1\na1,500,1\na2,1,0\n");
    let mut cards = mapped("cards", &[a], 5);
    cards.jump_max = Duration::SECOND.times(100);
    let (records, heard) = read_files(&[], &[cards]);
    assert_eq!(names(&records, &heard), "a0 a1 a2 +a0 +a2");
    let received: Vec<Timestamp> = records.iter().map(|record| record.received).collect();
    assert_eq!(received, [0, 0, 0, 1, 5].map(micros));

    // A silence is no wrong time: the file waits for its place.
    let a = write_file(folder.path(), "a.csv", "id,s,bad\na0,0,1\na1,500,1\na2,501,0\n");
    let wire = write_file(folder.path(), "w.jsonl", &(1..9).map(|n| payment_line(&format!("w{n}"), n * 60)).collect::<String>());
    let mut cards = mapped("cards", &[a], 5);
    cards.jump_max = Duration::SECOND.times(100);
    let (records, heard) = read_files(&[], &[cards, source("wire", &[wire], Format::Wire)]);
    assert_eq!(names(&records, &heard), "a0 +a0 w1 w2 w3 w4 w5 w6 w7 w8 a1 a2 +a1 +a2");
}

#[test]
fn broken_lines_do_not_stop_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{{\"type\":\"{}\n", "x".repeat(70_000));
    let text = ["\n{\n", &payment_line("a", 1), &long, "\u{1}\u{2}\n", &payment_line("b", 2), "  \n{\"type\":\"nothing\"}"].concat();
    let file = write_file(folder.path(), "w.jsonl", &text);
    let (records, heard) = read_files(&[], &[source("wire", &[file], Format::Wire)]);
    assert_eq!(names(&records, &heard), "! a ! ! b !");
    let reasons: Vec<Refusal> = records
        .iter()
        .filter_map(|record| if let Content::Refused(refused) = record.content { Some(refused.reason) } else { None })
        .collect();
    assert_eq!(reasons, [Refusal::Malformed, Refusal::Oversized, Refusal::Malformed, Refusal::UnknownType]);
    let offsets: Vec<u64> = records.iter().map(|record| record.origin.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4, 5, 7], "blank lines count");
    assert_eq!(heard.rejected[1].1.len(), InputLimits::default().rejected_bytes_max);
}

#[test]
fn compressed_lines_are_the_same_lines_and_a_cut_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..2000).map(|n| payment_line(&format!("p{n}"), n)).collect();
    let plain = write_file(folder.path(), "w.jsonl", &text);
    let gz = folder.path().join("w.jsonl.gz");
    // Two members, as `cat a.gz b.gz` makes them.
    let (head, tail) = text.split_at(text.find("\"p900\"").map(|at| text[..at].rfind('\n').unwrap() + 1).unwrap());
    let mut members = Vec::new();
    for part in [head, tail] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part.as_bytes()).unwrap();
        members.extend(encoder.finish().unwrap());
    }
    fs::write(&gz, &members).unwrap();
    let zst = folder.path().join("w.jsonl.zst");
    let packed = zstd::stream::encode_all(text.as_bytes(), 3).unwrap();
    fs::write(&zst, &packed).unwrap();
    let read = |path: &PathBuf| read_files(std::slice::from_ref(path), &[source("wire", &[], Format::Wire)]).0;
    let expected = read(&plain);
    assert_eq!(expected.len(), 2000);
    assert_eq!(read(&gz), expected);
    assert_eq!(read(&zst), expected);

    // The cut file ends with its error; the other one goes on.
    fs::write(&zst, &packed[..packed.len() - 20]).unwrap();
    let other = write_file(folder.path(), "x.jsonl", &payment_line("x", 5000));
    let mut merge = open(&[zst.clone(), other], &[source("wire", &[], Format::Wire)]).unwrap();
    let (mut read, mut errors, mut out) = (0, Vec::new(), Vec::new());
    loop {
        match merge.next_batch(64, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () }) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => errors.push(error),
        }
        read += out.len();
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].path.as_ref(), Some(&zst));
    assert!(read > 1 && read < 2000, "{read}");
    assert_eq!(event(out.last().or(expected.last()).unwrap()).body.kind(), EventType::Payment);
}

#[test]
fn files_find_their_sources() {
    let table = |name: &str| mapped(name, &[PathBuf::from("own.csv")], 1);
    let wire = |name: &str| source(name, &[PathBuf::from("own.jsonl")], Format::Wire);
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let two = [table("cards"), wire("wire")];
    let assigned = |names: &[&str], sources: &[SourceOptions]| {
        assign(&paths(names), sources)
            .map(|all| all.into_iter().map(|(index, path)| (index, path.display().to_string())).collect::<Vec<_>>())
    };
    let pair = |index: usize, path: &str| (index, path.to_owned());
    assert_eq!(assigned(&[], &two), Ok(vec![pair(0, "own.csv"), pair(1, "own.jsonl")]));
    assert_eq!(assigned(&["a.jsonl.gz", "b.jsonl"], &two), Ok(vec![pair(1, "a.jsonl.gz"), pair(1, "b.jsonl")]), "others are silent");
    assert_eq!(assigned(&["b.jsonl", "a.parquet"], &two), Ok(vec![pair(0, "a.parquet"), pair(1, "b.jsonl")]));
    let three = [table("cards"), table("other"), wire("wire")];
    assert_eq!(assigned(&["other=a.csv"], &three), Ok(vec![pair(1, "a.csv")]));
    assert_eq!(assigned(&["y=1.jsonl"], &[wire("wire")]).map_err(|e| e.message.contains("the source \"y\"")), Err(true));
    for (names, sources, words) in [
        (&["a.csv"][..], &three[..], "several sources that could read it (cards, other), expected NAME=path"),
        (&["nobody=a.csv"], &three, "found the source \"nobody\", expected one of cards, other, wire"),
        (&["a.csv"], &two[1..], "no source with a mapping"),
        (&["a.jsonl"], &two[..1], "no source without a mapping"),
        (&["wire=a.csv"], &two, "found another format than source wire reads"),
        (&["cards=a.jsonl"], &two, "found another format than source cards reads"),
        (&["a.json"], &two, "unknown ending, expected .jsonl,"),
        (&[], &[], "found no file"),
    ] {
        let error = assigned(names, sources).unwrap_err().to_string();
        assert!(error.contains(words), "{names:?}: {error}");
    }
}
