//! The simulation: seeded worlds, faults, and the naive model that is the engine's referee.

pub mod fault;
pub mod model;
