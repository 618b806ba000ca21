//! What a demonstration adds to a page: attacks to begin, and what became of those that were.

use super::html::{Text, grouped};
use super::view::{Attack, Demonstration, Followed, Raised};
use std::fmt::{Result, Write};

/// The buttons, and the way of each attack from its first event to those whom it was stopped by and the alert that it raised.
pub(super) fn attacks(demonstration: &Demonstration, out: &mut String) -> Result {
    out.push_str("<section>\n<h2>Start an attack, and follow it</h2>\n<div class=\"buttons\">\n");
    for Attack { name, title, what } in &demonstration.attacks {
        writeln!(
            out,
            "<form method=\"post\" action=\"/v1/demo/attacks/{name}\"><button><b>{title}</b><small>{what}</small></button></form>"
        )?;
    }
    out.push_str("</div>\n<div id=\"followed\" data-live>\n");
    if demonstration.followed.is_empty() {
        out.push_str(
            "<p class=\"small\">Press one: crooks mix with the honest customers, and nothing in what they send says so. Here you see which of \
             their payments the rules stop, and which alert calls a person.</p>\n",
        );
    } else {
        out.push_str(
            "<table class=\"followed\">\n<thead><tr><th>Attack</th><th>Its payments</th><th>Stopped by a rule</th><th>Alert for a person</th>\
             </tr></thead>\n<tbody>\n",
        );
        for followed in &demonstration.followed {
            row(followed, out)?;
        }
        out.push_str("</tbody>\n</table>\n");
    }
    if demonstration.lost > 0 {
        writeln!(out, "<p class=\"trouble\">{} events of the company were not taken</p>", grouped(demonstration.lost))?;
    }
    out.push_str("</div>\n</section>\n");
    Ok(())
}

fn row(followed: &Followed, out: &mut String) -> Result {
    let Followed { title, begun, over, judged, stopped, first, raised } = followed;
    let state = if *over { "over" } else { "goes on" };
    write!(out, "<tr><td><b>{title}</b> <small>since {}, {state}</small></td><td>{} judged</td><td>", Text(begun), grouped(*judged))?;
    match first {
        Some((number, seconds)) => {
            let number = grouped(*number);
            write!(
                out,
                "<b>{}</b> <small>the first was its payment {number}, {seconds:.1} s after its first event</small>",
                grouped(*stopped)
            )?;
        }
        None => out.push_str("none so far"),
    }
    out.push_str("</td><td>");
    match raised {
        Some(raised) => alert(raised, out)?,
        None => out.push_str("none so far"),
    }
    out.push_str("</td></tr>\n");
    Ok(())
}

fn alert(raised: &Raised, out: &mut String) -> Result {
    let Raised { id, subject, seconds, payments, others } = raised;
    match subject.as_str() {
        "" => write!(out, "{}", Text(id))?,
        subject => write!(out, "<a href=\"#{0}\">{0}</a> about {1}", Text(id), Text(subject))?,
    }
    match *seconds {
        ..0.0 => out.push_str(" <small>open before it began"),
        seconds => write!(out, " <small>{seconds:.1} s after its first event, at its payment {}", grouped(*payments))?,
    }
    match others {
        0 => {}
        1 => out.push_str("; another one since"),
        others => write!(out, "; {} others since", grouped(*others))?,
    }
    out.push_str("</small>");
    Ok(())
}
