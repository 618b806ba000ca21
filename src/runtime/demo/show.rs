//! What a demonstration shows: its attacks, asked for from outside, and what became of them.

use super::{DemoOptions, Played};
use crate::api::Answer;
use crate::console::{Attack as Offer, Demonstration, Followed};
use crate::event::Timestamp;
use crate::runtime::service::clock_time;
use crate::sim::company::fraud::Attack;
use crate::sim::company::truth::Trace;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The attacks of which there is something to see, as doors and people call them. Friendly fraud is seen weeks later.
const OFFERS: [(Attack, &str, &str); 7] = [
    (Attack::CardTesting, "card-testing", "Card testing"),
    (Attack::DeviceFarm, "device-farm", "Device farm"),
    (Attack::StolenCard, "stolen-card", "Stolen card"),
    (Attack::AccountTakeover, "account-takeover", "Account takeover"),
    (Attack::CompromisedShop, "compromised-shop", "Compromised shop"),
    (Attack::SyntheticIdentities, "synthetic-identities", "Synthetic identities"),
    (Attack::Laundering, "laundering", "Laundering"),
];
/// The attack of this name, and the name as it is offered.
///
/// # Errors
/// Where none is offered under it: which ones are.
pub(super) fn offered(name: &str) -> Result<(Attack, &'static str), String> {
    let words = name.replace('_', "-");
    let found = OFFERS.iter().find(|(_, known, _)| *known == words).map(|(attack, name, _)| (*attack, *name));
    found.ok_or_else(|| format!("found the attack {name:?}, expected one of {}", OFFERS.map(|(_, name, _)| name).join(", ")))
}

/// Attacks that are followed; then the oldest is not any more.
const FOLLOWED_MAX: usize = 6;
/// Attacks that are asked for and have not begun.
const ORDERS_MAX: usize = 16;

/// The state that doors, pages and the company share.
pub(in crate::runtime) struct Show {
    what: String,
    orders: Mutex<Vec<Attack>>,
    /// The newest first.
    followed: Mutex<VecDeque<Following>>,
    sent: AtomicU64,
    lost: AtomicU64,
}

struct Following {
    episode: u32,
    /// When its first event was sent.
    first_sent: Option<Instant>,
    told: Followed,
}

impl Show {
    pub(super) fn new(options: &DemoOptions) -> Show {
        let pace = if options.speed == 1 { "in real time".to_owned() } else { format!("{} times as fast as the clock", options.speed) };
        let what = format!(
            "A simulated company of {} people plays {pace}: they browse, pay and send money, and now and then somebody commits fraud.",
            crate::topology::grouped(options.people.into())
        );
        let (sent, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Show { what, orders: Mutex::default(), followed: Mutex::default(), sent, lost }
    }

    /// Asks for an attack.
    ///
    /// # Errors
    /// Where there is none of this name, or many are asked for already.
    pub(in crate::runtime) fn attack(&self, name: &str) -> Result<Value, String> {
        let (attack, name) = offered(name)?;
        let mut orders = self.orders.lock().expect("nobody panics with it");
        if orders.len() >= ORDERS_MAX {
            return Err(format!("{ORDERS_MAX} attacks are about to begin: try again in a second"));
        }
        orders.push(attack);
        Ok(json!({ "attack": name, "status": "begins" }))
    }

    /// The attacks asked for since the last call.
    pub(super) fn orders(&self) -> Vec<Attack> {
        std::mem::take(&mut *self.orders.lock().expect("nobody panics with it"))
    }

    /// The attack `episode` has begun.
    pub(super) fn begun(&self, attack: Attack, episode: u32, time: Timestamp) {
        let title = OFFERS.iter().find(|(known, ..)| *known == attack).map_or("Attack", |(.., title)| title);
        let told = Followed { title, begun: clock_time(time), ..Followed::default() };
        let mut followed = self.followed.lock().expect("nobody panics with it");
        followed.truncate(FOLLOWED_MAX - 1);
        followed.push_front(Following { episode, first_sent: None, told });
    }

    /// An event was handed to the service; the attack of `trace` that is followed, if it belongs to one.
    pub(super) fn sent(&self, trace: Option<Trace>) -> Option<u32> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let episode = trace?.episode;
        self.with(episode, |following| following.first_sent.get_or_insert_with(Instant::now).to_owned()).map(|_| episode)
    }

    /// A payment or transfer of an attack was answered.
    pub(super) fn answered(&self, episode: u32, answer: &Answer) {
        let Answer::Decided { json, .. } = answer else { return };
        let Ok(decision) = serde_json::from_slice::<Value>(json) else { return };
        let stopped = decision["outcome"] != "approve";
        self.with(episode, |Following { told, first_sent, .. }| {
            told.judged += 1;
            told.stopped += u64::from(stopped);
            if stopped && told.first.is_none() {
                let seconds = first_sent.map_or(0.0, |first| first.elapsed().as_secs_f64());
                told.first = Some((told.judged, seconds));
            }
        });
    }

    /// The attack `episode` is over.
    pub(super) fn over(&self, episode: u32) {
        self.with(episode, |following| following.told.over = true);
    }

    fn with<T>(&self, episode: u32, change: impl FnOnce(&mut Following) -> T) -> Option<T> {
        let mut followed = self.followed.lock().expect("nobody panics with it");
        followed.iter_mut().find(|following| following.episode == episode).map(change)
    }

    /// The service did not take `events` events.
    pub(super) fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn played(&self) -> Played {
        Played { sent: self.sent.load(Ordering::Relaxed), lost: self.lost.load(Ordering::Relaxed) }
    }

    /// What the page says.
    pub(in crate::runtime) fn told(&self) -> Demonstration {
        let followed = self.followed.lock().expect("nobody panics with it");
        Demonstration {
            what: self.what.clone(),
            lost: self.played().lost,
            attacks: OFFERS.iter().map(|(_, name, title)| Offer { name, title }).collect(),
            followed: followed.iter().map(|following| following.told.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Status;
    use std::time::Duration as Wall;

    fn show() -> Show {
        Show::new(&DemoOptions { people: 1000, rate: 10, speed: 1, deadline: Wall::from_millis(40), attack: None })
    }

    fn decided(outcome: &str) -> Answer {
        Answer::Decided { json: json!({ "outcome": outcome }).to_string().into_bytes().into(), status: Status::Evaluated }
    }

    #[test]
    fn attacks_are_asked_for_by_name() {
        let show = show();
        assert!(show.attack("card_testing").is_ok() && show.attack("device-farm").is_ok());
        assert!(show.attack("friendly-fraud").is_err_and(|why| why.contains("card-testing")));
        assert_eq!(show.orders(), [Attack::CardTesting, Attack::DeviceFarm]);
        assert!(show.orders().is_empty());
        for (attack, name, _) in OFFERS {
            assert_eq!(Attack::parse(name), Some(attack));
        }
        let asked = (0..2 * ORDERS_MAX).filter(|_| show.attack("laundering").is_ok()).count();
        assert_eq!(asked, ORDERS_MAX);
    }

    #[test]
    fn an_attack_is_followed_to_its_first_stop() {
        let show = show();
        show.begun(Attack::CardTesting, 7, Timestamp(0));
        let trace = |episode| Some(Trace { episode, is_crime: true });
        assert_eq!((show.sent(None), show.sent(trace(8)), show.sent(trace(7))), (None, None, Some(7)));
        for outcome in ["approve", "approve", "decline", "approve", "review"] {
            show.answered(7, &decided(outcome));
        }
        show.answered(8, &decided("decline"));
        show.over(7);
        let followed = &show.told().followed[0];
        assert_eq!((followed.judged, followed.stopped, followed.over), (5, 2, true));
        assert_eq!(followed.first.map(|(number, _)| number), Some(3));
        assert_eq!(show.played(), Played { sent: 3, lost: 0 });
        (0..20).for_each(|episode| show.begun(Attack::Laundering, episode, Timestamp(0)));
        assert_eq!(show.told().followed.len(), FOLLOWED_MAX);
    }
}
