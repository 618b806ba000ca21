//! The simulation: seeded worlds, faults, and the naive model that is the engine's referee.

pub mod chance;
pub mod company;
pub mod device;
pub mod fault;
pub mod happening;
pub mod model;
pub mod stream;
pub mod world;
