//! The rules against fakes of every room below.

mod applying;
mod auditing;
mod deploying;
mod enrolling;
pub(crate) mod fleet;
mod history;
mod matching;
mod messaging;
mod placing;
mod planning;
mod programs;
mod pulse;
mod queueing;
mod reporting;
mod revoking;
mod trusting;
pub(crate) mod uploading;
