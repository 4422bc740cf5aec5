//! The metrics published by `/metrics` and OTLP: families of series with a bounded number of labels.

mod accumulate;
mod encode;
mod kernel;
mod programs;

use std::borrow::Cow;
use std::sync::Arc;

pub(crate) use accumulate::{Accumulator, Beside, Findings};
pub(crate) use encode::{open_metrics, text};

/// A family: all series with the same name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    /// The name without `_total`.
    pub(crate) name: &'static str,
    /// The description, in one line.
    pub(crate) help: Cow<'static, str>,
    /// The kind of metric.
    pub(crate) kind: Kind,
    /// The series.
    pub(crate) series: Vec<Series>,
}

/// The kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value that only grows. It starts at 0 when the program starts, or is counted by the kernel since boot.
    Counter,
    /// A value that can go up and down.
    Gauge,
    /// Counts of observations by size.
    Histogram,
    /// Labels only; the value is 1.
    Info,
}

/// The names and values of labels.
pub(crate) type Labels = Vec<(&'static str, Arc<str>)>;

/// A series with its current value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// The labels that distinguish the series from others of its family.
    pub(crate) labels: Labels,
    /// The value.
    pub(crate) value: Value,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A count or another integer.
    Whole(u64),
    /// A ratio, or seconds.
    Real(f64),
    /// A histogram.
    Buckets(Histogram),
}

/// Counts of observations by size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    /// The upper bounds, in ascending order; the last bucket has no bound.
    pub(crate) bounds: &'static [f64],
    /// The number of observations per bucket; one more than there are bounds.
    pub(crate) counts: Vec<u64>,
    /// The sum of all observations.
    pub(crate) sum: f64,
}

impl Histogram {
    /// Creates an empty histogram with these bounds.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// Adds an observation.
    pub(crate) fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += value;
    }
}

impl Family {
    /// Creates a family without series.
    pub(crate) fn new(name: &'static str, kind: Kind, help: impl Into<Cow<'static, str>>) -> Self {
        Family {
            name,
            help: help.into(),
            kind,
            series: Vec::new(),
        }
    }

    /// Adds a single series without labels.
    pub(crate) fn single(mut self, value: Value) -> Self {
        self.push(&[], value);
        self
    }

    /// Adds a series.
    pub(crate) fn push(&mut self, labels: &[(&'static str, &str)], value: Value) {
        self.series.push(Series {
            labels: labels.iter().map(|(name, value)| (*name, Arc::from(*value))).collect(),
            value,
        });
    }

    /// Returns the number of lines in the text format.
    pub(crate) fn lines(&self) -> usize {
        let lines = |series: &Series| match &series.value {
            Value::Buckets(histogram) => histogram.counts.len() + 2,
            _ => 1,
        };
        self.series.iter().map(lines).sum()
    }
}
