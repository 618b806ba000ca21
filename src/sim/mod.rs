//! The world in which Weir is tried: what breaks, and what must hold all the same.

pub mod fault;
