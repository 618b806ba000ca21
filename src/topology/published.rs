//! What of a topology may change while a service runs: the sections that decide and need no memory of another size.

use super::alert::Calling;
use super::canonical::canonical_policy;
use super::document::{Document, Errors, Log, join};
use super::section::{Section, one_of, suggestion};
use super::{DEFAULT, DEFAULT_NAME, alert, guard, policy, read_layer};
use crate::decision::PolicyOptions;
use crate::engine::GuardOptions;
use std::path::PathBuf;

/// `[policy]`, `[guard]` and `[alert]`: what `weir policy` publishes as one, and what the hash of a policy is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub(super) policy: PolicyOptions,
    pub(super) guard: GuardOptions,
    pub(super) alerts: Calling,
}

/// Their names.
const SECTIONS: [&str; 3] = ["policy", "guard", "alert"];

impl Published {
    /// What `layers` lead to over the embedded default, as `weir run -t` would have it.
    ///
    /// # Errors
    /// All mistakes in it; one is a section that does not change while a service runs. What rules ask for is not looked at: only who runs
    /// them knows which figures there are.
    pub fn load(layers: &[PathBuf]) -> Result<Published, Errors> {
        Published::lay((DEFAULT_NAME, DEFAULT), layers)
    }

    /// What `layers` lead to over this: a rule more, another number.
    ///
    /// # Errors
    /// As [`Published::load`].
    pub fn amended(&self, layers: &[PathBuf]) -> Result<Published, Errors> {
        Published::lay(("the policy in force", &self.text()), layers)
    }

    fn lay((name, base): (&str, &str), layers: &[PathBuf]) -> Result<Published, Errors> {
        let (mut document, mut errors) = (Document::default(), Vec::new());
        errors.extend(document.lay(name, base).err().unwrap_or_default());
        for path in layers {
            match read_layer(path) {
                Ok(text) => errors.extend(document.lay(&path.display().to_string(), &text).err().unwrap_or_default()),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(Errors(errors));
        }
        let log = Log::new(&document);
        // Sections that only the base states are those of every service.
        for (key, _) in document.root.iter().filter(|(key, node)| node.layer > 0 && !SECTIONS.contains(&key.as_str())) {
            refuse(key, &log);
        }
        let published = read(&Section::root(&document.root, &log));
        log.finish()?;
        Ok(published)
    }

    /// What `text` states whole.
    ///
    /// # Errors
    /// All mistakes in it; `name` is how they call it.
    pub fn parse(name: &str, text: &str) -> Result<Published, Errors> {
        let document = whole(name, text)?;
        let log = Log::new(&document);
        let published = read_whole(&document, &log);
        log.finish()?;
        Ok(published)
    }

    /// One text for one meaning, whole, as it is published.
    pub fn text(&self) -> String {
        canonical_policy(&self.policy, &self.guard, &self.alerts)
    }
}

/// The document of a text that states everything that may change.
pub(super) fn whole(name: &str, text: &str) -> Result<Document, Errors> {
    let mut document = Document::default();
    document.lay(name, text).map_err(Errors)?;
    Ok(document)
}

/// Reads what may change, where nothing else may stand.
pub(super) fn read_whole(document: &Document, log: &Log) -> Published {
    for key in document.root.keys().filter(|key| !SECTIONS.contains(&key.as_str())) {
        refuse(key, log);
    }
    read(&Section::root(&document.root, log))
}

fn read(root: &Section) -> Published {
    Published {
        policy: policy::read(&root.section("policy")),
        guard: guard::read(&root.section("guard")),
        alerts: alert::read(&root.section("alert")),
    }
}

/// Notes that a section does not change while a service runs, or is none of a topology.
fn refuse(key: &str, log: &Log) {
    let expected = format!("only what may change while a service runs: {}", one_of(SECTIONS));
    let found = match key {
        // They say how large tables are, which figures stand in them, or what every record so far was judged by.
        "aggregate" | "dedupe" | "labels" | "laundering" | "limits" | "list" | "money" | "source" | "time" => {
            format!("[{key}], which needs a restart, on a data directory that is begun with it")
        }
        "authorize" | "http" | "input" | "journal" | "kafka" | "model" | "security" | "snapshot" | "stand_in" | "topics" => {
            format!("[{key}], which needs a restart")
        }
        _ => "an unknown key".to_owned() + &suggestion(key, SECTIONS),
    };
    log.error(&join("", key), found, expected);
}

#[cfg(test)]
mod tests {
    use super::super::{Topology, document::Value};
    use super::*;

    /// Every section of the embedded default is one that may change, or one that says why it does not.
    #[test]
    fn every_other_section_is_refused_with_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let good = path("good.toml", "[guard]\nrest = \"1h\"\n[alert]\nper_hour = 7\n[policy]\ndecline_risk_score_min = 901\n");
        let published = Published::load(std::slice::from_ref(&good)).unwrap();
        assert_eq!(published, Published::parse("again", &published.text()).unwrap());
        assert_eq!((published.alerts.per_hour, published.guard.rest), (7, crate::event::Duration::HOUR));
        let mut default = Document::default();
        default.lay(DEFAULT_NAME, DEFAULT).unwrap();
        for (key, node) in default.root.iter().filter(|(key, _)| !SECTIONS.contains(&key.as_str())) {
            assert!(matches!(node.value, Value::Table(_)), "{key}");
            let bad = path("bad.toml", &format!("\n[{key}]\n"));
            let errors = Published::load(&[good.clone(), bad.clone(), good.clone()]).unwrap_err().to_string();
            let expected = format!("{}:2: {key}: found [{key}], which needs a restart", bad.display());
            assert!(errors.starts_with(&expected) && errors.lines().count() == 1, "{errors}");
            let whole = format!("{}[{key}]\n", published.text());
            let errors = Published::parse("text", &whole).unwrap_err().to_string();
            assert!(errors.contains(&format!("{key}: found [{key}], which needs a restart")), "{errors}");
        }
        let errors = Published::parse("text", "[polcy]\n").unwrap_err().to_string();
        assert!(errors.contains("polcy: found an unknown key (did you mean policy?)"), "{errors}");
        assert!(errors.contains("guard: found nothing, expected a table"), "{errors}");
        // What deciding gets of it.
        let deciding = Topology::parse(&[]).unwrap().deciding;
        let with = deciding.with_policy("text", &published.text()).unwrap();
        assert_eq!((with.alerts.per_hour, with.alerts.limits), (7, deciding.alerts.limits));
        assert_eq!((with.canonical_topology(), with.canonical_policy()), (deciding.canonical_topology(), published.text()));
    }
}
