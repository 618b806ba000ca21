//! `[kafka]`: brokers, and who this process is among them.

use super::document::Log;
use super::quantity::DURATION_MAX;
use super::section::{Item, Section};
use super::{Topology, operation::WaitFor};
use crate::engine::{PARTITIONS_MAX, TOPICS_MAX};
use crate::event::Duration;
use crate::kafka::{KafkaOptions, OptionValue, RESERVED};
use std::path::Path;
use std::time::Duration as Wall;

/// Bytes of refused input that a record of Kafka can hold in both its forms.
const REJECTED_BYTES_MAX: usize = 100_000;

/// Reads `[kafka]`, which a layer may turn off. `folders` are those of the layers, against which relative files of secrets are resolved.
pub(super) fn read(section: &Section, folders: &[&Path]) -> Option<KafkaOptions> {
    let off = section.find("off").and_then(|item| item.boolean()) == Some(true);
    let wall = |key: &str, least: Duration, most: Duration, default: Wall| {
        section.find_duration(key, least..=most).map_or(default, |length| Wall::from_micros(length.0.unsigned_abs()))
    };
    let millisecond = Duration(1_000);
    let number = |key: &str, least: i64, most: i64, default: i64| {
        section.find(key).and_then(|item| item.integer(&(least..=most))).unwrap_or(default)
    };
    let group = section.find("group").and_then(|item| item.text("a consumer group's name", 200)).unwrap_or("weir");
    let shards = number("shards", 1, i64::from(PARTITIONS_MAX), 1);
    let options = KafkaOptions {
        brokers: section.text("brokers", "brokers such as \"kafka-1:9092,kafka-2:9092\"", 4096),
        group: group.to_owned(),
        shard: number("shard", 0, i64::from(PARTITIONS_MAX) - 1, 0) as u32,
        shards: shards as u32,
        commit_every: wall("commit_every", millisecond, Duration::SECOND.times(10), Wall::from_millis(50)),
        commit_records_max: number("commit_records_max", 1, 1_000_000, 10_000) as usize,
        ready_lag_max: wall("ready_lag_max", Duration::SECOND, DURATION_MAX, Wall::from_secs(30)),
        publish_lag_max: wall("publish_lag_max", Duration::SECOND, DURATION_MAX, Wall::from_secs(30)),
        recover: false,
        orphans_wait: section.find_duration("orphans_wait", Duration(0)..=Duration::DAY).unwrap_or(Duration::MINUTE.times(10)),
        options: section.find_section("options").map(|section| read_options(&section, folders)).unwrap_or_default(),
    };
    if section.is_sound() && options.shard >= options.shards {
        section.error("shard", options.shard, format_args!("less than kafka.shards ({})", options.shards));
    }
    section.finish();
    (!off).then_some(options)
}

/// Options by their names in librdkafka, which have dots: quoted, or as tables in tables.
fn read_options(section: &Section, folders: &[&Path]) -> Vec<(String, OptionValue)> {
    let mut options = Vec::new();
    read_table(section, "", folders, &mut options);
    options.sort_by(|(one, _), (other, _)| one.cmp(other));
    options
}

fn read_table(section: &Section, before: &str, folders: &[&Path], out: &mut Vec<(String, OptionValue)>) {
    for (key, item) in section.items() {
        let name = format!("{before}{key}");
        let Some(value) = read_value(&item, folders) else {
            if let Some(table) = item.table() {
                read_table(&table, &format!("{name}."), folders, out);
            } else {
                item.error("a text, number or boolean, or { env = \"NAME\" } or { file = \"PATH\" }");
            }
            continue;
        };
        if RESERVED.contains(&&*name) {
            section.error(key, &name, "an option that Weir does not set itself: exactly-once hangs on this one");
        }
        out.push((name, value));
    }
}

fn read_value(item: &Item, folders: &[&Path]) -> Option<OptionValue> {
    if let Some(table) = item.table() {
        let secret = |key: &str| table.find(key).filter(|item| item.table().is_none())?.text("a name", 4096).map(str::to_owned);
        let folder = folders.get(item.layer).copied().unwrap_or(Path::new(""));
        return match (secret("env"), secret("file")) {
            (Some(name), None) => Some(OptionValue::Env(name)),
            (None, Some(path)) => Some(OptionValue::File(folder.join(path))),
            _ => None,
        };
    }
    item.value.scalar().map(OptionValue::Text)
}

/// What sources and the hook ask of `[kafka]`.
pub(super) fn check(topology: &Topology, log: &Log) {
    let topics: Vec<_> = topology.sources.iter().filter_map(|source| Some((&source.name, source.topic.as_ref()?))).collect();
    if topology.kafka.is_none() {
        for (name, topic) in &topics {
            log.error(&format!("source.{name}.topic"), format!("{topic:?} and no [kafka]"), "[kafka] with brokers = \"...\"");
        }
        if topology.authorize.wait_for == WaitFor::Kafka {
            log.error("authorize.wait_for", "\"kafka\" and no [kafka]", "[kafka] with brokers = \"...\"");
        }
    }
    if topology.kafka.is_some() && topology.input.rejected_bytes_max > REJECTED_BYTES_MAX {
        let found = topology.input.rejected_bytes_max;
        log.error(
            "input.rejected_bytes_max",
            found,
            format!("at most {REJECTED_BYTES_MAX} with [kafka]: escaped, a record must stay below 1 MB"),
        );
    }
    if topics.len() > TOPICS_MAX {
        log.error("source", format!("{} topics", topics.len()), format!("at most {TOPICS_MAX}"));
    }
    for (place, (name, topic)) in topics.iter().enumerate() {
        let key = format!("source.{name}.topic");
        if let Some((other, _)) = topics[..place].iter().find(|(_, other)| other == topic) {
            log.error(&key, format!("{topic:?}, which source.{other} reads too"), "a topic of its own");
        }
        let output = topology.topics.all().into_iter().find(|(key, name)| *key != "events" && name == topic);
        if let Some((of, _)) = output {
            log.error(&key, format!("{topic:?}, the topic of {of}"), "a topic of events");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Layer;

    fn parse(text: &str) -> Result<Topology, String> {
        let layer = Layer { name: "layer.toml", text, folder: Path::new("there") };
        Topology::parse(&[layer]).map_err(|errors| errors.to_string())
    }

    #[test]
    fn brokers_are_enough() {
        let topology = parse("[kafka]\nbrokers = 'a:1,b:2'\n[source.stream]\ntopic = 'weir.events'").unwrap();
        let kafka = topology.kafka.unwrap();
        assert_eq!((&*kafka.brokers, &*kafka.identity(), &*kafka.consumer_group()), ("a:1,b:2", "weir-0", "weir"));
        let stream = topology.sources.iter().find(|source| source.name == "stream").unwrap();
        assert_eq!((stream.topic.as_deref(), stream.fresh_max), (Some("weir.events"), Some(Duration::MINUTE)));
        assert_eq!(parse("").unwrap().kafka, None);
        assert_eq!(parse("[kafka]\nbrokers = 'a:1'\noff = true").unwrap().kafka, None);
    }

    #[test]
    fn options_of_the_client_are_handed_on_and_secrets_stand_elsewhere() {
        let text = "[kafka]\nbrokers = 'a:1'\n[kafka.options]\n'sasl.password' = { env = 'SECRET' }\nsecurity.protocol = 'SASL_SSL'\n\
                    ssl.key.password.file = 'key.txt'\nlinger.ms = 5\n";
        let options = parse(text).unwrap().kafka.unwrap().options;
        let expected = [
            ("linger.ms", OptionValue::Text("5".to_owned())),
            ("sasl.password", OptionValue::Env("SECRET".to_owned())),
            ("security.protocol", OptionValue::Text("SASL_SSL".to_owned())),
            ("ssl.key.password", OptionValue::File("there/key.txt".into())),
        ];
        assert_eq!(options, expected.map(|(name, value)| (name.to_owned(), value)));
        assert!(!format!("{options:?}").contains("SASL_SSL"));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        for (text, told) in [
            ("[source.s]\ntopic = 't'", "layer.toml:2: source.s.topic: found \"t\" and no [kafka]"),
            ("[kafka]\nbrokers = 'a'\nshard = 2\nshards = 2", "layer.toml:3: kafka.shard: found 2, expected less than kafka.shards (2)"),
            ("[kafka]\nbrokers = 'a'\n[kafka.options]\ngroup.id = 'x'", "layer.toml:4: kafka.options.group.id: found group.id"),
            (
                "[kafka]\nbrokers = 'a'\n[source.s]\ntopic = 't'\nfiles = ['a.jsonl']",
                "layer.toml:5: source.s.files: found files beside topic",
            ),
            ("[kafka]\nbrokers = 'a'\n[source.s]\ntopic = 'weir.alerts'", "found \"weir.alerts\", the topic of alerts"),
            ("[authorize]\nwait_for = 'kafka'", "layer.toml:2: authorize.wait_for: found \"kafka\" and no [kafka]"),
        ] {
            let errors = parse(text).unwrap_err();
            assert!(errors.contains(told), "{errors}");
        }
    }
}
