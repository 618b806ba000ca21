//! The model that `weir train` makes, and its card.

use super::train::Told;
use super::words;
use crate::ENGINE_VERSION;
use crate::evaluate::Card;
use crate::event::Duration;
use crate::journal::hex;
use crate::learn::{Ablation, Count, Epoch, Learnt, Sample, TrainOptions, Trained, Validation};
use crate::runtime::{GatherOptions, train_watched};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// A model and its card in the making: under other names until both are whole, in the directory where they will be. So who may not write
/// there is told before anything is learnt.
pub struct Unfinished {
    path: PathBuf,
    model: NamedTempFile,
    card: NamedTempFile,
}

impl Unfinished {
    /// Makes the files.
    pub fn create(path: &Path) -> Result<Unfinished, String> {
        let dir = match path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        let make = || Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(dir);
        let failed = |error| format!("{}: {error}", path.display());
        if path.is_dir() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
        Ok(Unfinished { path: path.to_owned(), model: make().map_err(failed)?, card: make().map_err(failed)? })
    }

    /// Writes both and gives them their names, the card first: a model never stands beside the card of another for longer than that takes.
    fn finish(mut self, model: &[u8], card: &[u8]) -> Result<PathBuf, String> {
        let card_path = Card::beside(&self.path);
        for (file, bytes, path) in [(&mut self.card, card, &card_path), (&mut self.model, model, &self.path)] {
            file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        self.card.persist(&card_path).map_err(|error| format!("{}: {}", card_path.display(), error.error))?;
        self.model.persist(&self.path).map_err(|error| format!("{}: {}", self.path.display(), error.error))?;
        Ok(card_path)
    }
}

/// Trains a model from `sample`, and writes it and its card.
pub fn learn(out: Unfinished, gathered: &GatherOptions, sample: &Sample, options: &TrainOptions, told: &mut Told) -> Result<(), String> {
    let path = out.path.clone();
    let trained = train_watched(sample, options, gathered.progress).map_err(words)?.map_err(words)?;
    let bytes = trained.model.to_bytes();
    let hash = hex(&Sha256::digest(&bytes));
    let card = card(gathered, sample, options, &trained, &hash);
    let text = serde_json::to_string_pretty(&card).expect("a card is JSON") + "\n";
    let card_path = out.finish(&bytes, text.as_bytes())?;

    let parameters = trained.model.parameters();
    told.add("model", path.display().to_string().into(), &format!("model {hash} of {parameters} parameters in {}", path.display()));
    told.add("card", card, &format!("card in {}", card_path.display()));
    for learnt in &trained.branches {
        let Validation { average_precision, auc_roc, bad_share } = learnt.validation;
        let name = format!("{}_validation", learnt.kind.name());
        let line = format!(
            "{}: AP {average_precision:.4}, AUC {auc_roc:.4} on the newest {} rows, {bad_share:.4} of them bad; learnt from {} rows, {} bad",
            learnt.kind.name(),
            learnt.came[1].rows,
            learnt.rows.rows,
            learnt.rows.bad
        );
        told.add(&name, ranking(&learnt.validation), &line);
    }
    for (kind, bads) in &trained.left_out {
        let line = format!("{}: left out, {bads} bad rows are too few, expected {}", kind.name(), options.bads_min);
        told.add(&format!("{}_left_out", kind.name()), (*bads).into(), &line);
    }
    if trained.stopped {
        told.add("stopped", true.into(), "stopped early: this is the best model so far");
    }
    Ok(())
}

/// What `--ablate` names.
pub fn ablation(name: &str) -> Ablation {
    match name {
        "states" => Ablation::States,
        "messages" => Ablation::Messages,
        _ => Ablation::Neighbours,
    }
}

fn ranking(ranking: &Validation) -> Value {
    json!({ "average_precision": ranking.average_precision, "auc_roc": ranking.auc_roc, "bad_share": ranking.bad_share })
}

fn count(count: &Count) -> Value {
    json!({ "rows": count.rows, "bad": count.bad })
}

fn seconds(duration: Duration) -> f64 {
    duration.0 as f64 / Duration::SECOND.0 as f64
}

/// What a model was made of, so that who serves it can tell whether it may be asked, and who doubts it can make it again.
fn card(gathered: &GatherOptions, sample: &Sample, options: &TrainOptions, trained: &Trained, hash: &str) -> Value {
    let branch = |learnt: &Learnt| {
        let branch = json!({
            "before_validation": count(&learnt.came[0]),
            "validation": { "rows": learnt.came[1].rows, "bad": learnt.came[1].bad, "ranking": ranking(&learnt.validation) },
            "learnt_from": count(&learnt.rows),
            "share_of_the_good": learnt.share,
            "calibration": { "slope": learnt.platt.slope, "offset": learnt.platt.offset },
            "inputs_offered": learnt.offered,
            "inputs": learnt.inputs,
        });
        (learnt.kind.name().to_owned(), branch)
    };
    let epoch =
        |epoch: &Epoch| json!({ "loss": epoch.loss, "validation": epoch.validation.iter().flatten().map(ranking).collect::<Vec<_>>() });
    json!({
        "model": hash,
        "engine_version": ENGINE_VERSION,
        "from": gathered.from.to_string(),
        "until": gathered.until.to_string(),
        "label_delay_s": seconds(gathered.label_delay),
        "known_until": (gathered.until + gathered.label_delay).to_string(),
        "validation_from": sample.options.validation_from.to_string(),
        "seed": options.seed,
        "hyper_parameters": {
            "epochs": trained.epochs.len(),
            "batch": options.batch,
            "rate_max": options.rate_max,
            "weight_decay": options.weight_decay,
            "dropout": options.dropout,
            "inputs_max": options.inputs_max,
            "goods_per_bad": sample.options.goods_per_bad,
        },
        "parameters": trained.model.parameters(),
        "epochs": trained.epochs.iter().map(epoch).collect::<Vec<_>>(),
        "best_epoch": trained.best + 1,
        "refitted_with_validation": trained.refitted,
        "stopped": trained.stopped,
        "ablated": options.without.map(|without| format!("{without:?}").to_lowercase()),
        "branches": trained.branches.iter().map(branch).collect::<serde_json::Map<_, _>>(),
    })
}
