//! The rules against fakes of every room below.

mod deploying;
mod enrolling;
mod fleet;
mod reporting;
mod uploading;
