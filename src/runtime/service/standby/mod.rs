//! The hot standby: a second process that follows the leader's journal, and can take its place.
//!
//! ```text
//! leader                                              standby
//! journal ──▶ feed ──▶ GET /v1/journal ── frames ──▶ follower: texts, journal, engine.step, outputs
//!                                                        │ at every checkpoint: are both courses one?
//!                                                        └── promoted: what stands is launched as a service
//! ```
//!
//! Following is asynchronous: an answer does not wait until the standby has its record. What the leader answered in its last moments may
//! not have reached the standby when it takes over; its caller, asking again, is then judged anew.
//!
//! There is no quorum. That two processes do not both lead is seen to by whoever promotes, and by the balancer; the fence (`epoch` and
//! `fenced` in the data directory) sees to it as far as the two can reach each other: the promoted one tells the old leader before it takes
//! over, and goes on telling it until it has heard.

mod asking;
mod client;
mod desk;
mod feed;
mod follower;
mod frame;
mod leadership;
mod link;
mod meeting;
mod node;
mod snapping;
mod succession;

pub use client::{Body, Peer};
pub(super) use feed::Feed;
pub(super) use leadership::Leadership;
pub use node::{Node, Standby};
