//! What a demonstration shows: its attacks, asked for from outside, and what became of them.

use super::world::is_awaited;
use super::{DemoOptions, Played};
use crate::api::Answer;
use crate::console::{Alert as Shown, Attack as Offer, Demonstration, Followed, Raised};
use crate::engine::Alert;
use crate::event::{Id, IdKey, IdKind, Timestamp};
use crate::render::alert_id;
use crate::runtime::service::clock_time;
use crate::sim::company::fraud::Attack;
use crate::sim::company::occurrence::Occurrence;
use crate::typology::Kind;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The attacks of which there is something to see, as doors and people call them, and what they are. Friendly fraud is seen weeks later.
const OFFERS: [(Attack, &str, &str, &str); 7] = [
    (Attack::CardTesting, "card-testing", "Card testing", "a machine tries many stolen cards at one small shop"),
    (Attack::DeviceFarm, "device-farm", "Device farm", "a few phones act as dozens of customers"),
    (Attack::StolenCard, "stolen-card", "Stolen card", "somebody shops with another's card"),
    (Attack::AccountTakeover, "account-takeover", "Account takeover", "somebody logs in as another, and buys"),
    (Attack::CompromisedShop, "compromised-shop", "Compromised shop", "a shop's cards leak, and are used elsewhere"),
    (Attack::SyntheticIdentities, "synthetic-identities", "Synthetic identities", "customers who do not exist run up debts"),
    (Attack::Laundering, "laundering", "Laundering", "money is moved until nobody knows whose it was"),
];
/// The attack of this name, and the name as it is offered.
///
/// # Errors
/// Where none is offered under it: which ones are.
pub(super) fn offered(name: &str) -> Result<(Attack, &'static str), String> {
    let words = name.replace('_', "-");
    let found = OFFERS.iter().find(|(_, known, ..)| *known == words).map(|(attack, name, ..)| (*attack, *name));
    found.ok_or_else(|| format!("found the attack {name:?}, expected one of {}", OFFERS.map(|(_, name, ..)| name).join(", ")))
}

/// Attacks that are followed; then the oldest is not any more.
const FOLLOWED_MAX: usize = 6;
/// Payments and transfers of an attack that are known again in alerts.
const EVENTS_MAX: usize = 1024;
/// Attacks that are asked for and have not begun.
const ORDERS_MAX: usize = 16;

/// The state that doors, pages and the company share.
pub(in crate::runtime) struct Show {
    what: String,
    key: IdKey,
    orders: Mutex<Vec<Attack>>,
    /// The newest first.
    followed: Mutex<VecDeque<Following>>,
    sent: AtomicU64,
    lost: AtomicU64,
}

struct Following {
    episode: u32,
    /// When its first event was sent, and that event's time.
    first: Option<(Instant, Timestamp)>,
    /// Its payments and transfers, and their times.
    events: HashMap<Id, Timestamp>,
    /// The number of the alert that tells of it.
    alert: Option<(Kind, u64)>,
    told: Followed,
}

impl Show {
    /// What is to be seen of a company whose events get their ids by `key`.
    pub(super) fn new(options: &DemoOptions, key: IdKey) -> Show {
        let pace = if options.speed == 1 { "in real time".to_owned() } else { format!("{} times as fast as the clock", options.speed) };
        let what = format!(
            "A simulated company of {} people plays {pace}: they browse, pay and send money, and now and then somebody commits fraud.",
            crate::topology::grouped(options.people.into())
        );
        let (sent, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Show { what, key, orders: Mutex::default(), followed: Mutex::default(), sent, lost }
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
        let title = OFFERS.iter().find(|(known, ..)| *known == attack).map_or("Attack", |(_, _, title, _)| title);
        let told = Followed { title, begun: clock_time(time), ..Followed::default() };
        let mut followed = self.followed.lock().expect("nobody panics with it");
        followed.truncate(FOLLOWED_MAX - 1);
        followed.push_front(Following { episode, first: None, events: HashMap::new(), alert: None, told });
    }

    /// An event is handed to the service; the attack that it belongs to, if that is followed.
    pub(super) fn sent(&self, occurrence: &Occurrence) -> Option<u32> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let episode = occurrence.trace?.episode;
        self.with(episode, |following| {
            following.first.get_or_insert_with(|| (Instant::now(), occurrence.time));
            if is_awaited(occurrence) && following.events.len() < EVENTS_MAX {
                let id = self.key.id(IdKind::Event, occurrence.id.to_string().as_bytes());
                following.events.insert(id, occurrence.time);
            }
            episode
        })
    }

    /// A payment or transfer of an attack was answered.
    pub(super) fn answered(&self, episode: u32, answer: &Answer) {
        let Answer::Decided { json, .. } = answer else { return };
        let Ok(decision) = serde_json::from_slice::<Value>(json) else { return };
        let stopped = decision["outcome"] != "approve";
        self.with(episode, |Following { told, first, .. }| {
            told.judged += 1;
            told.stopped += u64::from(stopped);
            if stopped && told.first.is_none() {
                let seconds = first.map_or(0.0, |(sent, _)| sent.elapsed().as_secs_f64());
                told.first = Some((told.judged, seconds));
            }
        });
    }

    /// The attack `episode` is over.
    pub(super) fn over(&self, episode: u32) {
        self.with(episode, |following| following.told.over = true);
    }

    /// Looks which of the open `alerts` tell of attacks that are followed. An attack keeps its first one; where another alert has taken that
    /// in, it is that other one.
    pub(in crate::runtime) fn link(&self, alerts: &[Arc<Alert>]) {
        let mut followed = self.followed.lock().expect("nobody panics with it");
        for Following { first, events, alert, told, .. } in followed.iter_mut().filter(|following| !following.events.is_empty()) {
            let tells = |of: &&Arc<Alert>| of.edges.iter().any(|edge| events.contains_key(&edge.event));
            let telling: Vec<&Arc<Alert>> = alerts.iter().filter(tells).collect();
            let key = |alert: &Alert| (alert.kind, alert.number);
            let known = telling.iter().find(|other| Some(key(other)) == *alert);
            let Some(found) = known.or_else(|| telling.iter().min_by_key(|alert| key(alert))) else { continue };
            *alert = Some(key(found));
            let raised = told.raised.get_or_insert_with(|| {
                let begun = first.map_or(found.opened_at, |(_, time)| time);
                let payments = events.values().filter(|time| **time <= found.opened_at).count() as u64;
                Raised { seconds: (found.opened_at - begun).0 as f64 / 1e6, payments, ..Raised::default() }
            });
            (raised.id, raised.others) = (alert_id(found.kind, found.number, None), telling.len() as u64 - 1);
        }
    }

    /// The attack that an event belongs to, of those that are followed.
    pub(in crate::runtime) fn attack_of(&self, event: Id) -> Option<&'static str> {
        let followed = self.followed.lock().expect("nobody panics with it");
        followed.iter().find(|following| following.events.contains_key(&event)).map(|following| following.told.title)
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

    /// What the page says that shows `alerts`.
    pub(in crate::runtime) fn told(&self, alerts: &[Shown]) -> Demonstration {
        let followed = self.followed.lock().expect("nobody panics with it");
        let subject = |id: &str| alerts.iter().find(|alert| alert.id == id).map(|alert| alert.subject.clone()).unwrap_or_default();
        let told = |following: &Following| {
            let raised = following.told.raised.clone().map(|raised| Raised { subject: subject(&raised.id), ..raised });
            Followed { raised, ..following.told.clone() }
        };
        Demonstration {
            what: self.what.clone(),
            lost: self.played().lost,
            attacks: OFFERS.iter().map(|(_, name, title, what)| Offer { name, title, what }).collect(),
            followed: followed.iter().map(told).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Status;
    use crate::engine::{AlertStatus, Edge, Subject};
    use crate::event::Sequence;
    use crate::sim::company::occurrence::{Act, EventName, Sending};
    use crate::sim::company::truth::Trace;
    use crate::typology::Typology;
    use std::time::Duration as Wall;

    const SECOND: i64 = 1_000_000;

    fn show() -> Show {
        let options = DemoOptions { people: 1000, rate: 10, speed: 1, deadline: Wall::from_millis(40), attack: None };
        Show::new(&options, IdKey::FILES)
    }

    fn decided(outcome: &str) -> Answer {
        Answer::Decided { json: json!({ "outcome": outcome }).to_string().into_bytes().into(), status: Status::Evaluated, committed: None }
    }

    /// A transfer of the attack `episode`, or of none, in this second.
    fn transfer(number: u64, episode: Option<u32>, second: i64) -> Occurrence {
        let (from, to, from_bank, to_bank, user, device) = (None, None, None, None, None, None);
        let act = Act::Transfer(Sending { from, to, amount: 1, currency: "EUR", from_bank, to_bank, format: "cash", user, device });
        let trace = episode.map(|episode| Trace { episode, is_crime: true });
        Occurrence { id: EventName { letter: b't', number }, time: Timestamp(second * SECOND), act, trace }
    }

    fn event_id(number: u64) -> Id {
        IdKey::FILES.id(IdKind::Event, format!("t{number}").as_bytes())
    }

    /// An alert about `t{event}`s, opened in this second.
    fn alert(number: u64, events: &[u64], second: i64) -> Arc<Alert> {
        let (nobody, at) = (event_id(0), Timestamp(second * SECOND));
        let edge = |event: &u64| Edge { from: nobody, to: nobody, amount_minor: 1, time: at, event: event_id(*event) };
        Arc::new(Alert {
            sequence: Sequence(1),
            kind: Kind::Fraud,
            number,
            version: 1,
            status: AlertStatus::Open,
            subject: Subject::Entity(IdKind::Device, nobody),
            typology: Typology::SharedDevice,
            typologies: 1,
            score: 500,
            cut: false,
            opened_at: at,
            first_event: at,
            last_event: at,
            events: events.len() as u64,
            money_minor: 1,
            merged_into: None,
            members: Vec::new(),
            edges: events.iter().map(edge).collect(),
        })
    }

    #[test]
    fn attacks_are_asked_for_by_name() {
        let show = show();
        assert!(show.attack("card_testing").is_ok() && show.attack("device-farm").is_ok());
        assert!(show.attack("friendly-fraud").is_err_and(|why| why.contains("card-testing")));
        assert_eq!(show.orders(), [Attack::CardTesting, Attack::DeviceFarm]);
        assert!(show.orders().is_empty());
        for (attack, name, ..) in OFFERS {
            assert_eq!(Attack::parse(name), Some(attack));
        }
        let asked = (0..2 * ORDERS_MAX).filter(|_| show.attack("laundering").is_ok()).count();
        assert_eq!(asked, ORDERS_MAX);
    }

    #[test]
    fn an_attack_is_followed_to_its_first_stop() {
        let show = show();
        show.begun(Attack::CardTesting, 7, Timestamp(0));
        let sent = [None, Some(8), Some(7)].map(|episode| show.sent(&transfer(1, episode, 0)));
        assert_eq!(sent, [None, None, Some(7)]);
        for outcome in ["approve", "approve", "decline", "approve", "review"] {
            show.answered(7, &decided(outcome));
        }
        show.answered(8, &decided("decline"));
        show.over(7);
        let followed = &show.told(&[]).followed[0];
        assert_eq!((followed.judged, followed.stopped, followed.over), (5, 2, true));
        assert_eq!(followed.first.map(|(number, _)| number), Some(3));
        assert_eq!(show.played(), Played { sent: 3, lost: 0 });
        (0..20).for_each(|episode| show.begun(Attack::Laundering, episode, Timestamp(0)));
        assert_eq!(show.told(&[]).followed.len(), FOLLOWED_MAX);
    }

    #[test]
    fn an_attack_is_linked_to_the_alert_that_tells_of_it() {
        let show = show();
        show.begun(Attack::DeviceFarm, 7, Timestamp(0));
        for number in 1..=4 {
            show.sent(&transfer(number, Some(7), 10 * number as i64));
        }
        show.sent(&transfer(5, None, 10));
        assert_eq!((show.attack_of(event_id(4)), show.attack_of(event_id(5))), (Some("Device farm"), None));
        let raised = |alerts: &[Arc<Alert>], shown: &[Shown]| {
            show.link(alerts);
            show.told(shown).followed[0].raised.clone()
        };
        assert_eq!(raised(&[alert(1, &[5], 12)], &[]), None, "it tells of others");
        let shown = Shown { id: "alert-2".to_owned(), subject: "device d1".to_owned(), ..Shown::default() };
        let told = |id: &str, subject: &str, others| {
            let (id, subject) = (id.to_owned(), subject.to_owned());
            Some(Raised { id, subject, seconds: 22.0, payments: 3, others })
        };
        let (second, fourth) = (alert(2, &[5, 2], 32), alert(4, &[4], 45));
        assert_eq!(raised(&[fourth.clone(), second.clone()], &[shown]), told("alert-2", "device d1", 1));
        assert_eq!(raised(&[alert(1, &[1], 50), second], &[]), told("alert-2", "", 1), "it keeps the first that it found");
        assert_eq!(raised(&[fourth], &[]), told("alert-4", "", 0), "the other one was taken in");
    }
}
