//! Any text as a rule: a program or an error within the text, and a program answers for any row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::decision::Program;
use weir::event::{IdKey, IdKind};
use weir::feature::{FeatureType, Schema};

fuzz_target!(|input: (&str, [u64; 4])| {
    let (source, row) = input;
    let mut schema = Schema::default();
    schema.push("amount", FeatureType::Int, "");
    schema.push("user.rate", FeatureType::Double, "");
    schema.push("country", FeatureType::Text(IdKind::Symbol), "");
    schema.push("late", FeatureType::Bool, "");
    match Program::compile(source, &schema, &IdKey::FILES) {
        Ok(program) => {
            let _ = program.holds(&[row[0], row[1], row[2], row[3] & 1]);
        }
        Err(error) => assert!(error.offset <= source.len()),
    }
});
