//! Line charts over time: `geometry` and `ticks` compute, `series` picks the
//! points out of a history, `view` draws.

pub mod geometry;
pub mod range;
pub mod series;
pub mod ticks;
pub mod view;
