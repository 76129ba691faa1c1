//! Modules that attack the device they run on: [`cases`] has them with what has to
//! become of each, [`device`] runs them beside a good neighbour on the agent's own code
//! with the real runtime.
//!
//! They do not pass through a gateway, whose check would refuse most of them: here the
//! gateway is taken to be deceived, and the device has to hold by itself.

pub mod attacks;
pub mod cases;
pub mod device;
pub mod neighbour;
