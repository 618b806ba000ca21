//! What is answered past a limit, and who makes room.

use super::*;

#[test]
fn a_full_ring_says_since_when_it_knows() {
    let mut narrow = options();
    narrow.limits.families[0].rows_max = 2;
    let mut story = Story::of(&narrow);
    for minute in 0..2 {
        assert_eq!(story.pay(minute, "ann", "shop", 1).skips, []);
    }
    let short = story.pay(2, "ann", "shop", 1);
    assert_eq!(short.int("spent.count_1h"), Some(1), "the oldest left before the new one was read");
    let since = |window: i64, value| Skip { part: Part::Window, why: Why::HistorySince, value, window };
    // A day, and the longest maturity of three besides, for the labels.
    assert_eq!(short.skips, [since(HOUR, 0), since(DAY, 0), since(4 * DAY, 0)]);
    story.record(Content::Tick(Timestamp(HOUR + 1)));
    let later = story.pay(HOUR + 1, "ann", "shop", 1);
    assert_eq!(later.skips, [since(DAY, 1), since(4 * DAY, 1)], "the hour is whole again: its dropped rows would have left");
}

#[test]
fn a_full_late_ring_keeps_late_rows_out_of_all_windows() {
    let mut narrow = options();
    narrow.limits.families[0].late_rows_max = 1;
    let mut story = Story::of(&narrow);
    story.pay(10 * HOUR, "ann", "shop", 1);
    story.pay(9 * HOUR + 1, "ann", "shop", 10);
    assert_eq!(story.pay(9 * HOUR + 2, "ann", "inn", 100).skips, []);
    let after = story.pay(10 * HOUR, "ann", "shop", 0);
    assert_eq!(ints(&after, ["spent.sum_1h", "spent.distinct_merchant_1h", "spent.max"]), [11, 1, 10], "it belongs to no aggregate");
    assert_eq!(after.neighbours[0].len(), 3, "recent it is all the same");
    let late = |window: i64| Skip { part: Part::Window, why: Why::LateFull, value: 0, window };
    // Labels: a day behind the longest maturity of three.
    assert_eq!(after.skips, [late(HOUR), late(DAY), late(4 * DAY)]);
    assert_eq!(story.pay(10 * HOUR + 2, "ann", "shop", 0).skips, [late(DAY), late(4 * DAY)], "the row would have left the hour");
    assert_eq!(story.pay(33 * HOUR + 2, "ann", "shop", 0).skips, [late(4 * DAY)]);
    let free = 4 * DAY + 9 * HOUR + 1;
    story.record(Content::Tick(Timestamp(free)));
    story.pay(free - HOUR, "ann", "shop", 1000);
    let after = story.pay(free + 1, "ann", "shop", 0);
    assert_eq!((after.int("spent.sum_1d"), after.skips.as_slice()), (Some(1000), [].as_slice()), "the place is free again");
}

#[test]
fn a_full_table_of_pairs_gives_birth_to_superseded_rows() {
    let mut narrow = options();
    narrow.limits.families[0].pairs_max = 1;
    let mut story = Story::of(&narrow);
    let names = ["spent.count_1d", "spent.distinct_merchant_1d", "spent.pair_merchant_count"];
    story.pay(0, "ann", "shop", 1);
    assert_eq!(story.pay(HOUR, "ann", "inn", 1).skips, []);
    let after = story.pay(2 * HOUR, "ann", "inn", 1);
    assert_eq!(ints(&after, names), [2, 1, 0]);
    assert_eq!(after.skips, [skip(Part::Distinct, Why::PairsFull)]);
    // The shop's row leaves the longest window and its place; the inn takes it, and its earlier rows stay uncounted.
    story.pay(DAY, "ann", "inn", 1);
    assert_eq!(ints(&story.pay(DAY + 1, "ann", "inn", 1), names), [3, 1, 1]);
    assert_eq!(story.pay(DAY + 2 * HOUR, "bob", "pub", 1).skips, []);
}

#[test]
fn a_node_without_a_warm_record_knows_its_newest_four() {
    let mut narrow = options();
    narrow.limits.families[0].warm_nodes_max = 1;
    let mut story = Story::of(&narrow);
    for minute in 0..5 {
        story.pay(minute, "ann", &format!("shop {minute}"), 1 << minute);
        story.pay(minute, "bob", &format!("inn {minute}"), 1 << minute);
    }
    let ann = story.pay(5, "ann", "shop", 0);
    assert_eq!(ints(&ann, ["spent.count_1h", "spent.sum_1h"]), [5, 31]);
    assert_eq!(ann.skips, []);
    let bob = story.pay(5, "bob", "inn", 0);
    assert_eq!(ints(&bob, ["spent.count_1h", "spent.sum_1h", "spent.distinct_merchant_1h", "spent.max"]), [4, 30, 4, 16]);
    assert_eq!(bob.neighbours[0].len(), 4);
    assert_eq!(bob.skips, [skip(Part::Graph, Why::WarmNodesFull)]);
    // Six days on everything has left, and ann's record with it: whoever has a fifth event first gets it.
    for minute in 0..6 {
        story.pay(6 * DAY + minute, "bob", "inn 0", 1);
        story.pay(6 * DAY + minute, "ann", "shop 0", 1);
    }
    let bob = story.pay(6 * DAY + 6, "bob", "inn", 0);
    assert_eq!((bob.int("spent.count_1h"), bob.skips.as_slice()), (Some(6), [].as_slice()));
    let ann = story.pay(6 * DAY + 6, "ann", "shop", 0);
    assert_eq!(ann.int("spent.count_1h"), Some(4));
}

#[test]
fn the_longest_dormant_node_makes_room() {
    let mut narrow = options();
    narrow.limits.nodes_max = 5;
    let mut story = Story::of(&narrow);
    story.tell(
        0,
        Body::Profile(Profile { user: id(IdKind::User, "ann"), name: None, country: None, consent_personalization: None, kyc_risk: None }),
    );
    story.pay(0, "ann", "shop", 1);
    story.pay(0, "bob", "inn", 1);
    assert_eq!(story.model.nodes_len(), 4);
    let full = story.pay(1, "cid", "pub", 1);
    assert_eq!(full.skips, [skip(Part::Graph, Why::NodesFull)], "cid found a place, the pub did not");
    let again = story.pay(2, "cid", "pub", 1);
    assert_eq!(ints(&again, ["user.events", "merchant.events", "spent.count_1h", "spent.distinct_merchant_1h"]), [1, 0, 1, 0]);
    story.record(Content::Tick(Timestamp(10 * DAY)));
    // Ann has a profile, so the shop, then bob are the longest dormant.
    assert_eq!(story.pay(10 * DAY, "dan", "zoo", 1).skips, []);
    let back = story.pay(10 * DAY, "ann", "inn", 1);
    assert_eq!(ints(&back, ["user.events", "user.days", "merchant.events"]), [1, 10, 1]);
    assert_eq!(ints(&story.pay(10 * DAY, "bob", "shop", 1), ["user.events", "merchant.events"]), [0, 0], "replaced, and forgotten");
}

#[test]
fn a_catalogue_entry_keeps_its_place() {
    let mut narrow = options();
    narrow.limits.nodes_max = 2;
    let mut story = Story::of(&narrow);
    let hat = Item { item: id(IdKind::Item, "hat"), merchant: None, category: None, brand: None, price: None, title: None };
    assert_eq!(story.tell(0, Body::Item(hat)), Seen::Applied);
    story.pay(0, "ann", "shop", 1);
    assert_eq!(story.model.nodes_len(), 2, "the hat and ann");
    assert_eq!(story.pay(20 * DAY, "bob", "shop", 1).skips, [skip(Part::Graph, Why::NodesFull)], "bob took ann's place, the shop none");
}

#[test]
fn a_node_becomes_warm_only_while_it_knows_all_its_rows() {
    let mut narrow = options();
    narrow.limits.families[0].warm_nodes_max = 1;
    let mut story = Story::of(&narrow);
    for _ in 0..5 {
        story.pay(0, "ann", "shop", 1);
    }
    // The horizon is four days. Of bob's six rows two leave with ann's, and her record with them.
    for minute in [0, 0, 1, 1, 1, 1] {
        story.pay(minute, "bob", &format!("inn {}", story.told), 1);
    }
    assert_eq!(story.pay(1, "bob", "inn", 1).skips, [skip(Part::Graph, Why::WarmNodesFull)], "six rows, and the record is ann's");
    let five = story.pay(4 * DAY, "bob", "inn", 1);
    assert_eq!(five.skips, [skip(Part::Graph, Why::WarmNodesFull)], "five rows: too late for the record that is free");
    let after = story.pay(4 * DAY, "bob", "inn", 1);
    assert_eq!(after.skips, [skip(Part::Graph, Why::WarmNodesFull)]);
}

#[test]
fn who_is_in_use_again_is_not_dormant() {
    let mut narrow = options();
    narrow.limits.nodes_max = 2;
    let mut story = Story::of(&narrow);
    story.pay(0, "ann", "shop", 1);
    story.pay(10 * DAY, "ann", "shop", 1);
    let full = [skip(Part::Graph, Why::NodesFull)];
    assert_eq!(story.pay(10 * DAY, "bob", "inn", 1).skips, full);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "shop", 1), ["user.events", "merchant.events"]), [2, 2]);
}

#[test]
fn a_known_bad_and_a_catalogue_entry_that_had_rows_are_not_replaced() {
    let mut narrow = options();
    narrow.limits.nodes_max = 2;
    let mut story = Story::of(&narrow);
    story.pay(0, "ann", "shop", 1);
    let mut target = story.target(0, 0, "ann", "shop");
    story.label(0, target, Verdict::Fraud, LabelSource::Chargeback);
    let full = [skip(Part::Graph, Why::NodesFull)];
    assert_eq!(story.pay(10 * DAY, "bob", "inn", 1).skips, full);
    assert_eq!(ints(&story.pay(10 * DAY, "ann", "inn", 1), ["user.events", "user.bads", "merchant.events"]), [1, 1, 0]);
    target.standing = Some((Verdict::Fraud, LabelSource::Chargeback));
    story.label(10 * DAY, target, Verdict::Legitimate, LabelSource::Chargeback);
    // The shop, dormant all the while, may go now; ann has a row.
    assert_eq!(story.pay(10 * DAY, "ann", "inn", 1).skips, []);

    let mut story = Story::of(&narrow);
    let looked = |user: &str, item: &str| {
        Body::Interaction(Interaction {
            user: id(IdKind::User, user),
            item: id(IdKind::Item, item),
            action: Action::View,
            merchant: None,
            dwell_ms: None,
            surface: None,
            session: None,
            device: None,
            experiment: None,
            propensity: None,
        })
    };
    story.facts(0, looked("ann", "hat"));
    let hat = Item { item: id(IdKind::Item, "hat"), merchant: None, category: None, brand: None, price: None, title: None };
    story.tell(0, Body::Item(hat));
    assert_eq!(story.facts(31 * DAY, looked("bob", "tie")).skips, full, "bob took ann's place, the tie found none");
    assert_eq!(ints(&story.facts(32 * DAY, looked("bob", "hat")), ["user.events", "item.events"]), [1, 1]);
}

#[test]
fn a_late_row_without_a_place_is_no_pair() {
    let mut narrow = options();
    narrow.limits.families[0].late_rows_max = 0;
    let mut story = Story::of(&narrow);
    story.pay(10 * HOUR, "bob", "shop", 1);
    story.pay(9 * HOUR + 1, "ann", "shop", 1);
    let names = ["spent.pair_merchant_count", "spent.pair_merchant_age_s", "spent.distinct_merchant_1d"];
    assert_eq!(ints(&story.pay(10 * HOUR, "ann", "shop", 1), names), [0, -1, 0]);
    // Nobody's place is needed by a row behind the horizon, and nobody need be told.
    story.record(Content::Tick(Timestamp(110 * HOUR)));
    story.pay(11 * HOUR, "ann", "shop", 1);
    assert_eq!(story.pay(110 * HOUR, "ann", "shop", 1).skips, []);
}

#[test]
fn a_late_place_is_free_when_the_row_is_behind_the_horizon() {
    let mut narrow = options();
    narrow.limits.families[0].late_rows_max = 1;
    let mut story = Story::of(&narrow);
    story.pay(10 * HOUR, "ann", "shop", 1);
    story.pay(9 * HOUR, "ann", "shop", 1);
    story.record(Content::Tick(Timestamp(105 * HOUR)));
    story.pay(105 * HOUR - 1, "ann", "shop", 8);
    assert_eq!(story.pay(105 * HOUR, "ann", "shop", 0).int("spent.sum_1h"), Some(8), "T = time + H: the first has left");
}
