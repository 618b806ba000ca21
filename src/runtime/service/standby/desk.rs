//! The doors of a process that leads, follows or is fenced: what only a leader does is passed on to its service.

use super::node::Node;
use crate::api::{Answer, ChallengeResult, Change, Chunks, Desk, Page, Readiness, Shown, Stream, Submitted};
use crate::console;
use crate::event::{Id, Sequence};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};

impl Desk for Node {
    async fn authorize_traced(&self, json: &[u8], deadline: Wall, trace: Option<&str>) -> Answer {
        match self.leading.get() {
            Some(service) => {
                let began = Instant::now();
                let answer = service.authorize_traced(json, deadline, trace).await;
                self.metrics.hook_answer_seconds.observe(began.elapsed().as_secs_f64());
                answer
            }
            None => Answer::Closing,
        }
    }

    async fn challenge(&self, event_id: &str, result: ChallengeResult, deadline: Wall) -> Option<Answer> {
        self.leading.get()?.challenge(event_id, result, deadline).await
    }

    async fn submit(&self, json: &[u8]) -> Submitted {
        match self.leading.get() {
            Some(service) => service.submit(json).await,
            None => Submitted::Closing,
        }
    }

    fn policy(&self, before: bool) -> Result<Value, String> {
        match self.leading.get() {
            Some(service) => Desk::policy(service, before),
            None => Err("this process does not lead".to_owned()),
        }
    }

    async fn publish(&self, text: &str) -> Change {
        match self.leading.get() {
            Some(service) => Desk::publish(service, text).await,
            None => Change::Closing,
        }
    }

    async fn rollback(&self) -> Change {
        match self.leading.get() {
            Some(service) => Desk::rollback(service).await,
            None => Change::Closing,
        }
    }

    fn model(&self) -> Result<Value, String> {
        match self.leading.get() {
            Some(service) => Desk::model(service),
            None => Err("this process does not lead".to_owned()),
        }
    }

    async fn publish_model(&self, bytes: &[u8]) -> Change {
        match self.leading.get() {
            Some(service) => Desk::publish_model(service, bytes).await,
            None => Change::Closing,
        }
    }

    async fn rollback_model(&self) -> Change {
        match self.leading.get() {
            Some(service) => Desk::rollback_model(service).await,
            None => Change::Closing,
        }
    }

    async fn list(&self, name: &str, json: &[u8]) -> Change {
        match self.leading.get() {
            Some(service) => service.list(name, json).await,
            None => Change::Closing,
        }
    }

    async fn listed(&self, name: &str, after: Option<Id>, limit: usize) -> Result<Value, String> {
        match self.leading.get() {
            Some(service) => service.listed(name, after, limit).await,
            None => Err("this process does not lead".to_owned()),
        }
    }

    async fn alerts(&self, aml: bool) -> Vec<u8> {
        match self.leading.get() {
            Some(service) => Desk::alerts(service, aml).await,
            None => br#"{"alerts":[],"held":0}"#.to_vec(),
        }
    }

    async fn decision(&self, event_id: &str, internal: bool) -> Option<Arc<[u8]>> {
        self.leading.get()?.decision(event_id, internal).await
    }

    async fn page(&self, stream: Stream, after: Option<&str>, limit: usize, wait: Wall) -> Result<Page, String> {
        match self.leading.get() {
            Some(service) => service.page(stream, after, limit, wait).await,
            None => Err("this process does not lead".to_owned()),
        }
    }

    fn readiness(&self) -> Readiness {
        let detail = match (self.leading.get(), &self.followed) {
            (Some(service), _) => return Desk::readiness(service),
            (None, Some((link, peer))) => match link.connected.load(Ordering::Relaxed) {
                true => format!("following {peer}, {} records behind", link.lag()),
                false => format!("following {peer}: {}", link.trouble.lock().expect("nobody panics with it")),
            },
            (None, None) => "starting".to_owned(),
        };
        Readiness { ready: false, detail }
    }

    fn elsewhere(&self, reading: bool) -> Option<String> {
        match (self.leading.get(), &self.followed) {
            (Some(service), _) => {
                if reading {
                    None
                } else {
                    service.shared.elsewhere.get().cloned()
                }
            }
            (None, Some((_, peer))) => Some(format!("this is a standby of {peer}: ask there, or promote this one (weir promote)")),
            (None, None) => Some("starting".to_owned()),
        }
    }

    fn console(&self, aml: bool) -> Option<Shown> {
        let url = self.url.get().map_or("", String::as_str);
        // Texts of ids are read from files that are in memory.
        let attack_of = |event| self.show.get()?.attack_of(event);
        let now =
            tokio::task::block_in_place(|| self.leading.get().map(|service| service.overview(self.pulse.read(), url, aml, &attack_of)))?;
        let demonstration = self.show.get().map(|show| show.told(&now.alerts));
        let page = console::Now { demonstration, ..now }.page();
        Some(Shown { media_type: console::PAGE, body: page.into_bytes() })
    }

    fn console_file(&self, name: &str) -> Option<Shown> {
        console::file(name).map(|(media_type, text)| Shown { media_type, body: text.as_bytes().to_vec() })
    }

    fn attack(&self, name: &str) -> Option<Result<Value, String>> {
        self.show.get().map(|show| show.attack(name))
    }

    fn journal(&self, from: Sequence) -> Result<Chunks, String> {
        self.leading.get().ok_or_else(|| "this process does not lead".to_owned())?.journal(from)
    }

    fn leader(&self) -> Value {
        self.told()
    }

    fn close(&self) {
        if let Some(service) = self.leading.get() {
            service.close();
        }
    }

    async fn promote(&self, forced: bool) -> Result<Value, String> {
        self.succeed(forced).await
    }

    async fn fence(&self, epoch: u64, leader: &str) -> Result<Value, String> {
        self.give_way(epoch, leader)
    }
}
