//! How a follower and a leader meet: whether what the leader says of itself fits, and whether both journals are one.

use super::client::{Peer, Reply};
use super::follower::{Ending, Follower, SILENCE, fatal};
use super::frame::{self, Frame, Hello};
use crate::event::Sequence;
use crate::journal::{Records, encode_record, hex};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

/// Asks the leader for its journal from `from` on, and hears its first word.
pub(super) fn begin(peer: &Peer, stream: TcpStream, from: u64) -> Result<(Reply, Hello), Ending> {
    let mut reply = peer.ask(stream, "GET", &format!("/v1/journal?from={from}"), "")?;
    match reply.status {
        200 => {}
        401 | 403 => {
            return Err(Ending::Lost(format!("{peer} does not let us in (status {}): a key of scope admin is needed", reply.status)));
        }
        status => return Err(Ending::Lost(format!("{peer} answers with status {status}: does it lead?"))),
    }
    match frame::read(&mut reply)? {
        Some(Frame::Hello(hello)) => Ok((reply, *hello)),
        _ => Err(Ending::Lost(format!("{peer} begins without a hello"))),
    }
}

/// What the leader at `peer` says first.
pub(super) fn greet(peer: &Peer) -> Result<Hello, Ending> {
    let (_, hello) = begin(peer, peer.connect(SILENCE)?, u64::MAX)?;
    Ok(hello)
}

impl Follower {
    /// Whether what the leader says of itself fits this directory.
    pub(super) fn check(&self, hello: &Hello, own: u64) -> Result<(), Ending> {
        if hello.engine_version != crate::journal::ENGINE_VERSION {
            let (found, expected) = (hello.engine_version, crate::journal::ENGINE_VERSION);
            return Err(Ending::Fatal(format!("{} has engine version {found}, expected {expected}: run one version on both", self.peer)));
        }
        if hello.key != self.standing.journal.key() {
            return Err(Ending::Fatal(format!(
                "the journal in {} is another than that of {}: its ids have another key. Follow with an empty directory",
                self.standing.dir.root().display(),
                self.peer
            )));
        }
        for (what, found, expected) in [("topology", hello.topology, self.foundations[0]), ("policy", hello.policy, self.foundations[1])] {
            if found != expected {
                return Err(Ending::Fatal(format!(
                    "{} runs with the {what} {}…, found {}… here: give the same files with -t on both",
                    self.peer,
                    hex(&found[..8]),
                    hex(&expected[..8])
                )));
            }
        }
        let known = self.link.epoch.load(Ordering::Acquire);
        if hello.epoch < known {
            return Err(Ending::Lost(format!(
                "{} is at epoch {}, this directory knows of epoch {known}: it leads no more",
                self.peer, hello.epoch
            )));
        }
        if hello.next < own {
            return Err(self.diverged(hello.first, hello.next));
        }
        // With nothing of its own it needs all; else at least the record that both have.
        if hello.first > own.saturating_sub(1) {
            return Err(Ending::Fatal(format!(
                "the journal of {} begins at record {}, the one here ends before {own}: what lies between is gone. Begin with a copy of the \
                 leader's data directory, made while it does not run or from a file system snapshot",
                self.peer, hello.first
            )));
        }
        Ok(())
    }

    /// The own record of a sequence, in the journal's form.
    pub(super) fn own(&self, sequence: u64) -> Result<Vec<u8>, Ending> {
        let dir = self.standing.dir.journal();
        let mut records = Records::open(self.standing.files.clone(), &dir, Sequence(sequence)).map_err(fatal)?;
        let record = records.next_record().map_err(fatal)?.filter(|record| record.sequence.0 == sequence);
        let record = record.ok_or_else(|| Ending::Fatal(format!("record {sequence} is not in the journal here")))?;
        let mut body = Vec::new();
        encode_record(&record, &mut body);
        Ok(body)
    }

    /// Whether record `sequence` is the same there as here.
    fn agrees(&self, sequence: u64) -> Result<bool, Ending> {
        let (mut reply, _) = begin(&self.peer, self.peer.connect(SILENCE)?, sequence)?;
        loop {
            match frame::read(&mut reply)? {
                Some(Frame::Record { sequence: found, body }) => return Ok(found.0 == sequence && body == self.own(sequence)?),
                Some(Frame::Beat { .. }) | None => return Ok(false),
                Some(_) => {}
            }
        }
    }

    /// Finds the first record that differs, before `end` at the latest: two journals agree up to it and nowhere behind.
    pub(super) fn diverged(&self, first: u64, end: u64) -> Ending {
        let own = self.standing.journal.next().0;
        let (mut low, mut high) = (first, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.agrees(middle) {
                Ok(true) => low = middle + 1,
                Ok(false) => high = middle,
                Err(ending) => return ending,
            }
        }
        let dir = self.standing.dir.root().display();
        Ending::Fatal(format!(
            "this directory holds records that {} never got: {} of them, from record {low} on, where both part. What was answered for them \
             is known only here. Keep them (weir journal export {dir} --from {low}), settle them by hand, move {dir} away and follow with an \
             empty directory. Or, where it is the leader that lost them in a power cut: run this directory without --follow, and that one \
             as its standby",
            self.peer,
            own - low
        ))
    }
}
