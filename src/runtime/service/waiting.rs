//! Who waits for a group of records to be written, and what they hear of it.

use super::stream::TopicState;
use super::ticket::{Reply, Ticket, Winner};
use crate::api::Submitted;
use crate::decision::Decision;
use std::sync::Arc;

/// Who must hear when the group is written.
pub(super) enum Waiting {
    Event(Option<Arc<Ticket>>),
    Line(tokio::sync::oneshot::Sender<Submitted>, Submitted),
    StandIn(Arc<Ticket>, Box<Decision>),
}

impl Waiting {
    /// The group stands in the journal.
    pub(super) fn recorded(self, topics: &TopicState) {
        match self {
            Waiting::Event(_) => {}
            // Who asked may have gone away.
            Waiting::Line(line, submitted) => drop(line.send(submitted)),
            Waiting::StandIn(ticket, decision) => {
                topics.decided([decision.sequence]);
                ticket.settle(Reply::Decision(decision));
            }
        }
    }

    /// It does not, and will not.
    pub(super) fn unrecorded(self) {
        match self {
            Waiting::Event(ticket) => {
                if let Some(ticket) = ticket.filter(|ticket| ticket.claim(Winner::Judge)) {
                    ticket.settle(Reply::Unrecorded);
                }
            }
            Waiting::Line(line, _) => {
                let detail = "the journal takes no records; send it again when /readyz says yes".to_owned();
                drop(line.send(Submitted::Unrecorded { detail }));
            }
            Waiting::StandIn(ticket, _) => ticket.settle(Reply::Unrecorded),
        }
    }
}
