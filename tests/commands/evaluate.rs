//! What `weir evaluate` says where it can say nothing.

use crate::room::Room;

/// Caught when planted: a `--until` that is no later than `--from` let through (no payment was found).
#[test]
fn what_cannot_be_evaluated_is_told() {
    let room = Room::new();
    room.simulate("small", "2000");
    let evaluate = |more: &[&str]| room.refused(&[&["evaluate", "sample.jsonl", "-t", "small.toml"], more].concat());
    let always = ["--from", "1970-01-01", "--until", "2100-01-01"];
    let told = evaluate(&always);
    assert!(told.starts_with("error: no model judged the ") && told.ends_with("expected --model or [model]\n"), "{told}");
    assert_eq!(
        evaluate(&["--from", "2025-01-02", "--until", "2025-01-02"]),
        "error: --until: found 2025-01-02T00:00:00Z, expected a moment behind --from, which is 2025-01-02T00:00:00Z\n"
    );
    assert_eq!(
        evaluate(&[&always[..], &["--scores", "scores.xlsx"]].concat()),
        "error: scores.xlsx: found an unknown ending, expected .csv or .parquet\n"
    );
    assert_eq!(
        evaluate(&["--from", "2100-01-01", "--until", "2100-01-02"]),
        "error: found no payment or transfer from --from until --until, expected some\n"
    );
    assert!(evaluate(&[&always[..], &["--threshold", "1.5"]].concat()).contains("expected a number from 0 to 1"));
}
