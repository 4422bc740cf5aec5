//! The OTLP messages. Names follow the semantic conventions 1.44 where those define one.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value as Json;

use crate::live::COLUMNS;
use crate::metrics::{Family, Kind, Series, Value};

/// The schema URL of the semantic conventions.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(any_value::Value::StringValue(value.to_owned())),
    })
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value,
        ..KeyValue::default()
    }
}

fn resource(host: &str, version: &str) -> Option<Resource> {
    let mut attributes = vec![
        pair("service.name", text("netstat")),
        pair("service.version", text(version)),
        pair("host.name", text(host)),
        pair("os.type", text(std::env::consts::OS)),
    ];
    // host.id is the machine id (machine-id(5)), if there is one.
    if let Ok(id) = std::fs::read_to_string("/etc/machine-id") {
        attributes.push(pair("host.id", text(id.trim())));
    }
    Some(Resource {
        attributes,
        ..Resource::default()
    })
}

fn scope(version: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "netstat".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    })
}

/// The OpenTelemetry name and unit of a family, and fixed attributes of its series.
struct Naming {
    name: String,
    unit: &'static str,
    fixed: &'static [(&'static str, &'static str)],
}

fn naming(family: &Family) -> Naming {
    let known = |name: &str, unit, fixed| Naming {
        name: name.to_owned(),
        unit,
        fixed,
    };
    match family.name {
        "netstat_sockets" => known("system.network.connection.count", "{connection}", &[]),
        "netstat_sent_bytes" => known("process.network.io", "By", &[("network.io.direction", "transmit")]),
        "netstat_received_bytes" => known("process.network.io", "By", &[("network.io.direction", "receive")]),
        other => {
            let name = other.strip_prefix("netstat_").unwrap_or(other);
            let units = [
                ("_timestamp_seconds", "s"),
                ("_seconds", "s"),
                ("_bytes", "By"),
                ("_ratio", "1"),
            ];
            let unit = units
                .iter()
                .find_map(|(end, unit)| Some((name.strip_suffix(end)?, *unit)));
            let (name, unit) = unit.unwrap_or((name, "1"));
            known(&format!("netstat.{name}"), unit, &[])
        }
    }
}

fn attribute(family: &str, label: &str, value: &str) -> KeyValue {
    match (family, label) {
        ("netstat_sockets", "protocol") => pair("network.transport", text(value)),
        ("netstat_sockets", "family") => pair("network.type", text(value)),
        ("netstat_sockets", "state") => pair(
            "network.connection.state",
            text(if value == "listening" { "listen" } else { value }),
        ),
        (_, "program") => pair("process.executable.name", text(value)),
        (_, "protocol") => pair("network.transport", text(value)),
        (_, "family") => pair("network.type", text(value)),
        (_, label) => pair(&format!("netstat.{label}"), text(value)),
    }
}

/// Returns the metrics message: cumulative sums since `started`, and gauges and histograms at `now`, both in
/// nanoseconds since 1970.
pub(super) fn metrics(
    host: &str,
    version: &str,
    families: &[Family],
    started: u64,
    now: u64,
) -> ExportMetricsServiceRequest {
    let mut metrics: Vec<Metric> = Vec::new();
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        let naming = naming(family);
        let made = metric(family, &naming, started, now);
        // Both directions of process.network.io belong to one metric.
        let same = metrics.iter_mut().find(|metric| metric.name == made.name);
        match (same.and_then(|metric| metric.data.as_mut()), made.data) {
            (Some(metric::Data::Sum(sum)), Some(metric::Data::Sum(more))) => sum.data_points.extend(more.data_points),
            (_, data) => metrics.push(Metric { data, ..made }),
        }
    }
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(host, version),
            scope_metrics: vec![ScopeMetrics {
                scope: scope(version),
                metrics,
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

fn metric(family: &Family, naming: &Naming, started: u64, now: u64) -> Metric {
    let attributes = |series: &Series| {
        let fixed = naming.fixed.iter().map(|(key, value)| pair(key, text(value)));
        let labels = series
            .labels
            .iter()
            .map(|(label, value)| attribute(family.name, label, value));
        fixed.chain(labels).collect::<Vec<_>>()
    };
    let cumulative = AggregationTemporality::Cumulative as i32;
    let point = |series: &Series| {
        let value = match &series.value {
            Value::Whole(value) => number_data_point::Value::AsInt(i64::try_from(*value).unwrap_or(i64::MAX)),
            Value::Real(value) => number_data_point::Value::AsDouble(*value),
            Value::Buckets(_) => return None,
        };
        Some(NumberDataPoint {
            attributes: attributes(series),
            start_time_unix_nano: if family.kind == Kind::Counter { started } else { 0 },
            time_unix_nano: now,
            value: Some(value),
            ..NumberDataPoint::default()
        })
    };
    let data = match family.kind {
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: family.series.iter().filter_map(point).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        // The convention defines the number of connections as a non-monotonic sum.
        Kind::Gauge if family.name == "netstat_sockets" => metric::Data::Sum(Sum {
            data_points: family.series.iter().filter_map(point).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: false,
        }),
        Kind::Gauge | Kind::Info => metric::Data::Gauge(Gauge {
            data_points: family.series.iter().filter_map(point).collect(),
        }),
        Kind::Histogram => metric::Data::Histogram(Histogram {
            data_points: family
                .series
                .iter()
                .filter_map(|series| {
                    let Value::Buckets(histogram) = &series.value else {
                        return None;
                    };
                    Some(HistogramDataPoint {
                        attributes: attributes(series),
                        start_time_unix_nano: started,
                        time_unix_nano: now,
                        count: histogram.counts.iter().sum(),
                        sum: Some(histogram.sum),
                        bucket_counts: histogram.counts.clone(),
                        explicit_bounds: histogram.bounds.to_vec(),
                        ..HistogramDataPoint::default()
                    })
                })
                .collect(),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        name: naming.name.clone(),
        description: family.help.to_string(),
        unit: naming.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// Returns the logs message.
pub(super) fn logs(host: &str, version: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(host, version),
            scope_logs: vec![ScopeLogs {
                scope: scope(version),
                log_records,
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

fn value(json: &Json) -> Option<AnyValue> {
    let value = match json {
        Json::String(text) => any_value::Value::StringValue(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => any_value::Value::IntValue(whole),
            None => any_value::Value::DoubleValue(number.as_f64()?),
        },
        Json::Bool(flag) => any_value::Value::BoolValue(*flag),
        Json::Null => return None,
        other => any_value::Value::StringValue(other.to_string()),
    };
    Some(AnyValue { value: Some(value) })
}

/// Returns the log record of a closed connection, given its row; `None` for sockets without a remote address.
pub(super) fn flow(row: &Json, now: u64) -> Option<LogRecord> {
    const NAMES: &[(&str, &str)] = &[
        ("protocol", "network.transport"),
        ("local_address", "network.local.address"),
        ("local_port", "network.local.port"),
        ("foreign_address", "network.peer.address"),
        ("foreign_port", "network.peer.port"),
        ("state", "network.connection.state"),
        ("pid", "process.pid"),
        ("program", "process.executable.name"),
        ("user", "process.user.name"),
        ("unit", "netstat.unit"),
        ("bytes_sent", "netstat.bytes_sent"),
        ("bytes_received", "netstat.bytes_received"),
        ("rtt_us", "netstat.rtt_us"),
    ];
    let get = |name: &str| row.get(COLUMNS.iter().position(|column| *column == name)?);
    get("foreign_address").filter(|address| !address.is_null())?;
    let attributes = NAMES.iter().filter_map(|(column, name)| {
        let given = get(column)?;
        let lower = matches!(*column, "protocol" | "state");
        let value = match given.as_str().filter(|_| lower) {
            Some(word) => text(&word.to_ascii_lowercase()),
            None => value(given),
        };
        value.is_some().then(|| pair(name, value))
    });
    Some(LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        // INFO.
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        event_name: "netstat.flow".to_owned(),
        attributes: attributes.collect(),
        ..LogRecord::default()
    })
}

/// Returns the log record of a finding of the audit.
pub(super) fn finding(finding: &Json, now: u64) -> LogRecord {
    let word = |name: &str| finding.get(name).and_then(Json::as_str);
    let (number, severity) = match word("severity") {
        // Severity numbers of the log data model: FATAL, ERROR, WARN and INFO.
        Some("critical") => (21, "FATAL"),
        Some("high") => (17, "ERROR"),
        Some("medium") => (13, "WARN"),
        _ => (9, "INFO"),
    };
    let attributes = finding.as_object().into_iter().flatten().filter_map(|(name, given)| {
        let value = value(given)?;
        Some(pair(&format!("netstat.finding.{name}"), Some(value)))
    });
    LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        severity_number: number,
        severity_text: severity.to_owned(),
        body: word("headline").and_then(text),
        event_name: "netstat.finding".to_owned(),
        attributes: attributes.collect(),
        ..LogRecord::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_metrics_have_names_of_semantic_conventions() {
        let mut sockets = Family::new("netstat_sockets", Kind::Gauge, "sockets");
        sockets.push(
            &[("protocol", "tcp"), ("family", "ipv4"), ("state", "listening")],
            Value::Whole(3),
        );
        let mut sent = Family::new("netstat_sent_bytes", Kind::Counter, "sent");
        sent.push(&[("program", "nginx")], Value::Whole(7));
        let mut received = Family::new("netstat_received_bytes", Kind::Counter, "received");
        received.push(&[("program", "nginx")], Value::Whole(8));
        let took = Family::new("netstat_sample_duration_seconds", Kind::Gauge, "took").single(Value::Real(0.5));
        let request = metrics("mill", "1.0", &[sockets, sent, received, took], 1, 2);
        let all = &request.resource_metrics[0].scope_metrics[0].metrics;
        let names: Vec<(&str, &str)> = all.iter().map(|metric| (&*metric.name, &*metric.unit)).collect();
        assert_eq!(
            names,
            [
                ("system.network.connection.count", "{connection}"),
                ("process.network.io", "By"),
                ("netstat.sample_duration", "s")
            ]
        );
        let Some(metric::Data::Sum(io)) = &all[1].data else {
            panic!("{all:?}")
        };
        assert!(io.is_monotonic && io.data_points.len() == 2);
        let Some(metric::Data::Sum(count)) = &all[0].data else {
            panic!("{all:?}")
        };
        assert!(!count.is_monotonic);
        let attributes = format!("{:?}", count.data_points[0].attributes);
        assert!(attributes.contains("network.connection.state") && attributes.contains("\"listen\""));
    }
}
