//! Reading a topic of a data directory: outputs with the texts that they need.

use super::error::ReplayError;
use super::policies::Policies;
use super::source::founded;
use crate::decision::Decision;
use crate::engine::Alert;
use crate::event::{IdKey, Origin, Sequence};
use crate::identity::Identity;
use crate::journal::{Blobs, DataDir, Disk, Files, JournalError, Records, Shown, Topic};
use crate::render::{View, alert, decision};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What of a topic is read.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    pub from: Sequence,
    /// Whether to wait for more at the end.
    pub follow: bool,
    /// Whether decisions are shown with what only the internal topic holds.
    pub internal: bool,
}

/// Between two looks at the end of a log that somebody follows.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Writes the outputs of `topic` in the data directory `root` to `out`, ids as the texts that `identity` knows, as hashes without it; returns
/// how many lines.
///
/// # Errors
/// Where the directory is none of Weir's, is damaged, or `out` refuses.
pub fn tail(root: &Path, identity: Option<&Identity>, topic: Topic, options: Tail, out: &mut dyn Write) -> Result<u64, ReplayError> {
    let files: Arc<dyn Files> = Arc::new(Disk);
    let dir = DataDir::read(root)?;
    let deciding = founded(root, &files, &dir)?;
    let key = Records::open(files.clone(), &dir.journal(), Sequence(0))?.0.key().unwrap_or(IdKey::FILES);
    let policies = Policies::of(&deciding, key, Blobs::read(files.clone(), &dir.blobs()));
    let text_of = |id| identity?.text(id).ok().flatten();
    let view = if options.internal { View::Internal } else { View::Public };
    let rendered = |answer: &Decision| {
        let mut line = Vec::new();
        decision(answer, view, &policies.texts(&answer.provenance.policy), &|id| text_of(id).map(|(_, text)| text), &mut line);
        String::from_utf8(line).expect("JSON is UTF-8")
    };
    let alerted = |told: &Alert| {
        let mut line = Vec::new();
        let cause = |policy: &[u8; 16], cause| policies.texts(policy).cause(i64::from(cause), View::Internal);
        alert(told, None, deciding.rates.reporting, &cause, &|id| text_of(id).map(|(_, text)| text), &mut line);
        String::from_utf8(line).expect("JSON is UTF-8")
    };
    let source = |origin: Origin| match deciding.sources.get(usize::from(origin.source)) {
        Some((name, _)) => name.clone(),
        None => "engine".to_owned(),
    };
    let shown = Shown { decision: &rendered, alert: &alerted, source: &source, text_of: &text_of };
    let mut wait = || {
        if options.follow {
            std::thread::sleep(LOOK_AGAIN);
        }
        options.follow
    };
    Ok(crate::journal::tail(&files, &dir, topic, options.from, &shown, &mut wait, out)?)
}

impl ReplayError {
    /// Whether the reader of what was written has gone away.
    pub fn reader_went_away(&self) -> bool {
        let ReplayError::Journal(JournalError::Io { source, .. }) = self else { return false };
        source.kind() == std::io::ErrorKind::BrokenPipe
    }
}
