//! What consumer and producer have in common: how a client is configured, and what its library says.

use super::options::KafkaOptions;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tracing::{debug, info, warn};

/// The client of `options`, before it is said what it is for.
///
/// # Errors
/// Where the value of an option cannot be read.
pub(super) fn config(options: &KafkaOptions) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers);
    config.set("client.id", format!("weir-{}", options.identity()));
    // A broker that comes back is to be met soon.
    config.set("reconnect.backoff.max.ms", "1000");
    for (name, value) in &options.options {
        let value = value.read().map_err(|cause| format!("kafka.options.{name}: {cause}"))?;
        config.set(name, value);
    }
    let level = if config.get("debug").is_some() { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info };
    config.set_log_level(level);
    Ok(config)
}

/// Why a client could not be made; options that this build has no code for are told as such.
pub(super) fn unmade(cause: &KafkaError) -> String {
    let text = cause.to_string();
    let lacks = ["ssl.", "OpenSSL", "SSL", "SASL"].iter().any(|word| text.contains(word));
    let hint = if lacks && !cfg!(feature = "kafka-ssl") { "; TLS and SCRAM need a build with --features kafka-ssl" } else { "" };
    format!("{text}{hint}")
}

/// Whether another client of the same identity has taken over.
pub(super) fn is_fenced(cause: &KafkaError) -> bool {
    let fencing = [
        RDKafkaErrorCode::Fenced,
        RDKafkaErrorCode::FencedInstanceId,
        RDKafkaErrorCode::ProducerFenced,
        RDKafkaErrorCode::InvalidProducerEpoch,
    ];
    code(cause).is_some_and(|code| fencing.contains(&code))
}

fn code(cause: &KafkaError) -> Option<RDKafkaErrorCode> {
    match cause {
        KafkaError::Transaction(error) => Some(error.code()),
        KafkaError::MessageConsumptionFatal(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// Tells the library's own words where all others stand.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // One list of options serves consumers and producers: what is the other's is not news.
        _ if facility == "CONFWARN" && message.contains("will be ignored by this") => debug!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            warn!(facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => info!(facility, message, "librdkafka"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => debug!(facility, message, "librdkafka"),
    }
}

/// A client of which nothing is asked but that it logs.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
