//! Where each typology of laundering is looked for, and which tests of this repository hold it: what who answers for the detectors is asked.

use crate::typology::Typology;

/// Who looks for a typology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detector {
    pub typology: Typology,
    /// In this repository.
    pub file: &'static str,
    /// Tests in which this very typology must be found, or must not be: file and name.
    pub tests: &'static [(&'static str, &'static str)],
}

/// Tests over transfers that are laid down by hand, among people who pay one another.
const LAID: &str = "tests/commands/laundering.rs";

const fn detector(typology: Typology, file: &'static str, tests: &'static [(&'static str, &'static str)]) -> Detector {
    Detector { typology, file, tests }
}

/// By typology, in the order of their numbers.
pub const DETECTORS: [Detector; Typology::LAUNDERING.len()] = [
    detector(Typology::FanIn, "src/typology/laundering/fan.rs", &[(LAID, "a_fan_in_is_found")]),
    detector(Typology::FanOut, "src/typology/laundering/fan.rs", &[(LAID, "a_fan_out_is_found")]),
    detector(Typology::GatherScatter, "src/typology/laundering/gather.rs", &[(LAID, "a_gather_scatter_is_found")]),
    detector(Typology::ScatterGather, "src/typology/laundering/scatter.rs", &[(LAID, "a_scatter_gather_is_found")]),
    detector(Typology::Bipartite, "src/typology/laundering/bipartite.rs", &[(LAID, "a_bipartite_crowd_is_found")]),
    detector(Typology::Stack, "src/typology/laundering/passing.rs", &[(LAID, "a_stack_is_found")]),
    detector(Typology::Cycle, "src/typology/laundering/circle.rs", &[(LAID, "a_cycle_is_found")]),
    detector(Typology::PassThrough, "src/typology/laundering/passing.rs", &[(LAID, "a_pass_through_is_found")]),
    detector(Typology::Structuring, "src/typology/laundering/structuring.rs", &[(LAID, "structuring_is_found")]),
    detector(Typology::Mule, "src/typology/laundering/passing.rs", &[(LAID, "a_mule_is_found")]),
    detector(Typology::PeelingChain, "src/typology/laundering/passing.rs", &[(LAID, "a_peeling_chain_is_found")]),
    detector(Typology::Funnel, "src/typology/laundering/fan.rs", &[(LAID, "a_funnel_is_found")]),
    detector(Typology::Dormant, "src/typology/laundering/passing.rs", &[(LAID, "a_dormant_account_is_found")]),
];

/// Tests that hold all of them together, over schemes that the simulated company plants, and over honest people alone: file and name.
pub const HELD_TOGETHER: [(&str, &str); 3] = [
    ("tests/schemes.rs", "schemes_are_found_with_the_transfers_that_make_them"),
    ("tests/schemes.rs", "honest_people_are_hardly_called_launderers"),
    (LAID, "what_is_honest_is_not_told_of"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn read(file: &str) -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// The text of a test; it must be one.
    fn body<'t>(text: &'t str, file: &str, name: &str) -> &'t str {
        let head = format!("fn {name}() {{");
        let Some((before, rest)) = text.split_once(&head) else { panic!("{file} has no test {name}") };
        assert!(before.trim_end().ends_with("#[test]"), "{file}: {name} is no test");
        rest.split("\n}").next().unwrap_or_default()
    }

    #[test]
    fn every_detector_is_held_by_tests_that_are_there() {
        for (detector, typology) in DETECTORS.iter().zip(Typology::LAUNDERING) {
            assert_eq!(detector.typology, *typology);
            assert!(read(detector.file).contains(&format!("Typology::{typology:?}")), "{}: not a word of {typology:?}", detector.file);
            for (file, name) in detector.tests {
                let text = read(file);
                let body = body(&text, file, name);
                let named = [format!("\"{}\"", typology.name()), format!("Typology::{typology:?}")];
                assert!(named.iter().any(|word| body.contains(word)), "{file}: {name} does not say {typology:?}");
            }
        }
        for (file, name) in HELD_TOGETHER {
            assert!(!body(&read(file), file, name).is_empty(), "{file}: {name} does nothing");
        }
    }
}
