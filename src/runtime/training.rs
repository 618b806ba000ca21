//! Training with somebody at the terminal: a bar that says how it goes, and Ctrl-C, which takes the best model so far.

use super::progress::Progress;
use crate::learn::{Sample, Stage, Step, TrainError, TrainOptions, Trained, train};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Builder;

/// As the shell counts what an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Trains a model; `progress` says whether a bar may be shown. Ctrl-C ends training with the best model so far, a second one ends the
/// program.
///
/// # Errors
/// As [`train`]; the outer one where the system gives no thread to wait for Ctrl-C.
pub fn train_watched(sample: &Sample, options: &TrainOptions, progress: bool) -> io::Result<Result<Trained, TrainError>> {
    let stop = Arc::new(AtomicBool::new(false));
    let waiting = Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
    waiting.spawn({
        let stop = stop.clone();
        async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if stop.swap(true, Ordering::Relaxed) {
                    std::process::exit(INTERRUPTED);
                }
            }
        }
    });
    let bar = Progress::count("training", 0, progress);
    let trained = train(sample, options, &stop, &mut |step: &Step| {
        bar.grow(step.of);
        bar.at(step.done, || {
            let stage = match step.stage {
                Stage::Choosing => "choosing inputs".to_owned(),
                Stage::Validating => format!("epoch {}", step.epoch + 1),
                Stage::Refitting => format!("with the newest, epoch {}", step.epoch + 1),
            };
            let precision = step.average_precision.map_or(String::new(), |precision| format!("  validation AP {precision:.3}"));
            format!("{stage}  loss {:.4}{precision}", step.loss)
        });
    });
    bar.finish();
    waiting.shutdown_background();
    Ok(trained)
}
