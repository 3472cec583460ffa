//! Figures that only the process knows that serves these pages: of its machine, its disk, its threads.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// What the process that serves adds: a figure of its machine, read when a scraper asks. Without labels.
#[derive(Clone)]
pub struct Gauge {
    /// Its whole name, `aceso_…` or one of those that all of Prometheus' clients give, `process_…`.
    pub name: &'static str,
    /// What it is, for people.
    pub help: &'static str,
    /// Reads it; none when it is not to be had. May wait for the system.
    pub read: Arc<dyn Fn() -> Option<f64> + Send + Sync>,
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What the process adds, under names of its own choice.
#[derive(Debug)]
pub(crate) struct ProcessGauges(pub(crate) Vec<Gauge>);

impl Collector for ProcessGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for Gauge { name, help, read } in &self.0 {
            if let Some(value) = read() {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        Ok(())
    }
}
