//! Encodes `/metrics`: OpenMetrics 1.0.0, and the text format 0.0.4, which differs in few lines.

use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Family, Kind, Value};

#[derive(Debug)]
struct Families(Arc<Vec<Family>>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for family in self.0.iter().filter(|family| !family.series.is_empty()) {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                // An information metric encoded as a gauge keeps its name in both formats.
                Kind::Gauge | Kind::Info => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(family.name, &family.help, None, kind)?;
            for series in &family.series {
                let labels: Vec<(&str, &str)> = series.labels.iter().map(|(name, value)| (*name, &**value)).collect();
                let one = One(family.kind, &series.value);
                match labels.is_empty() {
                    true => one.write(&mut metric)?,
                    false => one.write(&mut metric.encode_family(&labels)?)?,
                }
            }
        }
        Ok(())
    }
}

struct One<'a>(Kind, &'a Value);

impl One<'_> {
    fn write(&self, encoder: &mut MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match (self.0, self.1) {
            (Kind::Counter, Value::Whole(count)) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
            (Kind::Counter, Value::Real(count)) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
            (_, Value::Whole(value)) => encoder.encode_gauge(value),
            (_, Value::Real(value)) => encoder.encode_gauge(value),
            (_, Value::Buckets(histogram)) => {
                let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
                let count = histogram.counts.iter().sum();
                encoder.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
            }
        }
    }
}

// Needed only to use the trait by name.
const _: fn(&prometheus_client::metrics::gauge::Gauge) -> MetricType = EncodeMetric::metric_type;

/// Encodes `families` in OpenMetrics 1.0.0.
pub(crate) fn open_metrics(families: &Arc<Vec<Family>>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(Arc::clone(families))));
    let mut out = String::new();
    // Writing to a string fails only if an encoder fails, and these do not.
    let _ = prometheus_client::encoding::text::encode(&mut out, &registry);
    out
}

/// Encodes `families` in the text format 0.0.4, in which the names of counters end in `_total` everywhere and nothing
/// marks the end.
pub(crate) fn text(families: &Arc<Vec<Family>>) -> String {
    let counters: Vec<&str> = families
        .iter()
        .filter(|family| family.kind == Kind::Counter)
        .map(|family| family.name)
        .collect();
    let open = open_metrics(families);
    let mut out = String::with_capacity(open.len() + 4096);
    for line in open.lines() {
        let described = ["# HELP ", "# TYPE "]
            .iter()
            .find_map(|kind| Some((*kind, line.strip_prefix(kind)?)));
        let _ = match described {
            Some((kind, rest)) => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let total = if counters.contains(&name) { "_total" } else { "" };
                writeln!(out, "{kind}{name}{total} {text}")
            }
            None if line == "# EOF" => Ok(()),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;

    fn families() -> Arc<Vec<Family>> {
        let mut flows = Family::new("netstat_flows", Kind::Counter, "flows");
        flows.push(&[("program", "a\"b\\c\nd")], Value::Whole(3));
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        [0.05, 0.1, 5.0].into_iter().for_each(|value| histogram.observe(value));
        let mut trips = Family::new("netstat_round_trip_seconds", Kind::Histogram, "round trips");
        trips.push(&[("direction", "incoming")], Value::Buckets(histogram));
        let ratio = Family::new("netstat_ratio", Kind::Gauge, "a share").single(Value::Real(0.5));
        Arc::new(vec![
            flows,
            trips,
            ratio,
            Family::new("netstat_none", Kind::Gauge, "no series"),
        ])
    }

    #[test]
    fn open_metrics_text_names_counters_without_total_and_ends_with_eof() {
        let out = open_metrics(&families());
        assert!(out.contains("# TYPE netstat_flows counter\n"), "{out}");
        assert!(
            out.contains("netstat_flows_total{program=\"a\\\"b\\\\c\\nd\"} 3\n"),
            "{out}"
        );
        assert!(
            out.contains("netstat_round_trip_seconds_bucket{le=\"0.1\",direction=\"incoming\"} 2\n"),
            "{out}"
        );
        assert!(
            out.contains("netstat_round_trip_seconds_bucket{le=\"+Inf\",direction=\"incoming\"} 3\n"),
            "{out}"
        );
        assert!(
            out.contains("netstat_round_trip_seconds_count{direction=\"incoming\"} 3\n"),
            "{out}"
        );
        assert!(
            out.contains("netstat_ratio 0.5\n") && !out.contains("netstat_none"),
            "{out}"
        );
        assert!(out.ends_with("# EOF\n"));
    }

    #[test]
    fn prometheus_text_names_counters_with_total_and_has_no_eof() {
        let out = text(&families());
        assert!(out.contains("# TYPE netstat_flows_total counter\n"), "{out}");
        assert!(out.contains("# HELP netstat_flows_total flows"), "{out}");
        assert!(!out.contains("# EOF"));
    }
}
