//! Progress on a terminal: what is being done, how far it is, how long it will take.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on standard error, or nothing where nobody looks.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `bytes`; it shows itself only on a terminal and where `wanted`.
    pub fn bytes(what: &'static str, bytes: u64, wanted: bool) -> Progress {
        let target = if wanted { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{prefix:<10} {bar:36} {bytes:>10} of {total_bytes}  {msg}  {eta} left");
        let bar = ProgressBar::with_draw_target(Some(bytes), target).with_prefix(what);
        bar.set_style(style.expect("the template is well formed"));
        Progress { bar }
    }

    /// A bar over `things`.
    pub fn count(what: &'static str, things: u64, wanted: bool) -> Progress {
        let target = if wanted { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{prefix:<10} {bar:36} {human_pos:>10} of {human_len}  {msg}  {eta} left");
        let bar = ProgressBar::with_draw_target(Some(things), target).with_prefix(what);
        bar.set_style(style.expect("the template is well formed"));
        Progress { bar }
    }

    /// So far `position`; `message` says what that means.
    pub fn at(&self, position: u64, message: impl FnOnce() -> String) {
        self.bar.set_position(position);
        if !self.bar.is_hidden() {
            self.bar.set_message(message());
        }
    }

    /// There are `things` in all: more or fewer than was thought.
    #[cfg(feature = "learn")]
    pub fn grow(&self, things: u64) {
        self.bar.set_length(things);
    }

    /// So many more.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
