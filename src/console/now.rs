//! `/`: what happens now.

use super::demonstration::attacks;
use super::html::{Text, grouped, milliseconds, rate};
use super::view::Now;
use std::fmt::Write;

/// Outcomes in the order of the bar, with what they mean.
const OUTCOMES: [(&str, &str); 4] =
    [("approve", "approved"), ("challenge", "asked for proof"), ("review", "held for a person"), ("decline", "declined")];
/// The width of the bar and of the line, in units of their pictures.
const WIDTH: f64 = 1000.0;

impl Now {
    /// The page as a document.
    pub fn page(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        self.write(&mut out).expect("a string takes every text");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Weir – now</title>\n\
             <link rel=\"stylesheet\" href=\"/console/console.css\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>\n<script src=\"/console/console.js\" defer></script>\n\
             </head>\n<body>\n",
        );
        self.header(out)?;
        out.push_str("<main>\n");
        self.tiles(out)?;
        self.outcomes(out)?;
        if let Some(demonstration) = &self.demonstration {
            attacks(demonstration, out)?;
        }
        self.alerts(out)?;
        self.attention(out)?;
        self.next(out)?;
        out.push_str("</main>\n");
        writeln!(out, "<footer>Weir {} · <a href=\"/openapi.json\">API</a> · <a href=\"/metrics\">metrics</a></footer>", self.version)?;
        out.push_str("</body>\n</html>\n");
        Ok(())
    }

    fn header(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "<header>\n<h1>Weir</h1>\n<p>Every payment of a company passes here. Weir keeps one live graph of who pays whom, with which card, \
             device and address, and answers each payment before its deadline: approve, ask for proof, hold or decline – and says why.</p>\n",
        );
        if let Some(demonstration) = &self.demonstration {
            writeln!(out, "<p class=\"note\"><b>Demonstration</b> {}</p>", Text(&demonstration.what))?;
        }
        out.push_str("</header>\n<div id=\"trouble\" data-live>");
        if let Some(trouble) = &self.trouble {
            write!(out, "<p class=\"trouble\">Traffic should not come here: {}</p>", Text(trouble))?;
        }
        out.push_str("</div>\n<p id=\"gone\" class=\"trouble\" hidden>The service does not answer: this is what it said last.</p>\n");
        Ok(())
    }

    fn tiles(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("<section id=\"tiles\" class=\"tiles\" data-live aria-label=\"Figures\">\n");
        let all: f64 = self.events.iter().map(|event| event.per_second).sum();
        write!(out, "<div class=\"tile wide\"><h2>Events a second</h2><p class=\"figure\">{}</p>", rate(all))?;
        line(&self.history, out)?;
        out.push_str("<p class=\"small\">");
        for (place, event) in self.events.iter().enumerate() {
            write!(out, "{}{} {}", if place > 0 { " · " } else { "" }, rate(event.per_second), event.name)?;
        }
        out.push_str("</p></div>\n");
        tile(out, "Decisions a second", &rate(self.decisions_per_second), "payments and transfers, each answered once")?;
        match self.answer_ms {
            Some((median, slow)) => {
                let (median, slow) = (format!("{} ms", milliseconds(median)), milliseconds(slow));
                let stand_ins = match self.stand_ins {
                    0 => "none was late".to_owned(),
                    late => format!("{} late: a stand-in answered", grouped(late)),
                };
                tile(out, "Time to answer", &median, &format!("99 in 100 within {slow} ms; {stand_ins}"))?;
            }
            None => tile(out, "Time to answer", "–", "nobody has asked within a minute")?,
        }
        tile(out, "In the graph", &grouped(self.nodes), &format!("people, cards, devices, shops …, by {} events", grouped(self.rows)))?;
        tile(out, "Waiting", &grouped(self.behind), "in the journal and not judged yet: near 0 is up to date")?;
        out.push_str("</section>\n");
        Ok(())
    }

    fn outcomes(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("<section id=\"outcomes\" data-live>\n<h2>Answers of the last minute</h2>\n");
        let all: u64 = self.outcomes.iter().sum();
        write!(
            out,
            "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 24\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Shares of outcomes\">"
        )?;
        let mut start = 0.0;
        for ((class, _), count) in OUTCOMES.iter().zip(self.outcomes) {
            // Where there is one it is seen.
            let width = if count == 0 { 0.0 } else { (WIDTH * count as f64 / all as f64).max(3.0) };
            write!(out, "<rect class=\"{class}\" x=\"{start:.1}\" y=\"0\" width=\"{width:.1}\" height=\"24\"/>")?;
            start += width;
        }
        out.push_str("</svg>\n<ul class=\"legend\">");
        for ((class, words), count) in OUTCOMES.iter().zip(self.outcomes) {
            let share = if all == 0 { 0.0 } else { 100.0 * count as f64 / all as f64 };
            write!(out, "<li><span class=\"dot {class}\"></span>{} {words} <small>{share:.1} %</small></li>", grouped(count))?;
        }
        out.push_str("</ul>\n</section>\n");
        Ok(())
    }

    fn alerts(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "<section id=\"alerts\" data-live>\n<h2>What needs attention now</h2>\n\
             <p class=\"small lead\">Alerts: where several payments together look wrong, a person is called. Each grows as more comes.</p>\n",
        );
        if self.alerts.is_empty() {
            out.push_str("<p class=\"small\">No alert is open: one opens for each card, device, customer or shop that is under attack.</p>\n</section>\n");
            return Ok(());
        }
        out.push_str(
            "<table>\n<thead><tr><th>From – to</th><th>Alert about</th><th class=\"right\">Score</th><th class=\"right\">At stake</th>\
             <th class=\"right\">Payments</th><th class=\"right\">Members</th><th>Why</th></tr></thead>\n<tbody>\n",
        );
        for alert in &self.alerts {
            write!(
                out,
                "<tr id=\"{}\"><td>{} – {}</td><td class=\"ids\">{}</td><td class=\"right\">{}</td><td class=\"right\">{}</td>\
                 <td class=\"right\">{}</td><td class=\"right\">{}</td><td>",
                Text(&alert.id),
                Text(&alert.first),
                Text(&alert.last),
                Text(&alert.subject),
                alert.score,
                Text(&alert.money),
                grouped(alert.events),
                grouped(alert.members)
            )?;
            for (place, reason) in alert.reasons.iter().enumerate() {
                write!(out, "{}{}", if place > 0 { "; " } else { "" }, Text(reason))?;
            }
            writeln!(out, " <small class=\"ids\">{}</small>{}</td></tr>", Text(&alert.id), Mark(alert.attack))?;
        }
        out.push_str("</tbody>\n</table>\n</section>\n");
        Ok(())
    }

    fn attention(&self, out: &mut String) -> std::fmt::Result {
        out.push_str(
            "<section id=\"attention\" data-live>\n<h2>Newest payments that were not approved</h2>\n\
             <p class=\"small lead\">Answers to single payments, each by the rules that it met.</p>\n",
        );
        if self.attention.is_empty() {
            out.push_str("<p class=\"small\">Nothing: all payments so far were approved.</p>\n</section>\n");
            return Ok(());
        }
        out.push_str(
            "<table>\n<thead><tr><th>Time</th><th>Answer</th><th class=\"right\">Risk</th><th class=\"right\">Amount</th>\
             <th>Who → whom</th><th>Why</th></tr></thead>\n<tbody>\n",
        );
        for entry in &self.attention {
            write!(
                out,
                "<tr><td>{}</td><td><span class=\"tag {}\">{}</span></td><td class=\"right\">{}</td><td class=\"right\">{}</td>\
                 <td class=\"ids\">{} → {}</td><td>",
                Text(&entry.time),
                entry.outcome,
                entry.outcome,
                entry.risk_score,
                Text(&entry.amount),
                Text(&entry.from),
                Text(&entry.to)
            )?;
            for (place, reason) in entry.reasons.iter().enumerate() {
                write!(out, "{}{}", if place > 0 { "; " } else { "" }, Text(reason))?;
            }
            writeln!(out, " <small class=\"ids\">{}</small>{}</td></tr>", Text(&entry.event), Mark(entry.attack))?;
        }
        out.push_str("</tbody>\n</table>\n</section>\n");
        Ok(())
    }

    fn next(&self, out: &mut String) -> std::fmt::Result {
        let url = Text(&self.url);
        out.push_str("<section>\n<h2>Where to go next</h2>\n<div class=\"ways\">\n");
        write!(
            out,
            "<div><h3>You send payments</h3><p>Ask for a decision and wait for it:</p><pre>curl -s {url}/v1/authorizations \\\n  -H \
             'Content-Type: application/json' \\\n  -d '{{\"id\":\"my-1\",\"type\":\"payment\",\n  \"time\":\"'$(date -u +%FT%TZ)'\",\n  \
             \"user\":\"u-1\",\"merchant\":\"m-1\",\n  \"amount\":1250,\"currency\":\"EUR\"}}'</pre></div>\n"
        )?;
        write!(
            out,
            "<div><h3>You look into cases</h3><p>Follow alerts, list them, read a decision:</p><pre>curl -N {url}/v1/streams/alerts\ncurl -s {url}/v1/alerts\n\
             curl -s {url}/v1/decisions/{}</pre></div>\n",
            Text(self.attention.first().map_or("my-1", |entry| entry.event.as_str()))
        )?;
        write!(
            out,
            "<div><h3>You run it</h3><p>Metrics, readiness, every door:</p><pre>curl -s {url}/metrics\ncurl -s {url}/readyz\ncurl -s \
             {url}/openapi.json</pre></div>\n</div>\n</section>\n"
        )
    }
}

/// The attack to which something belongs that somebody began.
struct Mark(Option<&'static str>);

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(attack) => write!(f, " <span class=\"mark\">your {attack}</span>"),
            None => Ok(()),
        }
    }
}

fn tile(out: &mut String, title: &str, figure: &str, small: &str) -> std::fmt::Result {
    writeln!(out, "<div class=\"tile\"><h2>{title}</h2><p class=\"figure\">{figure}</p><p class=\"small\">{small}</p></div>")
}

/// Rates over time as a line over its area.
fn line(history: &[f64], out: &mut String) -> std::fmt::Result {
    write!(out, "<svg class=\"line\" viewBox=\"0 0 {WIDTH} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Last minute\">")?;
    let greatest = history.iter().copied().fold(1.0, f64::max);
    if history.len() > 1 {
        let mut points = String::new();
        for (place, value) in history.iter().enumerate() {
            let x = WIDTH * place as f64 / (history.len() - 1) as f64;
            write!(points, "{x:.0},{:.1} ", 98.0 - 90.0 * value / greatest)?;
        }
        write!(out, "<polygon points=\"0,100 {points}{WIDTH},100\"/><polyline points=\"{}\"/>", points.trim_end())?;
    }
    out.push_str("</svg>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Alert, Attack, Attention, Demonstration, Followed, Raised, Rate};

    const HOSTILE: &str = "\"'><script>alert(1)</script>&";

    fn hostile() -> Now {
        let attention = Attention {
            time: "14:03:07".to_owned(),
            event: HOSTILE.to_owned(),
            from: HOSTILE.to_owned(),
            to: HOSTILE.to_owned(),
            amount: HOSTILE.to_owned(),
            outcome: "decline",
            risk_score: 950,
            reasons: vec![HOSTILE.to_owned(), "a reason".to_owned()],
            attack: Some("Card testing"),
        };
        let (id, subject) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        let followed = Followed {
            title: "Card testing",
            begun: HOSTILE.to_owned(),
            judged: 34,
            stopped: 9,
            first: Some((6, 3.2)),
            over: true,
            raised: Some(Raised { id, subject, seconds: 12.5, payments: 21, others: 2 }),
        };
        Now {
            version: "1.2.3",
            url: HOSTILE.to_owned(),
            trouble: Some(HOSTILE.to_owned()),
            events: vec![Rate { name: "payments", per_second: 123.4 }, Rate { name: "sessions", per_second: 5.0 }],
            history: vec![1.0, 3.0, 2.0],
            decisions_per_second: 130.0,
            outcomes: [900, 60, 30, 10],
            stand_ins: 2,
            answer_ms: Some((0.2, 1.5)),
            nodes: 1_234,
            rows: 5_678,
            behind: 3,
            alerts: vec![Alert {
                id: HOSTILE.to_owned(),
                subject: HOSTILE.to_owned(),
                first: HOSTILE.to_owned(),
                last: HOSTILE.to_owned(),
                score: 870,
                money: HOSTILE.to_owned(),
                events: 12,
                members: 9,
                reasons: vec![HOSTILE.to_owned()],
                attack: None,
            }],
            attention: vec![attention],
            demonstration: Some(Demonstration {
                what: HOSTILE.to_owned(),
                lost: 1,
                attacks: vec![Attack { name: "card-testing", title: "Card testing", what: "a machine tries cards" }],
                followed: vec![followed],
            }),
        }
    }

    /// Names of the elements that are open where each tag stands; a tag that closes another one is a mistake.
    fn check(page: &str) {
        const VOID: [&str; 3] = ["meta", "link", "rect"];
        let mut open: Vec<&str> = Vec::new();
        let mut rest = page.strip_prefix("<!doctype html>").expect("a document");
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>'), "a bare > in {:?}", &rest[..start]);
            let end = start + rest[start..].find('>').expect("every tag ends");
            let tag = &rest[start + 1..end];
            assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains('\''), "{tag}");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "before {:?}", &rest[end..(end + 60).min(rest.len())]);
            } else if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?} stay open");
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let page = hostile().page();
        assert!(!page.contains("<script>"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 26, "every text of the view stands there, as a text");
        check(&page);
    }

    #[test]
    fn a_page_of_nothing_is_whole() {
        let page = Now::default().page();
        check(&page);
        assert!(page.contains("Nothing: all payments so far were approved."));
        assert!(!page.contains("Start an attack"), "no demonstration, no button");
    }

    #[test]
    fn shares_fill_the_bar() {
        let page = hostile().page();
        for part in [
            "<rect class=\"approve\" x=\"0.0\" y=\"0\" width=\"900.0\"",
            "<rect class=\"decline\" x=\"990.0\" y=\"0\" width=\"10.0\"",
            "900 approved <small>90.0 %</small>",
            "<td>34 judged</td><td><b>9</b> <small>the first was its payment 6, 3.2 s after its first event</small></td>",
            "<small>12.5 s after its first event, at its payment 21; 2 others since</small></td></tr>",
            " <span class=\"mark\">your Card testing</span></td></tr>",
            "<p class=\"figure\">128</p>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
