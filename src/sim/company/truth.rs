//! What really happened: which attack each event belongs to, and who took part. Tests and reports may ask for it; no event says it.

use super::fraud::Attack;
use super::laundering::Bend;
use super::name::Name;
use super::occurrence::{Act, EventName, Occurrence};
use crate::event::Timestamp;
use std::collections::VecDeque;

/// What an event has to do with an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub episode: u32,
    /// The event itself is fraud or laundering; otherwise it only belongs to the story: a login, a harmless purchase before.
    pub is_crime: bool,
}

/// A movement of money that launders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub event: EventName,
    /// A side that is nothing is the world outside.
    pub from: Option<Name>,
    pub to: Option<Name>,
    /// In minor units.
    pub amount: i64,
    pub currency: &'static str,
    pub time: Timestamp,
}

/// One attack as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    pub episode: u32,
    pub attack: Attack,
    /// The form, where an attack has several: those of laundering.
    pub form: Option<&'static str>,
    /// What bends a scheme of laundering; nothing where what comes in goes on, but for a small fee.
    pub bends: Vec<Bend>,
    pub begun: Timestamp,
    /// Nothing, while it goes on.
    pub ended: Option<Timestamp>,
    /// Users, devices, cards, accounts and shops that took part, in the order in which they came in; at most [`MEMBERS_MAX`].
    pub members: Vec<Name>,
    /// Payments and transfers that are the crime; at most [`EVENTS_MAX`].
    pub crimes: Vec<EventName>,
    /// Events that belong to it and are no crime; at most [`EVENTS_MAX`].
    pub harmless: Vec<EventName>,
    /// The movements of a scheme of laundering in their order: those of `crimes`.
    pub edges: Vec<Edge>,
}

pub const MEMBERS_MAX: usize = 512;
pub const EVENTS_MAX: usize = 1024;
/// How many ended attacks are kept until somebody asks for them; then the oldest go.
pub const ENDED_MAX: usize = 16_384;

impl Truth {
    /// An attack begins.
    pub fn new(episode: u32, attack: Attack, begun: Timestamp) -> Truth {
        Truth {
            episode,
            attack,
            form: None,
            bends: vec![],
            begun,
            ended: None,
            members: vec![],
            crimes: vec![],
            harmless: vec![],
            edges: vec![],
        }
    }

    /// `name` takes part.
    pub fn member(&mut self, name: impl Into<Option<Name>>) {
        let Some(name) = name.into() else { return };
        if self.members.len() < MEMBERS_MAX && !self.members.contains(&name) {
            self.members.push(name);
        }
    }

    /// An event belongs to it.
    pub fn event(&mut self, id: EventName, is_crime: bool) {
        let list = if is_crime { &mut self.crimes } else { &mut self.harmless };
        if list.len() < EVENTS_MAX {
            list.push(id);
        }
    }

    /// A transfer moves the scheme's money.
    pub fn moved(&mut self, occurrence: &Occurrence) {
        let Act::Transfer(of) = &occurrence.act else { unreachable!("money moves by transfers: {occurrence:?}") };
        self.event(occurrence.id, true);
        self.member(of.from);
        self.member(of.to);
        if self.edges.len() < EVENTS_MAX {
            let (event, time) = (occurrence.id, occurrence.time);
            self.edges.push(Edge { event, from: of.from, to: of.to, amount: of.amount, currency: of.currency, time });
        }
    }

    /// As one line of JSON, with its end.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let texts = |events: &[EventName]| events.iter().map(EventName::to_string).collect::<Vec<String>>();
        let name = |name: Option<Name>| name.map(|name| name.to_string());
        let mut line = serde_json::json!({
            "episode": self.episode,
            "attack": self.attack.name(),
            "form": self.form,
            "begun": self.begun.to_string(),
            "ended": self.ended.map(|time| time.to_string()),
            "members": self.members.iter().map(Name::to_string).collect::<Vec<String>>(),
            "crimes": texts(&self.crimes),
            "harmless": texts(&self.harmless),
        });
        if self.attack == Attack::Laundering {
            let edge = |edge: &Edge| {
                serde_json::json!({
                    "event": edge.event.to_string(),
                    "from": name(edge.from),
                    "to": name(edge.to),
                    "amount": edge.amount,
                    "currency": edge.currency,
                    "time": edge.time.to_string(),
                })
            };
            line["distortion"] = if self.bends.is_empty() { "none" } else { "some" }.into();
            line["bends"] = self.bends.iter().map(|bend| bend.name()).collect();
            line["edges"] = self.edges.iter().map(edge).collect();
        }
        serde_json::to_writer(&mut *out, &line).expect("memory takes all bytes");
        out.push(b'\n');
    }
}

/// The attacks that are over.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    truths: VecDeque<Truth>,
}

impl Ended {
    /// One more is over.
    pub fn push(&mut self, truth: Truth) {
        if self.truths.len() == ENDED_MAX {
            self.truths.pop_front();
        }
        self.truths.push_back(truth);
    }

    /// Hands over what is there, the oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Truth> + '_ {
        self.truths.drain(..)
    }
}
