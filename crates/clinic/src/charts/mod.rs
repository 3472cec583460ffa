//! Records opened for people: decided, traced, then read.

mod open;
mod own_record;
mod thinning;
pub(crate) mod views;

pub use open::{ChartRequest, SPAN_MAX_MS};
pub use own_record::ACCESS_SHOWN_MAX;
pub(crate) use own_record::OWN;
pub use thinning::POINTS_MAX;
pub(crate) use views::AccessView;
