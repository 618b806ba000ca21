//! Weir: a real-time graph engine in the stream of payments.

pub mod api;
pub mod arithmetic;
pub mod cli;
pub mod console;
pub mod decision;
pub mod doors;
pub mod engine;
pub mod evaluate;
pub mod event;
pub mod feature;
pub mod gnn;
pub mod graph;
pub mod identity;
pub mod ingress;
pub mod journal;
pub mod kafka;
pub mod learn;
pub mod memory;
pub mod metrics;
pub mod priority;
pub mod render;
pub mod runtime;
pub mod sim;
pub mod snapshot;
pub mod store;
pub mod targets;
pub mod topology;
pub mod typology;
pub mod velocity;

/// The engine's version, as every decision bears it: what decided, besides model, policy and topology.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Who may use whom: each line the lines above it, never below, and not its neighbours. This is the table of ARCHITECTURE.md.
    const LAYERS: [&[&str]; 13] = [
        &["arithmetic", "memory", "priority", "event"],
        &["feature"],
        &["graph"],
        &["typology", "gnn"],
        // Below decision: a skip says in the answer's words what a window lacks.
        &["decision"],
        &["velocity"],
        &["engine"],
        &["journal", "store", "targets", "identity", "ingress", "render", "metrics", "snapshot", "console", "learn", "evaluate", "kafka"],
        &["api"],
        // Above api: the doors are whom its routes ask, through api's own seam.
        &["doors"],
        &["topology"],
        &["runtime", "sim"],
        &["cli"],
    ];

    /// Arrows between neighbours: the index keeps targets in the journal's form; the database forgets judged events by
    /// the rule of the targets; snapshots go to the disk through the journal's door; the demonstration plays the simulated company.
    const NEIGHBOURS: [(&str, &str); 7] = [
        ("store", "targets"),
        ("targets", "journal"),
        ("targets", "store"),
        ("identity", "journal"),
        ("identity", "store"),
        ("snapshot", "journal"),
        ("runtime", "sim"),
    ];

    fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            match path.is_dir() {
                true => sources(&path, out),
                false => out.extend(Some(path).filter(|path| path.extension().is_some_and(|ending| ending == "rs"))),
            }
        }
    }

    /// Modules of this crate that a line uses, one `use` a module as is the habit here; comments name what they like.
    fn used(line: &str) -> impl Iterator<Item = &str> {
        let code = line.split("//").next().unwrap_or_default();
        let name = |rest: &'_ str| rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        code.split("crate::").skip(1).map(move |rest| &rest[..name(rest)]).filter(|name| !name.is_empty())
    }

    /// Planted: `use crate::engine::Engine;` in `graph/ego.rs`, `use crate::topology::Topology;` in `ingress/merge.rs`; both were told.
    #[test]
    fn no_arrow_points_down() {
        let line_of = |module: &str| LAYERS.iter().position(|line| line.contains(&module));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        sources(&root, &mut files);
        let mut wrong = Vec::new();
        for path in &files {
            let inside = path.strip_prefix(&root).expect("found below it");
            let module = inside.components().next().expect("a name").as_os_str().to_string_lossy();
            let module = module.trim_end_matches(".rs");
            if matches!(module, "lib" | "main") {
                continue;
            }
            let own = line_of(module).unwrap_or_else(|| panic!("{module} stands on no line of the table"));
            for (number, line) in fs::read_to_string(path).expect("source is text").lines().enumerate() {
                assert!(!line.contains(concat!("crate::", "{")), "{}:{}: expected one use a module", inside.display(), number + 1);
                for other in used(line).filter(|other| *other != module) {
                    let above = line_of(other).is_none_or(|line| line < own);
                    if !above && !NEIGHBOURS.contains(&(module, other)) {
                        wrong.push(format!("{}:{}: {module} uses {other}", inside.display(), number + 1));
                    }
                }
            }
        }
        assert!(files.len() > 80, "found only {files:?}");
        assert!(wrong.is_empty(), "arrows that point down:\n{}", wrong.join("\n"));
    }
}
