//! The service between topics of a real broker: Apache Kafka. Needs a JDK from 17 on, and Maven for the first time.

mod broker;
mod conformance;
mod crashes;
mod identity;
mod outages;
mod recovery;
#[path = "../house/service.rs"]
#[allow(dead_code, reason = "each test binary takes its own part")]
mod service;
mod shards;
mod sinks;
mod sources;
mod traffic;
