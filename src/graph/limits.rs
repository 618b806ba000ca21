//! How much of the graph is kept: every table has its limit, and all memory is allocated and touched at start.

/// The rings: a flood in one must not make another forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Payments and transfers.
    Money = 0,
    /// Sessions.
    Access = 1,
    /// Interactions, and a payment's items.
    Interest = 2,
}

impl Family {
    /// All families, by number.
    pub const ALL: [Family; 3] = [Family::Money, Family::Access, Family::Interest];

    /// The word in the topology.
    pub fn name(self) -> &'static str {
        ["money", "access", "interest"][self as usize]
    }
}

/// The limits of one family's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyLimits {
    /// Rows of 64 bytes; at least 1, at most 2^28 - 1.
    pub rows_max: u32,
    /// Nodes with more than four visible events in this family.
    pub warm_nodes_max: u32,
    /// Pairs of entities inside the longest window, over all pair kinds; 0 where no aggregate asks for pairs.
    pub pairs_max: u32,
    /// Late rows waiting to leave their windows.
    pub late_rows_max: u32,
}

/// The limits of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entities of all kinds.
    pub nodes_max: u32,
    /// Event ids held within the horizon of idempotency.
    pub ids_max: u32,
    /// By [`Family`].
    pub families: [FamilyLimits; 3],
}
