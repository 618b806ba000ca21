//! Any text as a layer over the default topology: a topology or a list of mistakes, and what is accepted survives its canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use weir::topology::{Layer, Topology};

fuzz_target!(|text: &str| {
    let layer = Layer { name: "fuzz.toml", text, folder: Path::new("") };
    if let Ok(topology) = Topology::parse(&[layer]) {
        let again = Topology::from_canonical(&topology.canonical_topology(), &topology.canonical_policy()).expect("its own canonical form");
        assert_eq!(again, topology.deciding);
    }
});
