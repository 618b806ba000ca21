//! What an alert holds, in a sentence for a report.

use super::{Account, Evidence, Role, grouped_money};
use crate::event::{Duration, Id, Timestamp};
use crate::typology::Typology;
use jiff::tz::TimeZone;

/// Accounts that are named one by one; of more their number is said.
const NAMED_MAX: usize = 3;

type Name<'n> = &'n dyn Fn(Id) -> String;

impl Evidence<'_> {
    /// When, how much, from whom, through whom and to whom; and what of the alert is not seen here.
    pub fn sentence(&self, name: Name) -> String {
        let Some((first, last)) = self.span() else {
            return format!("No transfer of this alert is kept: {}.", self.alert.typology.sentence());
        };
        let mut said = when(first, last);
        said += &self.moved(name);
        if last > first {
            said += &format!(" within {}", length(self.duration()));
        }
        said += &self.sums().unwrap_or_default();
        if let (Some(percent), true) = (self.passed_percent(), self.with(Role::Intermediary).next().is_some()) {
            said += &match percent {
                100 => "; all of what came in went on".to_owned(),
                101.. => format!("; more went on than came in ({percent} %)"),
                _ => format!("; {percent} % of what came in went on"),
            };
        } else if let (Some(percent), true) = (self.conserved_percent(), self.returned_minor() > 0) {
            said += &format!("; {percent} % of it came back");
        }
        said += &self.outside(name).unwrap_or_default();
        said.push('.');
        let (shown, all) = (self.edges.len() as u64, self.alert.events);
        if shown < all {
            said += &format!(" These are {shown} of its {all} transfers.");
        } else if self.alert.cut {
            said += " There is more than was looked at.";
        }
        said
    }

    /// `EUR 12,400.00 went in 8 transfers from a, b and c through d to 3 others`.
    fn moved(&self, name: Name) -> String {
        let [sources, middle, sinks] = Role::ALL.map(|role| self.with(role).collect::<Vec<&Account>>());
        let between = self.graph.edge_count();
        if between == 0 {
            let all: Vec<&Account> = self.accounts().collect();
            let moved: i128 = all.iter().map(|account| account.outside_minor).sum();
            return format!("{} moved{} between {} and the world outside", self.money(moved), transfers(self.edges.len()), who(&all, name));
        }
        let sent = match sources.is_empty() {
            true => self.accounts().map(|account| account.paid_minor).sum(),
            false => self.sent_minor(),
        };
        let mut said = format!("{} went{}", self.money(sent), transfers(between));
        match (sources.is_empty(), middle.is_empty()) {
            (true, _) => said += &format!(" round among {}", who(&middle, name)),
            (false, true) => said += &format!(" from {}", who(&sources, name)),
            (false, false) => said += &format!(" from {} through {}", who(&sources, name), who(&middle, name)),
        }
        if !sinks.is_empty() {
            // `others` where a number stands for them, and somebody was spoken of.
            let others = if sinks.len() > NAMED_MAX { format!("{} others", sinks.len()) } else { who(&sinks, name) };
            said += &format!(" to {others}");
        }
        match (self.returned_minor() > 0, sinks.is_empty()) {
            (true, true) => said += " and back",
            (true, false) => said += " and in part back",
            (false, _) => {}
        }
        said
    }

    /// Where sums just below the limit are what was found: which sums these are.
    fn sums(&self) -> Option<String> {
        if self.alert.typology != Typology::Structuring {
            return None;
        }
        let amounts = || self.edges().map(|edge| i128::from(edge.amount_minor));
        let (least, most) = (amounts().min()?, amounts().max()?);
        Some(match least == most {
            true => format!(", each of {}", self.money(least)),
            false => format!(", each of {} to {}", self.money(least), grouped_money(most, self.currency)),
        })
    }

    /// What went to or came from the world outside, beside what went from account to account.
    fn outside(&self, name: Name) -> Option<String> {
        let with: Vec<&Account> = self.accounts().filter(|account| account.outside_minor != 0).collect();
        if with.is_empty() || self.graph.edge_count() == 0 {
            return None;
        }
        let moved: i128 = with.iter().map(|account| account.outside_minor).sum();
        Some(format!("; besides, {} moved between {} and the world outside", self.money(moved), who(&with, name)))
    }

    fn money(&self, minor: i128) -> String {
        format!("{} {}", self.currency.code(), grouped_money(minor, self.currency))
    }
}

fn transfers(count: usize) -> String {
    if count == 1 { " in 1 transfer".to_owned() } else { format!(" in {count} transfers") }
}

/// `a`, `a and b`, `a, b and c`, `5 accounts`.
fn who(accounts: &[&Account], name: Name) -> String {
    let names = || accounts.iter().map(|account| name(account.id));
    match accounts {
        [] => "nobody".to_owned(),
        [one] => name(one.id),
        [before @ .., last] if accounts.len() <= NAMED_MAX => {
            let before: Vec<String> = names().take(before.len()).collect();
            format!("{} and {}", before.join(", "), name(last.id))
        }
        _ => format!("{} accounts", accounts.len()),
    }
}

/// `Between 3 March 2025 09:12 and 4 March 2025 18:40 (UTC) `.
fn when(first: Timestamp, last: Timestamp) -> String {
    let form = |time: Timestamp, form: &str| match jiff::Timestamp::from_microsecond(time.0) {
        Ok(moment) => moment.to_zoned(TimeZone::UTC).strftime(form).to_string(),
        Err(_) => time.to_string(),
    };
    let (day, minute) = ("%-d %B %Y", "%H:%M");
    if form(first, day) != form(last, day) {
        let whole = |time| form(time, &format!("{day} {minute}"));
        return format!("Between {} and {} (UTC) ", whole(first), whole(last));
    }
    if form(first, minute) == form(last, minute) {
        return format!("On {} at {} (UTC) ", form(first, day), form(first, minute));
    }
    format!("On {} between {} and {} (UTC) ", form(first, day), form(first, minute), form(last, minute))
}

/// A length of time in whole units, rounded up, of which there are two at least.
fn length(duration: Duration) -> String {
    for (unit, name) in [(Duration::DAY, "days"), (Duration::HOUR, "hours"), (Duration::MINUTE, "minutes")] {
        // Hours are said up to four days.
        let least = if unit == Duration::DAY { 4 * unit.0 } else { 2 * unit.0 };
        if duration.0 >= least {
            return format!("{} {name}", duration.0.div_euclid(unit.0) + i64::from(duration.0 % unit.0 > 0));
        }
    }
    let seconds = duration.0.div_euclid(Duration::SECOND.0) + i64::from(duration.0 % Duration::SECOND.0 > 0);
    if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") }
}
