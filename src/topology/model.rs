//! `[model]`: which files hold models.

use super::section::Section;
use std::path::{Path, PathBuf};

/// `[model]`. What a model says is decided by its bytes, which the journal keeps: no text that decisions bear a hash of names these files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// The model that judges where a directory never had one, or never saw this one.
    pub file: Option<PathBuf>,
    /// The model whose scores are recorded and compared, and never used.
    pub shadow: Option<PathBuf>,
}

/// Reads `[model]`. `folders` are those of the layers, against which their relative files are resolved.
pub(super) fn read(section: &Section, folders: &[&Path]) -> ModelOptions {
    let file = |key: &str| -> Option<PathBuf> {
        let item = section.find(key)?;
        let text = item.text("a model file's path", 4096)?;
        Some(folders.get(item.layer).copied().unwrap_or(Path::new("")).join(text))
    };
    let options = ModelOptions { file: file("file"), shadow: file("shadow") };
    section.finish();
    options
}
