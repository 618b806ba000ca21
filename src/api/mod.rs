//! The HTTP doors: requests in, decisions and problem documents out. What happens behind them is a [`Desk`]; who may come in, a [`Gate`] says.
//!
//! A request passes one function (`route::answer`): the gate, the handler of its route, the counters. Handlers know nothing of connections;
//! `serve` and `connection` know nothing of routes. Every wait and every buffer here has its limit in [`Options`].

mod authorize;
mod body;
mod browser;
mod change;
mod connection;
mod console;
mod decision;
mod desk;
mod documents;
mod events;
mod gate;
mod health;
mod journal;
mod lines;
mod options;
mod problem;
mod route;
mod serve;
mod streams;
#[cfg(test)]
mod tests;

pub use desk::{Answer, ChallengeResult, Change, Chunks, Desk, Page, Readiness, Shown, Stream, Submitted};
pub use gate::{Caller, Denied, Gate, Open, Scope};
pub use options::Options;
pub use serve::{Acceptor, Plain, serve, serve_over};
