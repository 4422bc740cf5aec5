//! What `/metrics` and OTLP publish: families of series with bounded labels.

mod accumulate;
mod encode;
mod kernel;
mod programs;

use std::borrow::Cow;
use std::sync::Arc;

pub(crate) use accumulate::{Accumulator, Beside, Findings};
pub(crate) use encode::{open_metrics, text};

/// A family: the series of one name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    /// The name without `_total`.
    pub(crate) name: &'static str,
    /// What it means, in one line.
    pub(crate) help: Cow<'static, str>,
    /// What kind of figure it is.
    pub(crate) kind: Kind,
    /// Its series.
    pub(crate) series: Vec<Series>,
}

/// What kind of figure a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grows only; 0 when the program starts, or counted by the kernel since the system started.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Labels only; the value is 1.
    Info,
}

/// Names and values of labels.
pub(crate) type Labels = Vec<(&'static str, Arc<str>)>;

/// One series with its present value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// What distinguishes it from the others of its family.
    pub(crate) labels: Labels,
    /// Its value.
    pub(crate) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A count or another whole number.
    Whole(u64),
    /// A ratio, or seconds.
    Real(f64),
    /// Counts of values up to each bound.
    Buckets(Histogram),
}

/// Counts of values by size.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    /// The upper bounds, rising; above the last there is no bound.
    pub(crate) bounds: &'static [f64],
    /// How many values were in each bucket, one more than there are bounds.
    pub(crate) counts: Vec<u64>,
    /// All values together.
    pub(crate) sum: f64,
}

impl Histogram {
    /// An empty one with these bounds.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// Counts `value`.
    pub(crate) fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += value;
    }
}

impl Family {
    /// A family without series yet.
    pub(crate) fn new(name: &'static str, kind: Kind, help: impl Into<Cow<'static, str>>) -> Self {
        Family {
            name,
            help: help.into(),
            kind,
            series: Vec::new(),
        }
    }

    /// With one series without labels.
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

    /// How many lines it has in the text format.
    pub(crate) fn lines(&self) -> usize {
        let lines = |series: &Series| match &series.value {
            Value::Buckets(histogram) => histogram.counts.len() + 2,
            _ => 1,
        };
        self.series.iter().map(lines).sum()
    }
}
