//! The HTTP doors: requests in, decisions and problem documents out. What happens behind them is a [`Desk`]; who may come in, a [`Gate`] says.

mod desk;
mod gate;

pub use desk::{Answer, ChallengeResult, Desk, Page, Readiness, Stream, Submitted};
pub use gate::{Caller, Denied, Gate, Open, Scope};
