//! The threats that the design has to stop, each made on a real agent that a real
//! gateway leads, by an attacker who stands between the two and has as many of the keys
//! as the threat gives him. Each test first lets the honest thing happen on that same
//! device and ends with an honest update.
//!
//! `docs/threats.md` has the list, and what remains of each. Threats of devices to the
//! broker and to each other are in tests of their own.

mod documents;
mod keys;
mod order;
mod scene;
mod tap;
mod transfer;
