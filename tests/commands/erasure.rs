//! Who is erased is named nowhere.

use crate::room::Room;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Whether a file under `dir` holds `text`.
fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().map(Result::unwrap).any(|entry| match entry.file_type().unwrap().is_dir() {
        true => holds(&entry.path(), text),
        false => fs::read(entry.path()).unwrap().windows(text.len()).any(|window| window == text.as_bytes()),
    })
}

/// People are erased at their place in the stream, in one chunk of records and over several. Caught when planted: an erasure that came again
/// and was obeyed again (dora), a duplicate or a late event that brought the texts back (anna), one of another file that was read
/// before the erasure and lost them (fred), a refused erasure that was obeyed (gina), the texts of a refused line kept.
#[test]
fn an_erased_person_is_named_nowhere_and_changes_no_digest() {
    for filler in [0, 3000] {
        let room = Room::new();
        let line = |kind: &str, id: &str, second: u32, user: &str, rest: &str| {
            let (minute, second) = (second / 60, second % 60);
            format!(
                "{{\"type\":\"{kind}\",\"id\":\"{id}\",\"time\":\"2025-01-01T00:{minute:02}:{second:02}Z\",\"user\":\"{user}\"{rest}}}\n"
            )
        };
        let named = |name: &str| format!(",\"name\":\"{name}\"");
        let bought = ",\"merchant\":\"m\",\"amount\":100,\"currency\":\"EUR\"";
        let fillers: String = (0..filler).map(|n| line("payment", &format!("x{n}"), 30 + n / 100, "filler", bought)).collect();
        let dora_erased = line("erase", "e-dora", 22, "dora", "");
        let stream = [
            line("profile", "c1", 1, "anna", &named("Anna Berg")),
            line("profile", "c2", 2, "anna", &named("Common Name")),
            line("profile", "c3", 3, "bert", &named("Common Name")),
            line("profile", "c4", 4, "dora", &named("Dora Dal")),
            line("profile", "c5", 5, "fred", &named("Fred Fors")),
            line("profile", "c6", 6, "gina", &named("Gina Gran")),
            line("payment", "p-anna", 10, "anna", bought),
            line("payment", "p-dora", 11, "dora", bought),
            // The heads of the other files were read long ago.
            line("erase", "e-fred", 20, "fred", ""),
            line("erase", "e-anna", 21, "anna", ""),
            dora_erased.clone(),
            line("erase", "e-gina", 0, "gina", "").replace("2025-01-01", "2044-01-01"),
            fillers,
            // None of these makes anna a customer again.
            line("payment", "p-anna", 10, "anna", bought),
            line("session", "s-anna", 12, "anna", ""),
            line("profile", "c7", 13, "anna", &named("Anna Late")),
            line("label", "l-anna", 70, "anna", ",\"target\":\"p-anna\",\"label\":\"fraud\""),
            line("profile", "c8", 71, "hugo", ",\"name\":\"Hugo Refused\",\"kyc_risk\":\"none at all\""),
            // This makes dora one, and the erasure is delivered once more.
            line("payment", "p-back", 72, "dora", bought),
            line("profile", "c9", 73, "dora", &named("Dora Back")),
            dora_erased,
        ];
        room.write("a.jsonl", &stream.concat());
        room.write("b.jsonl", &line("payment", "p-fred", 80, "fred", bought));
        room.write("c.jsonl", &line("profile", "c10", 81, "ivar", &named("Fred Fors")));
        let replay = ["a.jsonl", "b.jsonl", "c.jsonl", "-t", "small.toml"];
        let kept = room.summary(&[&replay[..], &["--out", "kept"]].concat());
        assert_eq!((&kept["duplicates"], &kept["rejected"]), (&Value::from(2), &Value::from(2)), "{kept}");
        assert_eq!(kept["digest"], room.summary(&replay)["digest"]);

        let export = room.done(&["journal", "export", "kept"]);
        let shown = export.clone() + &room.done(&["tail", "decisions", "--data", "kept", "--internal"]);
        for gone in ["\"anna\"", "Anna Berg", "Anna Late", "Dora Dal", "Hugo Refused"] {
            assert!(!shown.contains(gone), "{gone}, {filler} between: {export}");
        }
        for stays in
            ["p-anna", "e-anna", "\"bert\"", "Common Name", "\"dora\"", "Dora Back", "\"fred\"", "Fred Fors", "\"gina\"", "Gina Gran"]
        {
            assert!(shown.contains(stays), "{stays}, {filler} between: {export}");
        }
        // Nor do the tables on disk hold it.
        let tables = room.path("kept/identity/keyspaces");
        assert!(holds(&tables, "Common Name") && !holds(&tables, "Anna Berg") && !holds(&tables, "Hugo Refused"));

        // Who is meant sways nothing: not even when nobody is known any more.
        fs::remove_dir_all(room.path("kept/identity")).unwrap();
        let again = room.summary(&["kept"]);
        assert_eq!((&again["digest"], &again["state_hash"]), (&kept["digest"], &kept["state_hash"]));
    }
}
