//! Any bytes as a Parquet table behind a mapping: it does not open, or records, refusals and one error come of it. The reader's own panics
//! on damaged files are caught; one that gets out is a finding.
#![no_main]

mod table;

use libfuzzer_sys::fuzz_target;
use std::io::Write;
use weir::event::{IdKey, Sequence};
use weir::ingress::{InputLimits, Merge, Sinks};

// Without a hook of its own libFuzzer's would end the run at a panic that is caught.
fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let mut file = tempfile::Builder::new().suffix(".parquet").tempfile().expect("a folder for temporary files");
    file.write_all(bytes).expect("room for a small file");
    let files = [file.path().to_owned()];
    let Ok(mut merge) = Merge::open(&files, &[table::source()], InputLimits::default(), IdKey::FILES, Sequence(0)) else { return };
    let mut out = Vec::new();
    while let Ok(true) = merge.next_batch(16, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () }) {}
});
