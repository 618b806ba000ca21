//! The demonstration: the simulated company as the client of a service in the same process, in real time.
//!
//! Its events pass through the door that every client's pass through ([`Desk`]), by calls instead of connections: payments and transfers are
//! authorized within the deadline, the others are submitted. The pace is that of the clock, whatever the service does; what it does not take
//! is counted.
//!
//! [`Desk`]: crate::api::Desk

mod show;
mod stage;
mod traffic;
mod world;

pub(in crate::runtime) use show::Show;
pub use stage::{Past, Stage};

use crate::topology::Layer;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration as Wall;
use tokio::runtime::Handle;
use traffic::Traffic;

/// How a demonstration plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Customers of the company.
    pub people: u32,
    /// Events a second on the mean of the company's day.
    pub rate: u64,
    /// Seconds of the company in a second of the clock; times of events follow the clock.
    pub speed: u32,
    /// How long the service may take for an answer.
    pub deadline: Wall,
    /// An attack to begin with, once the past is over.
    pub attack: Option<String>,
}

/// A demonstration that plays.
pub struct Demo {
    show: Arc<Show>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// Events handed to the service.
    pub sent: u64,
    /// Those that it did not take.
    pub lost: u64,
}

impl Demo {
    /// The name of an attack that a demo offers, as it is offered.
    ///
    /// # Errors
    /// Where there is none of this name: which ones there are.
    pub fn offers(name: &str) -> Result<String, String> {
        show::offered(name).map(|(_, name)| name.to_owned())
    }

    /// The layer over the built-in topology that sizes a demonstration.
    pub fn layer() -> Layer<'static> {
        Layer { name: "built-in demo.toml", text: include_str!("demo.toml"), folder: Path::new("") }
    }

    /// Goes on on `stage`, whose doors are `handle`'s.
    ///
    /// # Errors
    /// Where no attack is called as the options say, or the system gives no thread.
    pub fn start(stage: Stage, options: &DemoOptions, handle: Handle) -> Result<Demo, String> {
        let Stage { node, world, key, .. } = stage;
        let show = Arc::new(Show::new(options, key));
        if let Some(name) = &options.attack {
            show.attack(name)?;
        }
        node.plays(show.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let traffic = Traffic::new(node, world, options, show.clone(), handle);
        let stopping = stop.clone();
        let play = move || traffic.play(&stopping);
        let thread = Builder::new().name("company".to_owned()).spawn(play).map_err(|error: io::Error| error.to_string())?;
        Ok(Demo { show, stop, thread })
    }

    /// Sends nothing more.
    pub fn end(self) -> Played {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the company does not panic");
        self.show.played()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::check_models;
    use crate::topology::Topology;

    /// The demo's figures and the model that was learnt from them belong together: where the ones change, `company.sh` makes the other.
    #[test]
    fn the_demo_s_model_reads_the_demo_s_figures() {
        let topology = Topology::parse(&[Demo::layer()]).unwrap();
        let [model] = check_models(&topology).unwrap().try_into().unwrap();
        assert!(model.contains("judges payments and transfers"), "{model}");
        // The card beside it is this model's, and what it has is what a model may have.
        let card: serde_json::Value = serde_json::from_str(include_str!("company.json")).unwrap();
        let name = card["model"].as_str().unwrap();
        let parameters = card["parameters"].as_u64().unwrap();
        assert!(model.contains(&name[..32]) && model.contains(&format!("{parameters} parameters")), "{model}");
        assert!(parameters < 100_000);
        let off = Layer { name: "off", text: "[model]\noff = true", folder: Path::new("") };
        assert_eq!(check_models(&Topology::parse(&[Demo::layer(), off]).unwrap()), Ok(vec![]));
        let other = Layer { name: "other", text: "[model]\nfile = 'built-in:other'", folder: Path::new("") };
        let wrong = check_models(&Topology::parse(&[Demo::layer(), other]).unwrap()).unwrap_err();
        assert_eq!(wrong, ["other:2: model.file: built-in:other: found no such model, expected built-in:company"]);
    }
}
