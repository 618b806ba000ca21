//! `[model]`: which files hold models, and where their forward passes run.

use super::section::{Item, Section};
use crate::gnn::DeviceChoice;
use std::path::{Path, PathBuf};

/// How the name of a model begins that is part of the program and no file, such as `built-in:company`.
pub const BUILT_IN: &str = "built-in:";

/// `[model]`. What a model says is decided by its bytes, which the journal keeps: no text that decisions bear a hash of names these files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// The model that judges where a directory never had one, or never saw this one.
    pub file: Option<PathBuf>,
    /// The model whose scores are recorded and compared, and never used.
    pub shadow: Option<PathBuf>,
    /// Where forward passes run; `off` leaves it as it is.
    pub device: DeviceChoice,
}

/// Reads `[model]`, which a layer may turn off. `folders` are those of the layers, against which their relative files are resolved.
pub(super) fn read(section: &Section, folders: &[&Path]) -> ModelOptions {
    let file = |key: &str| -> Option<PathBuf> {
        let item = section.find(key)?;
        let text = item.text("a model file's path", 4096)?;
        let folder = folders.get(item.layer).filter(|_| !text.starts_with(BUILT_IN));
        Some(folder.copied().unwrap_or(Path::new("")).join(text))
    };
    let choice = |item: Item| {
        let choice = item.text(DeviceChoice::WORDS, 64)?.parse();
        choice.map_err(|_| item.error(DeviceChoice::WORDS)).ok()
    };
    let device = section.need("device", DeviceChoice::WORDS).and_then(choice).unwrap_or_default();
    let options = ModelOptions { file: file("file"), shadow: file("shadow"), device };
    let off = section.find("off").filter(|item| item.boolean() == Some(true)).map(|item| item.layer);
    let named = ["file", "shadow"].into_iter().filter_map(|key| section.find(key)).map(|item| item.layer).max();
    section.finish();
    // A later layer may name one again.
    if off.is_some_and(|off| named.is_none_or(|named| off >= named)) { ModelOptions { device, ..ModelOptions::default() } } else { options }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Layer, Topology};

    #[test]
    fn built_in_models_lie_in_no_folder_and_a_layer_turns_models_off() {
        let layer = |text| Layer { name: "layer.toml", text, folder: Path::new("there") };
        let named = layer("[model]\nfile = 'built-in:company'\nshadow = 'shadow.safetensors'");
        let options = Topology::parse(&[named]).unwrap().model;
        assert_eq!((options.file, options.shadow), (Some("built-in:company".into()), Some("there/shadow.safetensors".into())));
        let off = layer("[model]\noff = true");
        assert_eq!(Topology::parse(&[named, off]).unwrap().model, ModelOptions::default());
        assert!(Topology::parse(&[off, named]).unwrap().model.file.is_some(), "the later layer has the say");
    }

    /// Caught when planted: a device that `off` turned back to the default.
    #[test]
    fn the_device_is_a_word_and_stays_where_models_are_off() {
        let parse = |text: &str| Topology::parse(&[Layer { name: "layer.toml", text, folder: Path::new("there") }]);
        let device = |text: &str| parse(text).unwrap().model.device;
        assert_eq!(device(""), DeviceChoice::Auto);
        assert_eq!(device("[model]\ndevice = 'cpu'"), DeviceChoice::Cpu);
        assert_eq!(device("[model]\ndevice = 'cuda:2'\noff = true"), DeviceChoice::Cuda(2));
        for (text, found) in [("'gpu'", "\"gpu\""), ("0", "0"), ("'cuda:x'", "\"cuda:x\"")] {
            let told = parse(&format!("[model]\ndevice = {text}")).unwrap_err().to_string();
            assert_eq!(told, format!("layer.toml:2: model.device: found {found}, expected \"auto\", \"cpu\" or \"cuda:N\""));
        }
    }
}
