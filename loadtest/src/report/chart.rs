//! Line charts as SVG text: no script, colours by class, so that the page's light and dark apply.

use super::grouped;
use std::fmt::Write;

/// One axis: from, to, and whether it is logarithmic.
#[derive(Clone, Debug)]
pub struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    /// Where a line is drawn and what is written there.
    ticks: Vec<(f64, String)>,
    title: &'static str,
}

impl Axis {
    /// A linear axis from 0 to at least `to`, with round ticks.
    pub fn linear(to: f64, title: &'static str) -> Axis {
        let step = round_step(to.max(1e-9) / 5.0);
        let count = (to / step).ceil().max(1.0);
        let ticks = (0..=count as u32).map(|tick| f64::from(tick) * step).map(|at| (at, plain(at))).collect();
        Axis { from: 0.0, to: count * step, is_log: false, ticks, title }
    }

    /// A linear axis that ends where the data do: for time.
    pub fn until(to: f64, title: &'static str) -> Axis {
        let mut axis = Axis::linear(to, title);
        axis.to = to.max(1e-9);
        axis.ticks.retain(|(at, _)| *at <= to);
        axis
    }

    /// A logarithmic axis over whole decades around `from..to`, for milliseconds.
    pub fn decades(from: f64, to: f64, title: &'static str) -> Axis {
        let low = from.max(1e-3).log10().floor();
        let high = to.max(1e-3).log10().ceil().max(low + 1.0);
        let ticks = (low as i32..=high as i32).map(|power| 10f64.powi(power)).map(|at| (at, time_tick(at))).collect();
        Axis { from: 10f64.powf(low), to: 10f64.powf(high), is_log: true, ticks, title }
    }

    /// For shares of requests: each nine takes as much room as the one before it; values are `1 / (1 − share)`.
    pub fn nines(to: f64) -> Axis {
        let names = [
            (1.0, "0"),
            (2.0, "50 %"),
            (10.0, "90 %"),
            (100.0, "99 %"),
            (1e3, "99.9 %"),
            (1e4, "99.99 %"),
            (1e5, "99.999 %"),
            (1e6, "99.9999 %"),
        ];
        let ticks = names.iter().filter(|(at, _)| *at <= to).map(|(at, name)| (*at, (*name).to_owned())).collect();
        Axis { from: 1.0, to: to.max(10.0), is_log: true, ticks, title: "share of decisions that were as fast" }
    }

    /// Where `value` lies, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = match self.is_log {
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        place.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least * 0.999).unwrap_or(power * 10.0)
}

fn plain(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value as u64) } else { format!("{value}") }
}

fn time_tick(ms: f64) -> String {
    match ms {
        _ if ms < 0.999 => format!("{:.0} µs", ms * 1000.0),
        _ if ms < 999.0 => format!("{ms:.0} ms"),
        _ => format!("{:.0} s", ms / 1000.0),
    }
}

/// A line: its name, the class that colours it, and its points; a gap where there is no value.
pub struct Line<'a> {
    pub name: &'a str,
    pub class: &'a str,
    pub points: Vec<(f64, Option<f64>)>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 44.0;

/// A chart of `lines`; `marks` are values of x with a word, drawn as upright lines (a step begins), `bound` a value of y that is a limit.
pub fn chart(x: &Axis, y: &Axis, lines: &[Line<'_>], marks: &[(f64, String)], bound: Option<(f64, &str)>) -> String {
    let mut svg = String::new();
    draw(&mut svg, x, y, lines, marks, bound).expect("a text takes every character");
    svg
}

fn draw(out: &mut String, x: &Axis, y: &Axis, lines: &[Line<'_>], marks: &[(f64, String)], bound: Option<(f64, &str)>) -> std::fmt::Result {
    let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let up = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    write!(out, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, super::html::escaped(y.title))?;
    for (value, name) in &y.ticks {
        let at = up(*value);
        write!(out, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#)?;
        write!(out, r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#, LEFT - 8.0, at + 4.0)?;
    }
    for (value, name) in &x.ticks {
        let at = across(*value);
        write!(out, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{floor}" y2="{:.1}"/>"#, floor + 5.0)?;
        // A name at the very end would hang over the edge.
        let anchor = if at > right - 20.0 { "end" } else { "middle" };
        write!(out, r#"<text class="tick" x="{at:.1}" y="{:.1}" text-anchor="{anchor}">{name}</text>"#, floor + 19.0)?;
    }
    let middle = (LEFT + right) / 2.0;
    write!(out, r#"<text class="axis" x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>"#, HEIGHT - 6.0, x.title)?;
    for (value, word) in marks {
        let at = across(*value);
        write!(out, r#"<line class="mark" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{floor}"/>"#)?;
        write!(out, r#"<text class="tick" x="{:.1}" y="{:.1}">{}</text>"#, at, TOP - 8.0, super::html::escaped(word))?;
    }
    if let Some((value, word)) = bound.filter(|(value, _)| *value >= y.from && *value <= y.to) {
        let at = up(value);
        write!(out, r#"<line class="bound" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#)?;
        write!(
            out,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            right - 2.0,
            at - 4.0,
            super::html::escaped(word)
        )?;
    }
    for line in lines {
        let mut path = String::new();
        let mut is_down = false;
        for (at, value) in &line.points {
            match value {
                Some(value) => {
                    write!(path, "{}{:.1} {:.1}", if is_down { "L" } else { "M" }, across(*at), up(*value))?;
                    is_down = true;
                }
                None => is_down = false,
            }
        }
        if !path.is_empty() {
            write!(out, r#"<path class="line {}" d="{path}"><title>{}</title></path>"#, line.class, super::html::escaped(line.name))?;
        }
        // A value alone between two gaps would be a path without length.
        if line.points.iter().filter(|(_, value)| value.is_some()).count() == 1
            && let Some((at, Some(value))) = line.points.iter().find(|(_, value)| value.is_some())
        {
            write!(out, r#"<circle class="dot {}" cx="{:.1}" cy="{:.1}" r="3"/>"#, line.class, across(*at), up(*value))?;
        }
    }
    out.push_str("</svg><p class=\"legend\">");
    for line in lines {
        write!(out, r#"<span><i class="{}"></i>{}</span>"#, line.class, super::html::escaped(line.name))?;
    }
    out.push_str("</p>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round_and_hold_their_data() {
        let axis = Axis::linear(15_300.0, "");
        assert_eq!((axis.to, axis.ticks.last().map(|tick| tick.1.clone())), (20_000.0, Some("20,000".to_owned())));
        let axis = Axis::decades(0.41, 37.0, "");
        let names: Vec<&str> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(names, ["100 µs", "1 ms", "10 ms", "100 ms"]);
        assert!((axis.place(1.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!((axis.place(1e9), axis.place(0.0)), (1.0, 0.0));
        assert!(Axis::linear(0.0, "").ticks.len() >= 2, "nothing happened is no reason to draw nothing");
        assert_eq!(Axis::until(12.0, "").to, 12.0);
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let points = vec![(0.0, Some(1.0)), (1.0, Some(1.0)), (2.0, None), (3.0, Some(1.0)), (4.0, Some(1.0))];
        let svg = chart(&Axis::until(4.0, "s"), &Axis::linear(2.0, "y"), &[Line { name: "a<b", class: "c", points }], &[], None);
        let path = svg.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path");
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 2), "{path}");
        assert!(svg.contains("a&lt;b"));
    }
}
