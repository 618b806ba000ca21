//! The temporal graph: a ring of events by family, and the nodes they join.

mod limits;

pub use limits::{Family, FamilyLimits, Limits};
