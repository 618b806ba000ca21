//! Whether options make clients, and whether there are brokers: asked by clients of its own, which join nothing and change nothing.

use super::client::{Quiet, config, unmade};
use super::options::KafkaOptions;
use super::producer::producing;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use std::time::Duration;

/// How long brokers may take to say something.
const PATIENCE: Duration = Duration::from_secs(5);

/// The version of the library, as it says itself.
pub fn library_version() -> Option<String> {
    Some(rdkafka::util::get_rdkafka_version().1)
}

/// Makes a consumer and a producer of `options` and lets them go, before anything relies on them: no broker is waited for, nobody is fenced.
///
/// # Errors
/// What of them makes no client, in words.
pub fn usable(options: &KafkaOptions) -> Result<(), String> {
    let told = |cause: KafkaError| format!("kafka.options: {}", unmade(&cause));
    config(options)?.create_with_context::<_, BaseConsumer<Quiet>>(Quiet).map_err(told)?;
    producing(options)?.create_with_context::<_, BaseProducer<Quiet>>(Quiet).map(drop).map_err(told)
}

/// Asks the brokers of `options` who they are: each by its identity and address.
///
/// # Errors
/// Where no client can be made of the options, or no broker answers.
pub fn reach(options: &KafkaOptions) -> Result<Vec<String>, String> {
    let consumer: BaseConsumer<Quiet> = config(options)?.create_with_context(Quiet).map_err(|cause| unmade(&cause))?;
    let told = consumer.fetch_metadata(None, PATIENCE).map_err(|cause| {
        let seconds = PATIENCE.as_secs();
        format!("found nobody who answers at {} within {seconds} s ({cause}), expected brokers", options.brokers)
    })?;
    Ok(told.brokers().iter().map(|broker| format!("{} {}:{}", broker.id(), broker.host(), broker.port())).collect())
}
