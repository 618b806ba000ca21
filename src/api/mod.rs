//! The HTTP doors: requests in, decisions and problem documents out. What happens behind them is a [`Desk`].

mod desk;

pub use desk::{Answer, ChallengeResult, Desk, Page, Readiness, Stream, Submitted};
