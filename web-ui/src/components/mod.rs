//! The parts that several pages share, one a file.

mod figure;
mod header;
mod notices;
mod pill;
mod problem;
mod refusal;
mod states;

pub use figure::{EmulatedMark, EmulatedNote, app_figure, device_figure, figure_list};
pub use header::Header;
pub use notices::{StaleBanner, StorageBanner, TrustNotice};
pub use pill::Pill;
pub use problem::ProblemBox;
pub use refusal::RefusalBox;
pub use states::{Empty, Skeleton};
