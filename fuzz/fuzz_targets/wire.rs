//! Any line: an event or a fault, and an event's line written and read again is the same event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir::event::IdKey;
use weir::ingress::Reading;
use weir::ingress::wire::{Line, parse_event};

fuzz_target!(|bytes: &[u8]| {
    let mut reading = Reading::new(IdKey::FILES, 64);
    let Ok(event) = parse_event(bytes, &mut reading, &mut ()) else { return };
    let mut written = Vec::new();
    Line::parse(bytes).expect("it became an event").write(&mut written);
    assert_eq!(parse_event(&written, &mut reading, &mut ()), Ok(event));
});
