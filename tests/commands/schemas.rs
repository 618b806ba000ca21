//! What the program writes, and what it reads, is what `schemas/` says.

use crate::room::Room;
use boon::{Compiler, Schemas};
use std::fs;
use std::path::Path;

/// The lines that the schema called `name` refuses, with why.
pub fn refused(name: &str, lines: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    let url = format!("http://weir/schemas/{name}");
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.enable_format_assertions();
    compiler.add_resource(&url, serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).unwrap();
    let schema = compiler.compile(&url, &mut schemas).unwrap();
    let why = |line: &str| schemas.validate(&serde_json::from_str(line).unwrap(), schema).err().map(|error| format!("{error:#}\n{line}"));
    lines.lines().filter_map(why).collect()
}

/// Planted: `user` left out of the kinds of an alert's members; told.
#[test]
fn every_line_is_what_its_schema_says() {
    let room = Room::new();
    room.simulate("small", "6000");
    room.summary(&["sample.jsonl", "-t", "small.toml", "--out", "kept"]);
    room.done(&["journal", "export", "kept", "--out", "export.jsonl"]);
    let read = |name: &str| fs::read_to_string(room.path(name)).unwrap();
    for (schema, lines, at_least) in [
        ("event.json", read("sample.jsonl"), 5000),
        ("event.json", read("export.jsonl"), 5000),
        ("decision.json", room.done(&["tail", "decisions", "--data", "kept"]), 2000),
        ("decision-internal.json", room.done(&["tail", "decisions", "--data", "kept", "--internal"]), 2000),
        ("alert.json", room.done(&["tail", "alerts", "--data", "kept"]), 10),
        ("rejected.json", room.done(&["tail", "rejected", "--data", "kept"]), 10),
    ] {
        assert!(lines.lines().count() >= at_least, "{schema}: {}", lines.lines().count());
        assert_eq!(refused(schema, &lines), Vec::<String>::new(), "{schema}");
    }
}
