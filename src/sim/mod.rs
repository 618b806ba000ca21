//! The simulation: seeded worlds, faults, and the naive model that is the engine's referee.

pub mod model;
//! The world in which Weir is tried: what breaks, and what must hold all the same.

pub mod fault;
