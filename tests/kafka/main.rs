//! The service between topics of a real broker: Apache Kafka. Needs a JDK from 17 on, and Maven for the first time.

#[allow(dead_code, reason = "brokers of their own come with the tests of outages")]
mod broker;
mod conformance;
mod recovery;
#[path = "../house/service.rs"]
#[allow(dead_code, reason = "each test binary takes its own part")]
mod service;
mod shards;
mod sinks;
mod sources;
mod traffic;
