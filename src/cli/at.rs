//! The running service that a command asks.

use crate::runtime::{Body, Peer};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// A service that is busy may take a while to compile and record.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the service is.
#[derive(clap::Args)]
pub(super) struct At {
    /// Where the service listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Certificates that an https address is checked against
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl At {
    /// What the service answers, with the key under `WEIR_KEY`.
    ///
    /// # Errors
    /// Where it cannot be asked, and where it refuses: what it says.
    pub(super) fn ask<'a>(&self, method: &str, path: &str, body: impl Into<Body<'a>>) -> Result<Value, String> {
        let peer = Peer::new(&self.url, std::env::var("WEIR_KEY").ok().as_deref(), self.ca.as_deref())?;
        let (status, text) = peer.answer(method, path, body, PATIENCE).map_err(|error| format!("{peer}: {error}"))?;
        let told: Value = serde_json::from_str(&text).map_err(|error| format!("{peer}: status {status}, and no JSON: {error}"))?;
        if status == 200 { Ok(told) } else { Err(format!("{peer}: {}", told["detail"].as_str().unwrap_or(&text))) }
    }
}
