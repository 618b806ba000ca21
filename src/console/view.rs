//! What pages show: figures and words, looked up and decided elsewhere.

/// What the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    pub version: &'static str,
    /// Where this process is reached.
    pub url: String,
    /// Why traffic should not come here, if so.
    pub trouble: Option<String>,
    /// Events a second by type, over the last seconds.
    pub events: Vec<Rate>,
    /// Events of each of the last seconds, the oldest first.
    pub history: Vec<f64>,
    pub decisions_per_second: f64,
    /// Answers of the last minute that approve, challenge, ask for a review, decline.
    pub outcomes: [u64; 4],
    /// Answers of the last minute that a stand-in gave.
    pub stand_ins: u64,
    /// Milliseconds of half, and of all but one in a hundred, of the answers of the last minute.
    pub answer_ms: Option<(f64, f64)>,
    pub nodes: u64,
    pub rows: u64,
    /// Records that wait to be judged.
    pub behind: u64,
    /// Open alerts, the weightiest first.
    pub alerts: Vec<Alert>,
    /// The newest first.
    pub attention: Vec<Attention>,
    pub demonstration: Option<Demonstration>,
}

/// Events of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    pub name: &'static str,
    pub per_second: f64,
}

/// An alert that is open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alert {
    /// As streams and doors call it.
    pub id: String,
    /// What is attacked or attacks: `device d1`.
    pub subject: String,
    /// `14:03:07`, of its first and of its last event.
    pub first: String,
    pub last: String,
    pub score: u16,
    pub money: String,
    pub events: u64,
    pub members: u64,
    pub reasons: Vec<String>,
    /// The attack that somebody began and it tells of.
    pub attack: Option<&'static str>,
}

/// A judgement that did not approve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attention {
    /// `14:03:07`.
    pub time: String,
    pub event: String,
    pub from: String,
    pub to: String,
    pub amount: String,
    pub outcome: &'static str,
    pub risk_score: u16,
    pub reasons: Vec<String>,
    /// The attack that somebody began and it belongs to.
    pub attack: Option<&'static str>,
}

/// What a demonstration adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demonstration {
    /// What plays, in a few words: `a company of 1,000,000 people in real time`.
    pub what: String,
    /// Events that the service did not take.
    pub lost: u64,
    pub attacks: Vec<Attack>,
    /// Those that somebody began, the newest first.
    pub followed: Vec<Followed>,
}

/// An attack that can be begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    /// As its door calls it.
    pub name: &'static str,
    pub title: &'static str,
    /// What it is, in some words.
    pub what: &'static str,
}

/// An attack that was begun, and what became of it so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followed {
    pub title: &'static str,
    /// `14:03:07`.
    pub begun: String,
    pub over: bool,
    /// Its payments and transfers that were judged.
    pub judged: u64,
    /// Those that were not approved.
    pub stopped: u64,
    /// Which of them was the first to be stopped, and how many seconds after the first one.
    pub first: Option<(u64, f64)>,
    /// The alert that tells of it.
    pub raised: Option<Raised>,
}

/// The alert that an attack has raised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raised {
    /// As [`Alert::id`].
    pub id: String,
    /// As [`Alert::subject`]; empty where the page does not show the alert any more.
    pub subject: String,
    /// How long after the attack's first event it was opened; negative where it was open before.
    pub seconds: f64,
    /// Payments and transfers of the attack by then.
    pub payments: u64,
    /// How many other alerts tell of it, too.
    pub others: u64,
}
