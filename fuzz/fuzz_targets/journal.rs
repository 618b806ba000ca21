//! Bodies of records and outputs: whatever bytes come, nothing panics, and what is read is written as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::event::Sequence;
use weir::journal::{decode_output, decode_record, encode_output, encode_record};

fuzz_target!(|bytes: &[u8]| {
    let mut again = Vec::new();
    if let Ok(record) = decode_record(Sequence(1), bytes) {
        encode_record(&record, &mut again);
        assert_eq!(again, bytes);
    }
    again.clear();
    if let Ok(output) = decode_output(Sequence(1), bytes) {
        encode_output(&output, &mut again);
        assert_eq!(again, bytes);
    }
});
