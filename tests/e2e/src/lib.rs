//! End-to-end tests on real processes; see `tests/`. Each starts a fleet of its
//! own from the kit that `cargo xtask` builds, so they run one at a time.
