//! What the people of a world do.

use super::super::chance::mix;
use super::{Happening, Oddity, Stream, Text};
use crate::event::{Action, Duration, KycRisk, LabelSource, PaymentStatus, Timestamp, Verdict};

/// Somebody pays with a stolen card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attack {
    victim: u64,
    /// Names the attacker's device and address.
    number: u64,
    payments_left: u64,
}

const SCENARIOS: [&str; 3] = ["card_testing", "account_takeover", "stolen_card"];
const CATEGORIES: [&str; 8] = ["hats", "shoes", "lamps", "books", "bikes", "plants", "games", "tools"];
const BRANDS: [&str; 4] = ["norrsken", "alba", "kiln", "orrery"];
const BANKS: [&str; 4] = ["bank-nord", "bank-syd", "bank-oest", "bank-vest"];
const CHANNELS: [&str; 3] = ["web", "app", "in_store"];
const MCCS: [u16; 6] = [5411, 5651, 5812, 5732, 4121, 7995];
/// The shares in a hundred of people at home in a country with its currency; for the last two the default topology knows no rate.
const HOMES: [(u64, &str, &str); 4] = [(70, "DE", "EUR"), (90, "SE", "SEK"), (96, "NO", "NOK"), (100, "JP", "JPY")];

impl Stream {
    /// What somebody does at `clock`.
    pub(super) fn activity(&mut self, clock: Timestamp) -> Happening {
        if self.chance.happens(self.world.oddities.unknown_targets) {
            return self.about_nothing(clock);
        }
        // Catalogue and profiles change a little all the time.
        match self.chance.below(1000) {
            0..15 => return self.item(clock),
            15..25 => return self.profile(clock),
            25 => {
                let user = self.person();
                return self.happening('e', clock, Text::Erase { user: name_user(user) });
            }
            _ => {}
        }
        let mix = self.world.mix;
        let choice = self.chance.below(10_000) as u32;
        if choice < mix.payments {
            self.payment(clock)
        } else if choice < mix.payments + mix.transfers {
            self.transfer(clock)
        } else if choice < mix.payments + mix.transfers + mix.sessions {
            self.session(clock)
        } else {
            self.interaction(clock)
        }
    }

    fn happening(&mut self, letter: char, time: Timestamp, body: Text) -> Happening {
        Happening { id: self.new_id(letter), time, body, oddity: Oddity::None }
    }

    /// Somebody: half of the time one of the busy.
    fn person(&mut self) -> u64 {
        if self.chance.happens(5000) { self.chance.rank(self.world.people) } else { self.chance.below(self.world.people) }
    }

    /// A merchant: often the one where everybody buys.
    fn merchant(&mut self) -> u64 {
        if self.chance.happens(1500) { 0 } else { self.chance.rank(self.world.merchants) }
    }

    /// An item of the person's taste, which is a category, or any other.
    fn item_for(&mut self, person: u64) -> u64 {
        let rank = self.chance.rank(self.world.items);
        if self.chance.happens(3000) {
            return rank;
        }
        let categories = CATEGORIES.len() as u64;
        let liked = rank - rank % categories + mix(person) % categories;
        liked.min(self.world.items - 1)
    }

    fn device(&mut self, person: u64) -> Option<String> {
        match self.chance.below(100) {
            0..85 => Some(format!("d{person}")),
            85..90 => Some(format!("d{person}b")),
            // Shared by many, as in a library.
            90..94 => Some(format!("kiosk{}", self.chance.below(3))),
            _ => None,
        }
    }

    fn ip(&mut self, person: u64) -> Option<String> {
        match self.chance.below(100) {
            0..55 => Some(format!("10.0.{}.{}", person / 250, person % 250)),
            // The exits of mobile networks.
            55..90 => Some(format!("172.16.0.{}", self.chance.rank(4))),
            _ => None,
        }
    }

    fn payment(&mut self, clock: Timestamp) -> Happening {
        if self.attack.is_none() && self.chance.happens(self.world.crime.attacks) {
            let attack = Attack { victim: self.person(), number: self.serial, payments_left: 2 + self.chance.below(9) };
            self.attack = Some(attack);
        }
        let attack = self.attack.filter(|_| self.chance.happens(5000));
        let person = attack.map_or_else(|| self.person(), |attack| attack.victim);
        let merchant = self.merchant();
        let (_, country, currency) = home(person);
        // Cheap and dear shops, by powers of two; within one shop a factor of four.
        let usual = 50 << (mix(merchant) % 10);
        let mut amount = usual * self.chance.between(64, 255) / 128;
        let (mut device, mut ip) = (self.device(person), self.ip(person));
        if let Some(attack) = &attack {
            amount *= 3;
            device = Some(format!("burner{}", attack.number));
            ip = Some(format!("192.168.{}.{}", attack.number / 250 % 250, attack.number % 250));
        }
        let items = if self.chance.happens(3000) { 1 + self.chance.below(3) } else { 0 };
        let body = Text::Payment {
            user: name_user(person),
            merchant: format!("m{merchant}"),
            device,
            card: self.chance.happens(9000).then(|| format!("c{person}.{}", self.serial % 2)),
            ip,
            amount,
            currency,
            mcc: self.chance.happens(9000).then(|| MCCS[(mix(merchant) >> 32) as usize % MCCS.len()]),
            country: self.chance.happens(8000).then_some(country),
            channel: self.chance.happens(9000).then(|| *self.chance.pick(&CHANNELS)),
            session: self.chance.happens(4000).then(|| format!("s{person}.{}", self.serial / 512)),
            items: (0..items).map(|_| format!("i{}", self.item_for(person))).collect(),
        };
        let happening = self.happening('p', clock, body);
        self.results(clock, &happening.id, amount);
        match attack {
            Some(attack) => {
                let left = attack.payments_left - 1;
                self.attack = (left > 0).then_some(Attack { payments_left: left, ..attack });
                self.fraud_labels(clock, &happening.id);
            }
            None => self.genuine_labels(clock, &happening.id),
        }
        happening
    }

    /// What becomes of a payment, as far as its source tells.
    fn results(&mut self, clock: Timestamp, target: &str, amount: i64) {
        let soon = Duration::MINUTE;
        match self.chance.below(100) {
            0..12 => {
                let due = self.later(clock, soon);
                self.promise_result(due, target, PaymentStatus::Authorized, None, None);
                if self.chance.happens(5000) {
                    let due = self.later(due, Duration::DAY);
                    self.promise_result(due, target, PaymentStatus::Captured, Some(amount), None);
                }
            }
            12..14 => {
                let due = self.later(clock, soon);
                self.promise_result(due, target, PaymentStatus::DeclinedByIssuer, None, Some("insufficient_funds"));
            }
            14 => {
                let due = self.later(clock, self.world.crime.label_delay_max);
                self.promise_result(due, target, PaymentStatus::Refunded, Some(amount / 2), None);
            }
            15 => {
                let status = *self.chance.pick(&[PaymentStatus::ChallengePassed, PaymentStatus::ChallengeFailed, PaymentStatus::Abandoned]);
                let due = self.later(clock, soon);
                self.promise_result(due, target, status, None, None);
            }
            _ => {}
        }
    }

    /// How a fraud becomes known: mostly by a chargeback, sometimes by a rule before; a part turns out to have been genuine after all.
    fn fraud_labels(&mut self, clock: Timestamp, target: &str) {
        let crime = self.world.crime;
        let scenario = Some(*self.chance.pick(&SCENARIOS));
        if self.chance.happens(1500) {
            let due = self.later(clock, Duration::HOUR);
            self.promise_label(due, target, Verdict::Fraud, LabelSource::Rule, scenario);
        }
        if self.chance.happens(8500) {
            let due = self.later(clock, crime.label_delay_max);
            self.promise_label(due, target, Verdict::Fraud, LabelSource::Chargeback, scenario);
            if self.chance.happens(crime.overruled) {
                let due = self.later(due, crime.label_delay_max);
                self.promise_label(due, target, Verdict::Legitimate, LabelSource::Analyst, None);
            }
        }
    }

    /// Genuine payments are labelled, too: by a rule that errs, by an analyst who cleared them, and against an analyst in vain.
    fn genuine_labels(&mut self, clock: Timestamp, target: &str) {
        let delay_max = self.world.crime.label_delay_max;
        match self.chance.below(1000) {
            0..8 => {
                let due = self.later(clock, Duration::HOUR);
                self.promise_label(due, target, Verdict::Fraud, LabelSource::Rule, None);
                let due = self.later(due, delay_max);
                self.promise_label(due, target, Verdict::Legitimate, LabelSource::Rule, None);
            }
            8..14 => {
                let due = self.later(clock, delay_max);
                self.promise_label(due, target, Verdict::Legitimate, LabelSource::Analyst, None);
                if self.chance.happens(5000) {
                    let due = self.later(due, delay_max);
                    self.promise_label(due, target, Verdict::Fraud, LabelSource::Chargeback, None);
                }
            }
            _ => {}
        }
    }

    fn transfer(&mut self, clock: Timestamp) -> Happening {
        let laundering = self.chance.happens(self.world.crime.laundering);
        let payer = self.person();
        // Few accounts collect what is laundered.
        let payee = if laundering { self.chance.below(3.min(self.world.people)) } else { self.person() };
        let (from, to) = match self.chance.below(100) {
            0..5 => (None, Some(payee)),
            5..10 => (Some(payer), None),
            10..13 => (Some(payer), Some(payer)),
            _ => (Some(payer), Some(payee)),
        };
        let bank = |account: u64| BANKS[mix(account) as usize % BANKS.len()];
        let amount = if laundering { self.chance.between(900_000, 999_999) } else { self.chance.between(100, 300_000) };
        let (_, _, currency) = home(payer);
        let body = Text::Transfer {
            from: from.map(name_account),
            to: to.map(name_account),
            amount,
            currency,
            from_bank: from.map(bank),
            to_bank: to.filter(|_| self.chance.happens(9000)).map(bank),
            format: self.chance.happens(7000).then_some("sepa_instant"),
            user: from.filter(|_| self.chance.happens(6000)).map(name_user),
            device: self.device(payer),
        };
        let happening = self.happening('t', clock, body);
        if laundering {
            let due = self.later(clock, self.world.crime.label_delay_max);
            self.promise_label(due, &happening.id, Verdict::Laundering, LabelSource::Analyst, Some("structuring"));
        }
        happening
    }

    fn session(&mut self, clock: Timestamp) -> Happening {
        let person = self.person();
        let actions = [Some("login"), Some("login"), Some("login"), Some("password_reset"), Some("signup"), None];
        let body = Text::Session {
            user: name_user(person),
            device: self.device(person),
            ip: self.ip(person),
            action: *self.chance.pick(&actions),
            session: self.chance.happens(9000).then(|| format!("s{person}.{}", self.serial / 512)),
        };
        self.happening('s', clock, body)
    }

    fn interaction(&mut self, clock: Timestamp) -> Happening {
        let person = self.person();
        let item = self.item_for(person);
        let actions = [Action::View, Action::View, Action::View, Action::Click, Action::Click, Action::Save, Action::Cart, Action::Dismiss];
        let body = Text::Interaction {
            user: name_user(person),
            item: format!("i{item}"),
            action: *self.chance.pick(&actions),
            merchant: self.chance.happens(7000).then(|| format!("m{}", item % self.world.merchants)),
            dwell_ms: self.chance.happens(5000).then(|| self.chance.below(120_000) as u32),
            surface: self.chance.happens(8000).then(|| *self.chance.pick(&["home", "search", "lookbook"])),
            session: self.chance.happens(8000).then(|| format!("s{person}.{}", self.serial / 512)),
            device: self.device(person),
            experiment: self.chance.happens(500).then_some("ranking-2"),
            propensity: self.chance.happens(500).then(|| self.chance.between(1, 64) as u8),
        };
        let happening = self.happening('v', clock, body);
        if self.chance.happens(20) {
            let due = self.later(clock, Duration::HOUR);
            self.promise_label(due, &happening.id, Verdict::Fraud, LabelSource::Rule, Some("bot"));
        }
        happening
    }

    fn item(&mut self, clock: Timestamp) -> Happening {
        let item = self.chance.below(self.world.items);
        let category = CATEGORIES[item as usize % CATEGORIES.len()];
        let body = Text::Item {
            item: format!("i{item}"),
            merchant: self.chance.happens(9000).then(|| format!("m{}", item % self.world.merchants)),
            category: Some(category),
            brand: self.chance.happens(8000).then(|| BRANDS[mix(item) as usize % BRANDS.len()]),
            price: self.chance.happens(9000).then(|| self.chance.between(100, 50_000)),
            title: self.chance.happens(9000).then(|| format!("{category} № {item}")),
        };
        self.happening('c', clock, body)
    }

    fn profile(&mut self, clock: Timestamp) -> Happening {
        let person = self.person();
        let body = Text::Profile {
            user: name_user(person),
            name: self.chance.happens(8000).then(|| format!("Åsa \"{person}\" Öberg")),
            country: self.chance.happens(8000).then_some(home(person).1),
            consent_personalization: self.chance.happens(7000).then(|| self.chance.happens(8000)),
            kyc_risk: self.chance.happens(5000).then(|| *self.chance.pick(&KycRisk::ALL)),
        };
        self.happening('k', clock, body)
    }

    /// A label or a result whose target nobody sent.
    fn about_nothing(&mut self, clock: Timestamp) -> Happening {
        let target = self.new_id('x');
        let body = if self.chance.happens(7000) {
            Text::Label { target, label: Verdict::Fraud, source: LabelSource::Chargeback, scenario: None, user: None, from: None }
        } else {
            Text::PaymentResult { target, status: PaymentStatus::Captured, amount: None, reason: None, user: None }
        };
        Happening { id: self.new_id('l'), time: clock, body, oddity: Oddity::UnknownTarget }
    }
}

fn name_user(person: u64) -> String {
    format!("u{person}")
}

fn name_account(person: u64) -> String {
    format!("a{person}")
}

/// Share, country and currency of the person's home.
fn home(person: u64) -> (u64, &'static str, &'static str) {
    let place = mix(person ^ 0x5eed) % 100;
    *HOMES.iter().find(|(share, _, _)| place < *share).expect("the last home takes everybody")
}
