//! Every metric of the program: named, described and registered in one list, rendered for Prometheus.
//!
//! Names are `<area>_<thing>_<unit>`, counters end in `_total`. Whoever owns a thing sets its metric, once a batch or once a request; hot paths
//! take the labelled handle once (`with_label_values`) and keep it. Nothing here reads a clock or decides anything.

use crate::event::EventType;
use crate::typology::Kind;
use prometheus::core::Collector;
use prometheus::proto::{LabelPair, MetricFamily};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// From 50 µs, in which nothing but a quick answer fits, to 1 s: seconds.
const ANSWER_SECONDS: [f64; 15] =
    [0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.25, 1.0];

/// From one event, 1 µs, to a full batch of a cold graph: seconds.
const STEP_SECONDS: [f64; 12] = [0.000002, 0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1];

/// From a write into the page cache to a disk that stalls: seconds.
const DISK_SECONDS: [f64; 13] = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];

/// From a broker beside this process to one that comes back: seconds.
const COMMIT_SECONDS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0];

/// From a small engine to a company's on a slow disk: seconds.
const SNAPSHOT_SECONDS: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// Distances of probabilities, from none to all.
const DIFFERENCES: [f64; 9] = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Powers of two up to the greatest batch that is usual: events.
const BATCH_EVENTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];

/// Handles on every metric.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,

    pub http_requests_total: IntCounterVec,
    pub http_authorization_seconds: Histogram,
    pub http_event_lines_total: IntCounterVec,
    pub http_connections: IntGauge,
    pub http_connections_refused_total: IntCounter,
    pub http_streams: IntGauge,
    pub http_timeouts_total: IntCounterVec,

    pub hook_answer_seconds: Histogram,
    pub hook_answers_total: IntCounterVec,
    pub hook_outcomes_total: IntCounterVec,
    pub hook_stand_ins_total: IntCounterVec,
    pub hook_stand_in_ratio: Gauge,
    pub hook_efforts_total: IntCounterVec,
    pub hook_waiting: IntGauge,

    pub inbox_events: IntGaugeVec,
    pub inbox_spilled_total: IntCounter,
    pub inbox_orphans: IntGauge,

    pub engine_step_seconds: HistogramVec,
    pub engine_batch_events: Histogram,
    pub engine_records_total: IntCounterVec,
    pub engine_rejected_total: IntCounterVec,
    pub engine_stream_time_seconds: Gauge,

    pub graph_nodes: IntGauge,
    pub graph_rows: IntGaugeVec,

    pub journal_records_total: IntCounter,
    pub guard_turns_total: IntCounterVec,
    pub alerts_total: IntCounterVec,
    pub alerts_held: IntGaugeVec,
    pub journal_write_seconds: Histogram,
    pub journal_syncs_total: IntCounter,
    pub journal_sync_seconds: Histogram,
    pub journal_failed: IntGauge,
    pub journal_first_sequence: IntGauge,
    pub followers_lag_records: IntGauge,

    pub kafka_connected: IntGauge,
    pub kafka_lag_records: IntGaugeVec,
    pub kafka_behind_seconds: GaugeVec,
    pub kafka_rebalances_total: IntCounter,
    pub kafka_pauses_total: IntCounter,
    pub kafka_sent_total: IntCounterVec,
    pub kafka_transactions_total: IntCounterVec,
    pub kafka_commit_seconds: Histogram,
    pub kafka_recovered_total: IntCounterVec,
    pub sink_lag_records: IntGauge,
    pub sink_lag_seconds: Gauge,
    pub hook_publish_lag_ms: IntGauge,
    pub hook_uncommitted_total: IntCounter,

    pub snapshots_total: IntCounterVec,
    pub snapshot_sequence: IntGauge,
    pub snapshot_bytes: IntGauge,
    pub snapshot_seconds: Histogram,

    pub gnn_backend: IntGaugeVec,

    pub model_info: IntGaugeVec,
    pub model_drift_psi: GaugeVec,
    pub model_precision: GaugeVec,
    pub model_recall: GaugeVec,
    pub model_unmatched_labels_total: IntCounter,
    pub model_unwatched_total: IntCounter,
    pub model_shadow_difference: Histogram,
    pub model_shadow_compared_total: IntCounterVec,
    pub model_shadow_invalid_total: IntCounter,

    pub replay_records_total: IntCounter,

    pub standby_connected: IntGauge,
    pub standby_lag_records: IntGauge,
    pub standby_checkpoints_total: IntCounter,
    pub standby_mismatches_total: IntCounter,

    pub service_ready: IntGauge,
    pub service_epoch: IntGauge,
    pub service_fenced: IntGauge,
    pub service_start_time_seconds: Gauge,
    pub build_info: IntGaugeVec,
}

impl Metrics {
    /// All metrics at zero. `engine_version` and what else names the build stand in `build_info`.
    pub fn new(engine_version: &str) -> Metrics {
        let list = List(Registry::new());
        let metrics = Metrics {
            http_requests_total: list.counters("http_requests_total", "Requests answered, by route and status", &["route", "status"]),
            http_authorization_seconds: list.histogram(
                "http_authorization_seconds",
                "From the body of an authorization read to its answer handed to the connection",
                &ANSWER_SECONDS,
            ),
            http_event_lines_total: list.counters("http_event_lines_total", "Lines of /v1/events, by what became of them", &["status"]),
            http_connections: list.gauge("http_connections", "Connections open"),
            http_connections_refused_total: list
                .counter("http_connections_refused_total", "Connections closed at once: too many were open"),
            http_streams: list.gauge("http_streams", "Streams of server-sent events open"),
            http_timeouts_total: list.counters("http_timeouts_total", "Clients given up on, by what they were too slow at", &["what"]),

            hook_answer_seconds: list.histogram(
                "hook_answer_seconds",
                "From an authorization handed in, whoever asks, to its answer",
                &ANSWER_SECONDS,
            ),
            hook_answers_total: list.counters("hook_answers_total", "Answers to authorizations and challenges, by kind", &["kind"]),
            hook_outcomes_total: list.counters("hook_outcomes_total", "Decisions answered for the first time, by outcome", &["outcome"]),
            hook_stand_in_ratio: list
                .gauge_of_parts("hook_stand_in_ratio", "Share of stand-ins among the answers of the last minute, 0 to 1"),
            hook_stand_ins_total: list.counters("hook_stand_ins_total", "Stand-ins answered for the first time, by cause", &["why"]),
            hook_efforts_total: list.counters("hook_efforts_total", "Events written, by the effort asked of the engine", &["effort"]),
            hook_waiting: list.gauge("hook_waiting", "Callers who wait for an answer"),

            inbox_events: list.gauges("inbox_events", "Events that wait for the journal, by lane", &["lane"]),
            inbox_spilled_total: list.counter("inbox_spilled_total", "Events that went to the journal past a full inbox"),

            inbox_orphans: list.gauge("inbox_orphans", "Labels and results of topics that wait for what they speak of"),

            engine_step_seconds: list.histograms("engine_step_seconds", "Time of a step, by phase", &["phase"], &STEP_SECONDS),
            engine_batch_events: list.histogram("engine_batch_events", "Records of a step", &BATCH_EVENTS),
            engine_records_total: list.counters("engine_records_total", "Records stepped, by type", &["type"]),
            engine_rejected_total: list.counters("engine_rejected_total", "Input and events refused, by reason", &["reason"]),
            engine_stream_time_seconds: list.gauge_of_parts("engine_stream_time_seconds", "Stream time, in seconds since 1970"),

            alerts_total: list.counters("alerts_total", "Versions of alerts given out", &["kind", "typology", "status"]),
            alerts_held: list.gauges("alerts_held", "Alerts that the budget of the hour does not reach", &["kind"]),
            guard_turns_total: list.counters(
                "guard_turns_total",
                "Causes of the policy that came to stand otherwise with the guard, by how",
                &["kind", "to"],
            ),
            graph_nodes: list.gauge("graph_nodes", "Entities in the graph"),
            graph_rows: list.gauges("graph_rows", "Rows visible, by family", &["family"]),

            journal_records_total: list.counter("journal_records_total", "Records written to the journal"),
            journal_write_seconds: list.histogram("journal_write_seconds", "Time of a write of the journal's group", &DISK_SECONDS),
            journal_syncs_total: list.counter("journal_syncs_total", "Times the journal was synced to the disk"),
            journal_sync_seconds: list.histogram("journal_sync_seconds", "Time of a sync of the journal", &DISK_SECONDS),
            journal_first_sequence: list
                .gauge("journal_first_sequence", "First record that the journal still keeps, as of the last snapshot"),
            followers_lag_records: list
                .gauge("followers_lag_records", "Records that followers may not see yet: not settled, synced or named"),
            kafka_connected: list.gauge("kafka_connected", "1 while outputs are sent to the topics of Kafka"),
            kafka_lag_records: list.gauges("kafka_lag_records", "Records of a partition that are not read", &["topic", "partition"]),
            kafka_behind_seconds: list.gauges_of_parts(
                "kafka_behind_seconds",
                "Since a topic was last known to be read to its end, or the newest record that was read came into it",
                &["topic"],
            ),
            kafka_rebalances_total: list.counter("kafka_rebalances_total", "Times the group gave partitions or took them"),
            kafka_pauses_total: list.counter("kafka_pauses_total", "Times reading paused because too many events waited for the journal"),
            kafka_sent_total: list.counters(
                "kafka_sent_total",
                "Records handed to the producer, by topic; of kind aml are alerts of laundering",
                &["kind", "topic"],
            ),
            kafka_transactions_total: list.counters("kafka_transactions_total", "Transactions: committed, aborted", &["outcome"]),
            kafka_commit_seconds: list.histogram(
                "kafka_commit_seconds",
                "From the end of a transaction's records to its commit",
                &COMMIT_SECONDS,
            ),
            kafka_recovered_total: list.counters(
                "kafka_recovered_total",
                "Published decisions of records that the journal lost: came out the same, different, or were lost",
                &["decision"],
            ),
            sink_lag_records: list.gauge("sink_lag_records", "Records whose outputs are not committed in the topics"),
            sink_lag_seconds: list.gauge_of_parts("sink_lag_seconds", "Age of the oldest record whose outputs are not committed"),
            hook_publish_lag_ms: list
                .gauge("hook_publish_lag_ms", "Age of the oldest event that came by a door and is not committed in its topic, at most"),
            hook_uncommitted_total: list
                .counter("hook_uncommitted_total", "Answers that left at their deadline, before their decision was committed in its topic"),
            snapshots_total: list.counters("snapshots_total", "Snapshots, by what became of them", &["outcome"]),
            snapshot_sequence: list.gauge("snapshot_sequence", "First record that the newest snapshot does not know"),
            snapshot_bytes: list.gauge("snapshot_bytes", "Bytes of the newest snapshot that this process took"),
            snapshot_seconds: list.histogram("snapshot_seconds", "From the beginning of a snapshot to its name on disk", &SNAPSHOT_SECONDS),
            journal_failed: list.gauge("journal_failed", "1 when the journal takes nothing more because a write or sync failed"),

            gnn_backend: list.gauges("gnn_backend", "1, with the name of the device that forward passes run on", &["device"]),

            model_info: list.gauges("model_info", "1, with the name of a model and its use: serving or shadow", &["model", "use"]),
            model_drift_psi: list.gauges_of_parts(
                "model_drift_psi",
                "Population stability index of scores and main figures against the model's reference",
                &["of", "figure"],
            ),
            model_precision: list.gauges_of_parts(
                "model_precision",
                "Share of the bad among events that reached the threshold, of those at least as old as the delay",
                &["of", "threshold", "delay"],
            ),
            model_recall: list.gauges_of_parts(
                "model_recall",
                "Share of those that reached the threshold among events known to be bad, of those at least as old as the delay",
                &["of", "threshold", "delay"],
            ),
            model_unmatched_labels_total: list
                .counter("model_unmatched_labels_total", "Labels of events whose answer is not known here any more"),
            model_unwatched_total: list
                .counter("model_unwatched_total", "Judged events for which the monitor of models had no time: no figure tells of them"),
            model_shadow_difference: list.histogram(
                "model_shadow_difference",
                "Distance between the probabilities of the model in force and its shadow",
                &DIFFERENCES,
            ),
            model_shadow_compared_total: list.counters(
                "model_shadow_compared_total",
                "Events by which of both models reached a threshold of the policy: both, serving, shadow or neither",
                &["of", "threshold", "reached"],
            ),
            model_shadow_invalid_total: list.counter("model_shadow_invalid_total", "Scores of the shadow that are no number"),

            replay_records_total: list.counter("replay_records_total", "Records stepped again after a start"),

            standby_connected: list.gauge("standby_connected", "1 while this standby hears its leader"),
            standby_lag_records: list.gauge("standby_lag_records", "Records that the leader has and this standby does not"),
            standby_checkpoints_total: list
                .counter("standby_checkpoints_total", "Times this standby compared its engine's course with the leader's"),
            standby_mismatches_total: list
                .counter("standby_mismatches_total", "Times both differed: this standby has stopped and must not be promoted"),

            service_epoch: list.gauge("service_epoch", "The epoch in which this process leads; 0 while it does not"),
            service_fenced: list.gauge("service_fenced", "1 when another process leads and this one takes nothing more"),
            service_ready: list.gauge("service_ready", "1 when traffic should come here"),
            service_start_time_seconds: list
                .gauge_of_parts("service_start_time_seconds", "When the service started, in seconds since 1970"),
            build_info: list.gauges("build_info", "1, with what was built", &["version"]),
            registry: list.0,
        };
        metrics.build_info.with_label_values(&[engine_version]).set(1);
        metrics
    }

    /// The media type of [`Metrics::render`].
    pub fn media_type(&self) -> &'static str {
        prometheus::TEXT_FORMAT
    }

    /// All metrics in Prometheus' text format, sorted by name; those that tell of laundering only where `aml`.
    pub fn render(&self, aml: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 << 10);
        let mut families = self.registry.gather();
        if !aml {
            families.iter_mut().for_each(without_laundering);
            families.retain(|family| !family.get_metric().is_empty());
        }
        TextEncoder::new().encode(&families, &mut out).expect("a vector takes every byte, and every family has metrics");
        out
    }
}

/// Takes away what hangs on laundering: series of its kind, what is measured of the model of transfers, and figures in which both are one.
fn without_laundering(family: &mut MetricFamily) {
    const MIXED: [&str; 3] = ["model_shadow_difference", "model_shadow_invalid_total", "snapshot_bytes"];
    let (mixed, of_model) = (MIXED.contains(&family.name()), family.name().starts_with("model_"));
    let tells = |label: &LabelPair| match label.name() {
        "kind" => label.value() == Kind::Aml.name(),
        "of" => of_model && label.value() == EventType::Transfer.name(),
        _ => false,
    };
    family.mut_metric().retain(|metric| !mixed && !metric.get_label().iter().any(tells));
}

/// Where metrics are registered while the list is made. Names and labels are written above, so a bad one is a mistake of this file.
struct List(Registry);

impl List {
    fn register<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let metric = made.expect("names and labels of the list are valid");
        self.0.register(Box::new(metric.clone())).expect("every name stands in the list once");
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A gauge that is no whole number.
    fn gauge_of_parts(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::new(name, help))
    }

    /// Gauges that are no whole numbers.
    fn gauges_of_parts(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use prometheus::proto::MetricType;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Touches one child of every labelled metric, or it would not be gathered.
    fn touched() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        metrics.http_requests_total.with_label_values(&["/v1/events", "200"]).inc();
        metrics.alerts_total.with_label_values(&["fraud", "card_testing", "open"]).inc();
        for counters in [&metrics.guard_turns_total, &metrics.kafka_sent_total] {
            counters.with_label_values(&["fraud", "one"]).inc();
        }
        metrics.alerts_held.with_label_values(&["fraud"]).set(1);
        for counters in [
            &metrics.http_event_lines_total,
            &metrics.http_timeouts_total,
            &metrics.hook_answers_total,
            &metrics.hook_outcomes_total,
            &metrics.hook_stand_ins_total,
            &metrics.hook_efforts_total,
            &metrics.engine_records_total,
            &metrics.engine_rejected_total,
            &metrics.snapshots_total,
            &metrics.kafka_transactions_total,
            &metrics.kafka_recovered_total,
        ] {
            counters.with_label_values(&["one"]).inc_by(2);
        }
        for gauges in [&metrics.inbox_events, &metrics.graph_rows] {
            gauges.with_label_values(&["one"]).set(3);
        }
        metrics.kafka_lag_records.with_label_values(&["weir.events", "0"]).set(4);
        metrics.kafka_behind_seconds.with_label_values(&["weir.events"]).set(0.5);
        metrics.gnn_backend.with_label_values(&["cpu"]).set(1);
        metrics.model_info.with_label_values(&["0a1b", "serving"]).set(1);
        metrics.model_drift_psi.with_label_values(&["payment", "score"]).set(0.01);
        for gauges in [&metrics.model_precision, &metrics.model_recall] {
            gauges.with_label_values(&["payment", "0.5", "7d"]).set(0.8);
        }
        metrics.model_shadow_compared_total.with_label_values(&["payment", "0.5", "both"]).inc();
        metrics.engine_step_seconds.with_label_values(&["gather"]).observe(0.00003);
        metrics
    }

    /// Planted: `http_connections_refused` without `_total`; told.
    #[test]
    fn names_keep_to_the_rule() {
        let families = touched().registry.gather();
        let fields = include_str!("metrics.rs").lines().filter(|line| line.starts_with("    pub ") && line.ends_with(',')).count();
        assert_eq!(families.len(), fields, "a metric was added without a child in this test");
        for family in &families {
            let name = family.name();
            let area = name.split('_').next().expect("a first word");
            let areas = [
                "alerts",
                "http",
                "hook",
                "inbox",
                "engine",
                "guard",
                "gnn",
                "graph",
                "journal",
                "kafka",
                "sink",
                "model",
                "snapshot",
                "snapshots",
                "followers",
                "replay",
                "standby",
                "service",
                "build",
            ];
            assert!(areas.contains(&area), "{name} is of no known area");
            assert_eq!(family.get_field_type() == MetricType::COUNTER, name.ends_with("_total"), "{name}");
            assert!(!family.help().is_empty() && !family.help().ends_with('.'), "{name}: {}", family.help());
        }
    }

    #[test]
    fn what_was_set_is_rendered() {
        let metrics = touched();
        metrics.http_authorization_seconds.observe(0.00015);
        let text = String::from_utf8(metrics.render(true)).expect("text");
        for line in [
            "# TYPE http_authorization_seconds histogram",
            "http_authorization_seconds_bucket{le=\"0.0001\"} 0",
            "http_authorization_seconds_bucket{le=\"0.0002\"} 1",
            "http_requests_total{route=\"/v1/events\",status=\"200\"} 1",
            "hook_outcomes_total{outcome=\"one\"} 2",
            "engine_step_seconds_count{phase=\"gather\"} 1",
            "build_info{version=\"1.2.3\"} 1",
            "replay_records_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_hangs_on_laundering_is_for_some() {
        let metrics = touched();
        let render = |aml| String::from_utf8(metrics.render(aml)).expect("text");
        let before = render(false);
        metrics.alerts_total.with_label_values(&["aml", "mule", "open"]).inc();
        metrics.alerts_held.with_label_values(&["aml"]).set(2);
        metrics.guard_turns_total.with_label_values(&["aml", "attacked"]).inc();
        metrics.kafka_sent_total.with_label_values(&["aml", "weir.alerts"]).inc();
        metrics.model_drift_psi.with_label_values(&["transfer", "score"]).set(0.2);
        metrics.model_precision.with_label_values(&["transfer", "0.5", "7d"]).set(0.8);
        metrics.model_shadow_compared_total.with_label_values(&["transfer", "0.5", "both"]).inc();
        metrics.model_shadow_difference.observe(0.1);
        metrics.model_shadow_invalid_total.inc();
        metrics.snapshot_bytes.set(17);
        assert_eq!(render(false), before);
        let shown = render(true);
        for line in ["alerts_held{kind=\"aml\"} 2", "guard_turns_total{kind=\"aml\",to=\"attacked\"} 1", "snapshot_bytes 17"] {
            assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
        }
    }

    /// Names of metrics in an expression: each stands before its labels.
    fn named(expression: &str) -> impl Iterator<Item = &str> {
        expression.match_indices("{instance").map(|(end, _)| {
            let start = expression[..end].rfind(|c: char| !c.is_ascii_lowercase() && c != '_').map_or(0, |at| at + 1);
            ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| expression[start..end].strip_suffix(part))
                .unwrap_or(&expression[start..end])
        })
    }

    /// Planted: `hook_stand_in_share` on the dashboard; told.
    #[test]
    fn the_dashboard_shows_what_there_is() {
        let dashboard: Value = serde_json::from_str(include_str!("../ops/grafana.json")).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let expressions: Vec<&str> = panels
            .iter()
            .filter_map(|panel| panel["targets"].as_array())
            .flatten()
            .map(|target| target["expr"].as_str().expect("an expression"))
            .collect();
        let shown: BTreeSet<&str> = expressions.iter().flat_map(|expression| named(expression)).collect();
        let families = touched().registry.gather();
        // What has no course.
        let unseen = ["build_info", "service_start_time_seconds", "snapshot_bytes"];
        let listed: BTreeSet<&str> = families.iter().map(|family| family.name()).filter(|name| !unseen.contains(name)).collect();
        assert_eq!(shown, listed);
    }
}
