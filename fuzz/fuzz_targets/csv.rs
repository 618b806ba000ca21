//! Any bytes as a CSV table behind a mapping: records, refusals or one error, and every record has its place.
#![no_main]

mod table;

use libfuzzer_sys::fuzz_target;
use std::io::Write;
use weir::event::{IdKey, Sequence};
use weir::ingress::{InputLimits, Merge, Sinks};

const HEADER: &[u8] = b"id,t,user,shop,amount,bad,why\n";

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a folder for temporary files");
    file.write_all(HEADER).and_then(|()| file.write_all(bytes)).expect("room for a small file");
    let files = [file.path().to_owned()];
    let mut merge = Merge::open(&files, &[table::source()], InputLimits::default(), IdKey::FILES, Sequence(0)).expect("the header is good");
    let (mut out, mut next) = (Vec::new(), 0);
    // One error at most: the file is given up behind it, and only its labels are left.
    for _ in 0..2 {
        while let Ok(true) = merge.next_batch(16, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () }) {
            for record in &out {
                assert_eq!(record.sequence, Sequence(next));
                next += 1;
            }
        }
        next += out.len() as u64;
    }
});
