//! Labels: what is known of an event, from when on, and who overrules whom.

use super::*;

#[test]
fn a_label_without_its_target_may_come_again() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 100);
    let target = story.target(0, 0, "ann", "shop");
    let label = |resolved| {
        Content::Event(Event {
            id: id(IdKind::Event, "label"),
            time: Timestamp(1),
            body: Body::Label(Label {
                target: id(IdKind::Event, "told 0"),
                verdict: Verdict::Fraud,
                source: LabelSource::Chargeback,
                scenario: None,
                user: None,
                from: None,
                resolved,
            }),
        })
    };
    assert_eq!(story.record(label(None)), Seen::Rejected(Refusal::UnknownTarget));
    assert_eq!(story.record(label(Some(target))), Seen::Applied);
    assert_eq!(story.record(label(None)), Seen::Duplicate, "what the runtime adds is not content");
}

#[test]
fn labels_mature_and_are_overruled() {
    let mut story = Story::of(&options());
    let names = ["spent.bad_1d", "spent.good_1d", "user.bads", "merchant.bads"];
    story.pay(0, "ann", "shop", 1);
    let target = story.target(0, 0, "ann", "shop");
    assert_eq!(ints(&story.pay(DAY, "ann", "inn", 1), names), [0, 0, 0, 0], "T = time + maturity: not yet");
    assert_eq!(ints(&story.pay(DAY + 1, "ann", "shop", 1), names), [0, 1, 0, 0]);
    story.label(DAY + 2, target, Verdict::Fraud, LabelSource::Chargeback);
    let bad = story.pay(DAY + 3, "ann", "shop", 1);
    assert_eq!(ints(&bad, names), [1, 0, 1, 1]);
    assert_eq!(bad.figures["spent.bad_rate_1d"], Value::Double(1.0));
    story.label(DAY + 4, target, Verdict::Legitimate, LabelSource::Rule);
    assert_eq!(ints(&story.pay(DAY + 5, "ann", "shop", 1), names), [1, 0, 1, 1], "a weaker source does not overrule");
    story.label(DAY + 6, target, Verdict::Legitimate, LabelSource::Analyst);
    let good = story.pay(DAY + 7, "ann", "shop", 1);
    assert_eq!(ints(&good, names), [0, 1, 0, 0]);
    assert_eq!(good.figures["spent.bad_rate_1d"], Value::Double(0.0));
    let left = story.pay(2 * DAY, "ann", "shop", 1);
    assert_eq!(ints(&left, names), [0, 0, 0, 0], "the first row left, T - maturity - w; the second matures after this moment");
    assert_eq!(ints(&story.pay(2 * DAY + 1, "ann", "shop", 1), names), [0, 1, 0, 0]);
}

#[test]
fn a_verdict_counts_from_its_own_source_and_label_windows_by_its_maturity() {
    let mut story = Story::of(&options());
    story.source = 1;
    story.received = 4 * DAY;
    story.pay(0, "ann", "shop", 1);
    let names = ["spent.bad_1d", "spent.good_1d"];
    assert_eq!(ints(&story.pay(3 * DAY, "ann", "shop", 1), names), [0, 0]);
    assert_eq!(ints(&story.pay(3 * DAY + 1, "ann", "shop", 1), names), [0, 1]);
    assert_eq!(ints(&story.pay(4 * DAY - 1, "ann", "shop", 1), names), [0, 1]);
    assert_eq!(ints(&story.pay(4 * DAY, "ann", "shop", 1), names), [0, 0]);
}

#[test]
fn a_label_outlives_its_row() {
    let mut story = Story::of(&options());
    story.pay(0, "ann", "shop", 1);
    let mut target = story.target(0, 0, "ann", "shop");
    story.record(Content::Tick(Timestamp(10 * DAY)));
    story.label(10 * DAY, target, Verdict::Fraud, LabelSource::Chargeback);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "inn", 1), ["user.bads", "merchant.bads", "spent.bad_1d"]), [1, 0, 0]);
    target.standing = Some((Verdict::Fraud, LabelSource::Chargeback));
    story.label(10 * DAY, target, Verdict::Laundering, LabelSource::Analyst);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "shop", 1), ["user.bads", "merchant.bads"]), [1, 1]);
    target.standing = Some((Verdict::Laundering, LabelSource::Analyst));
    story.label(10 * DAY, target, Verdict::Legitimate, LabelSource::Analyst);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "shop", 1), ["user.bads", "merchant.bads"]), [0, 0]);
}
