//! `[list.NAME]`: which lists there are, who may stand on each, and what follows. Who stands on one is no matter of the topology.

use super::document::Log;
use super::section::{Section, one_of, suggestion};
use crate::decision::{Effect, LISTED_KINDS, LISTS_MAX, ListOptions, ListsOptions};

/// Reads `[list]`; `entries_max` stands among the limits.
pub(super) fn read(root: &Section, entries_max: u32) -> ListsOptions {
    let Some(section) = root.find_section("list") else { return ListsOptions { entries_max, lists: Vec::new() } };
    let named = section.named();
    if named.len() > LISTS_MAX {
        root.error("list", format!("{} lists", named.len()), format!("at most {LISTS_MAX}"));
    }
    let lists = named.into_iter().map(|(name, section)| read_list(name, &section)).collect();
    ListsOptions { entries_max, lists }
}

fn read_list(name: &str, section: &Section) -> ListOptions {
    let effect = section.word("effect", &Effect::ALL.map(|effect| (effect.name(), effect)));
    let kinds = LISTED_KINDS.map(|kind| (kind.name(), kind));
    let found: Vec<_> = section.list("of").iter().filter_map(|item| item.word(&kinds)).collect();
    if found.is_empty() {
        section.error("of", "nothing", format!("what may stand on it: {}", one_of(kinds.iter().map(|(name, _)| *name))));
    }
    section.finish();
    ListOptions { name: name.to_string(), effect, of: LISTED_KINDS.into_iter().filter(|kind| found.contains(kind)).collect() }
}

/// The lists that `section` names under `lists`, as bits; each must decline, because what names them is a ladder of declines.
pub(super) fn read_declining(section: &Section, lists: &ListsOptions, log: &Log) -> u32 {
    let mut bits = 0;
    for item in section.list("lists") {
        let Some(name) = item.text("the name of a list", 48) else { continue };
        if !log.sound(&["list"]) {
            continue;
        }
        let declining = || lists.lists.iter().filter(|list| list.effect.declines()).map(|list| list.name.as_str());
        match lists.lists.iter().position(|list| list.name == name) {
            Some(number) if lists.lists[number].effect.declines() => bits |= 1 << number,
            Some(number) => {
                let found = format!("{name:?}, whose effect is {}", lists.lists[number].effect.name());
                log.error(&item.path, found, format!("a list that declines: {}", one_of(declining())));
            }
            None => {
                let found = format!("{name:?}{}", suggestion(name, declining()));
                log.error(&item.path, found, format!("a list that declines: {}", one_of(declining())));
            }
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use crate::decision::Effect;
    use crate::event::IdKind;
    use crate::topology::{Layer, Topology};
    use std::path::Path;

    fn mistakes(text: &str) -> Vec<String> {
        match Topology::parse(&[Layer { name: "t", text, folder: Path::new("") }]) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(|error| format!("{}: {}", error.key, error.message)).collect(),
        }
    }

    /// Caught when planted: a list that only reviews taken for one that declines.
    #[test]
    fn stand_ins_decline_by_lists_that_decline() {
        assert_eq!(mistakes("[stand_in]\nlists = []"), Vec::<String>::new());
        let found = mistakes("[stand_in]\nlists = [\"watched\", \"bloked\"]");
        assert_eq!(
            found,
            [
                "stand_in.lists[0]: found \"watched\", whose effect is review, expected a list that declines: blocked, sanctioned or stolen",
                "stand_in.lists[1]: found \"bloked\" (did you mean blocked?), expected a list that declines: blocked, sanctioned or stolen"
            ]
        );
        let named = Topology::parse(&[Layer { name: "t", text: "[stand_in]\nlists = [\"stolen\"]", folder: Path::new("") }]).unwrap();
        let stolen = named.deciding.lists.lists.iter().position(|list| list.name == "stolen").unwrap();
        assert_eq!(named.stand_in.declined_by, 1 << stolen);
    }

    /// Whoever may be the subject of an alert can be hushed: accounts are those of laundering.
    #[test]
    fn subjects_of_alerts_may_be_suppressed() {
        let topology = Topology::parse(&[]).unwrap();
        let list = topology.deciding.lists.lists.iter().find(|list| list.effect == Effect::Suppress).unwrap();
        for kind in [IdKind::Device, IdKind::Card, IdKind::User, IdKind::Merchant, IdKind::Account] {
            assert!(list.of.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let found =
            mistakes("[list.cars]\neffect = \"blok\"\nof = [\"car\"]\n[policy.control]\nshare = 0.7\n[guard]\nshare_percent = 101\n");
        let keys: Vec<&str> = found.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
        assert_eq!(
            keys,
            ["list.cars.effect", "list.cars.of", "list.cars.of[0]", "policy.control.share", "guard.share_percent"],
            "{found:?}"
        );
    }
}
