//! The way of an event through a topology, as boxes and arrows: one drawing, as text and as SVG.

use super::Topology;
use super::check::grouped;
use crate::graph::Family;
use crate::ingress::{Format, SourceOptions};
use std::fmt::Write;

/// Sources that are drawn one by one; of more the last box tells how many.
const SOURCES_DRAWN_MAX: usize = 4;

/// One box.
#[derive(Clone, Debug)]
struct Station {
    title: String,
    lines: Vec<String>,
}

/// Boxes side by side; every box of a level leads to every box of the next. What stands at the side is fed by the level and leads nowhere.
#[derive(Clone, Debug)]
struct Level {
    stations: Vec<Station>,
    side: Option<Station>,
}

/// The levels of a topology, in the order an event passes them.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    levels: Vec<Level>,
}

impl Picture {
    /// The picture of `topology`.
    pub fn of(topology: &Topology) -> Picture {
        Picture {
            levels: vec![
                Level { stations: sources(&topology.sources), side: None },
                validate(topology),
                Level { stations: vec![journal(topology)], side: None },
                Level { stations: vec![engine(topology)], side: None },
                Level { stations: vec![output_log(topology)], side: None },
            ]
            .into_iter()
            .chain(transactions(topology))
            .chain([Level { stations: topics(topology), side: None }])
            .collect(),
        }
    }
}

fn station(title: impl Into<String>, lines: Vec<String>) -> Station {
    Station { title: title.into(), lines }
}

fn sources(sources: &[SourceOptions]) -> Vec<Station> {
    let drawn = if sources.len() > SOURCES_DRAWN_MAX { SOURCES_DRAWN_MAX - 1 } else { sources.len() };
    let mut stations: Vec<Station> = sources[..drawn].iter().map(source).collect();
    if drawn < sources.len() {
        stations.push(station(format!("{} more", sources.len() - drawn), vec!["sources".to_string()]));
    }
    if stations.is_empty() {
        stations.push(station("no source", vec!["nothing will come in".to_string()]));
    }
    stations
}

fn source(source: &SourceOptions) -> Station {
    if let (Some(topic), Some(fresh_max)) = (&source.topic, source.fresh_max) {
        let lines = vec![format!("topic {topic}"), "events, one JSON object a record".to_string(), format!("fresh within {fresh_max}")];
        return station(format!("source {}", source.name), lines);
    }
    let mut lines = Vec::new();
    match &source.format {
        Format::Wire => lines.push("JSON lines".to_string()),
        Format::Table(mapping) => {
            lines.push(format!("table of {} events", mapping.event.name()));
            if let Some(label) = &mapping.label {
                lines.push(format!("labels after {}", label.delay));
            }
            if mapping.catalogue.is_some() {
                lines.push("items announced first".to_string());
            }
        }
    }
    lines.push(match source.files.len() {
        0 => "files: from the command line".to_string(),
        1 => "1 file".to_string(),
        count => format!("{count} files"),
    });
    station(format!("source {}", source.name), lines)
}

fn validate(topology: &Topology) -> Level {
    let input = topology.input;
    let lines = vec![
        "refuses, never guesses; one bad record stops nothing".to_string(),
        format!("lines up to {} bytes, ids up to {}", grouped(input.line_bytes_max as u64), input.id_bytes_max),
        "merged in the order of time".to_string(),
    ];
    let beside = vec![
        "identity store: whom a hash means".to_string(),
        format!("targets of labels: {}", topology.deciding.labels.known),
        format!("refused input: {}", topology.journal.rejected_keep),
    ];
    Level { stations: vec![station("VALIDATE", lines)], side: Some(station("on disk, beside", beside)) }
}

fn journal(topology: &Topology) -> Station {
    let options = topology.journal;
    let lines = vec![
        "the one order; only what stands here sways a decision".to_string(),
        format!("{}, fdatasync within {} ms, kept {}", options.durability.name(), options.sync_ms_max, options.keep),
    ];
    station("JOURNAL", lines)
}

fn engine(topology: &Topology) -> Station {
    let deciding = &topology.deciding;
    let rings =
        Family::ALL.map(|family| format!("{} {}", family.name(), grouped(deciding.limits.families[family as usize].rows_max.into())));
    let policy = &deciding.policy;
    let thresholds = policy.thresholds;
    let lines = vec![
        format!("up to {} records a step, each in this order", topology.batch_events_max),
        format!("1 admit    duplicates within {}, no more than {} ahead", deciding.dedupe, deciding.future_skew_max),
        format!("2 gather   {} aggregates, as of this event", deciding.aggregates.len()),
        format!("3 append   rings of rows: {}", rings.join(", ")),
        format!("4 decide   {} rules, {} velocity limits", policy.rules.len(), policy.velocity.len()),
        format!(
            "           challenge from {}, review from {}, decline from {}",
            thresholds.challenge_risk_score_min, thresholds.review_risk_score_min, thresholds.decline_risk_score_min
        ),
        "5 emit     decisions and refusals, in order".to_string(),
    ];
    station("ENGINE (one owner, no clock, no chance)", lines)
}

fn output_log(topology: &Topology) -> Station {
    let lines = vec![format!("every answer, in {} segments", grouped_mib(topology.journal.segment_bytes))];
    station("OUTPUT LOG", lines)
}

fn grouped_mib(bytes: u64) -> String {
    format!("{} MiB", grouped(bytes.div_ceil(1 << 20)))
}

/// The follower that sends outputs to the topics of Kafka, where there are any.
fn transactions(topology: &Topology) -> Option<Level> {
    let kafka = topology.kafka.as_ref()?;
    let every = kafka.commit_every.as_millis();
    let lines = vec![
        format!("outputs and offsets together, every {every} ms or {} records", grouped(kafka.commit_records_max as u64)),
        format!("{}, shard {} of {}: {}", kafka.group, kafka.shard, kafka.shards, kafka.brokers),
    ];
    Some(Level { stations: vec![station("TRANSACTIONS of Kafka", lines)], side: None })
}

fn topics(topology: &Topology) -> Vec<Station> {
    let topics = &topology.topics;
    let one = |name: &String, what: &str| station(name.clone(), vec![what.to_string()]);
    let mut stations = vec![one(&topics.decisions, "outcome, score, reasons")];
    if topology.kafka.is_some() {
        stations.push(one(&topics.decisions_internal, "with what AML alone may know"));
    }
    stations.extend([one(&topics.alerts, "versions, with evidence"), one(&topics.rejected, "source, place, reason")]);
    if topology.kafka.is_some() {
        stations.push(one(&topics.events, "what came by the doors"));
    }
    stations
}

/// A box's place in a drawing, in columns.
struct Placed<'p> {
    station: &'p Station,
    left: usize,
    width: usize,
}

impl Station {
    /// Columns with frame and padding.
    fn width(&self) -> usize {
        let longest = self.lines.iter().chain([&self.title]).map(|line| line.chars().count()).max().unwrap_or(0);
        longest + 4
    }
}

impl Placed<'_> {
    fn centre(&self) -> usize {
        self.left + self.width / 2
    }
}

/// Columns between boxes of a level, and between a level and what stands at its side.
const GAP: usize = 3;
const SIDE_GAP: usize = 5;

impl Picture {
    /// The boxes of every level, its side last, centred on one axis.
    fn place(&self) -> Vec<(Vec<Placed<'_>>, Option<Placed<'_>>)> {
        let width = |level: &Level| level.stations.iter().map(Station::width).sum::<usize>() + GAP * (level.stations.len() - 1);
        let axis = self.levels.iter().map(width).max().unwrap_or(0) / 2;
        let place = |level| {
            let mut left = axis - width(level) / 2;
            let mut placed = Vec::new();
            for station in &level.stations {
                placed.push(Placed { station, left, width: station.width() });
                left += station.width() + GAP;
            }
            let side = level.side.as_ref().map(|station| Placed { station, left: left - GAP + SIDE_GAP, width: station.width() });
            (placed, side)
        };
        self.levels.iter().map(place).collect()
    }

    /// The picture in box-drawing signs.
    pub fn text(&self) -> String {
        let placed = self.place();
        let mut out = String::new();
        for (index, (stations, side)) in placed.iter().enumerate() {
            if let Some((above, _)) = index.checked_sub(1).map(|above| &placed[above]) {
                draw_arrows(above, stations, &mut out);
            }
            draw_boxes(stations, side.as_ref(), &mut out);
        }
        out
    }
}

fn draw_boxes(stations: &[Placed], side: Option<&Placed>, out: &mut String) {
    let all = || stations.iter().chain(side);
    let height = all().map(|placed| placed.station.lines.len()).max().unwrap_or(0) + 3;
    for row in 0..height {
        let mut line = String::new();
        for placed in all() {
            let at_side = side.is_some_and(|side| std::ptr::eq(side, placed));
            let arrow = at_side && row == height / 2;
            let reach = placed.left - line.chars().count();
            line += &if arrow { "─".repeat(reach - 1) + "▶" } else { " ".repeat(reach) };
            let inner = placed.width - 2;
            line += &match row {
                0 => format!("┌{}┐", "─".repeat(inner)),
                _ if row == height - 1 => format!("└{}┘", "─".repeat(inner)),
                1 => format!("│ {:<1$}│", placed.station.title, inner - 1),
                _ => format!("│ {:<1$}│", placed.station.lines.get(row - 2).map_or("", String::as_str), inner - 1),
            };
        }
        *out += line.trim_end();
        out.push('\n');
    }
}

fn draw_arrows(above: &[Placed], below: &[Placed], out: &mut String) {
    let (from, to): (Vec<usize>, Vec<usize>) = (above.iter().map(Placed::centre).collect(), below.iter().map(Placed::centre).collect());
    let (first, last) = (from[0].min(to[0]), from[from.len() - 1].max(to[to.len() - 1]));
    let mut rows = Vec::new();
    if first != last {
        let bus = |column: usize| match (from.contains(&column), to.contains(&column), column > first, column < last) {
            (_, _, false, false) => ' ',
            (true, true, true, true) => '┼',
            (true, true, false, _) => '├',
            (true, true, _, false) => '┤',
            (true, false, true, true) => '┴',
            (true, false, false, _) => '└',
            (true, false, _, false) => '┘',
            (false, true, true, true) => '┬',
            (false, true, false, _) => '┌',
            (false, true, _, false) => '┐',
            (false, false, ..) => '─',
        };
        rows.push((0..=last).map(|column| if column < first { ' ' } else { bus(column) }).collect::<String>());
    } else {
        rows.push(" ".repeat(first) + "│");
    }
    rows.push((0..=to[to.len() - 1]).map(|column| if to.contains(&column) { '▼' } else { ' ' }).collect());
    for row in rows {
        *out += row.trim_end();
        out.push('\n');
    }
}

/// Pixels of a column and of a line of text, and of the space around a box's text and between levels.
const COLUMN: usize = 8;
const LINE: usize = 19;
const PAD: usize = 12;
const BETWEEN: usize = 38;
const MARGIN: usize = 20;

const STYLE: &str = "\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2933;white-space:pre}\
.t{font-weight:700}\
rect{fill:#fff;stroke:#52606d;stroke-width:1.2}\
.e{fill:#e6f4ea;stroke:#2f7d4f}\
.s{fill:#f5f7fa;stroke-dasharray:4 3}\
path{fill:none;stroke:#52606d;stroke-width:1.4}\
.h{fill:#52606d;stroke:none}\
.b{fill:#fbfcfd;stroke:none}\
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}rect{fill:#27303a;stroke:#9aa5b1}.e{fill:#1d3a2a;stroke:#63b98a}.s{fill:#20272f}\
path{stroke:#9aa5b1}.h{fill:#9aa5b1;stroke:none}.b{fill:#181d23;stroke:none}}";

impl Picture {
    /// The picture as an SVG document of its own.
    pub fn svg(&self) -> String {
        let placed = self.place();
        let (mut body, mut top, mut width) = (String::new(), MARGIN, 0);
        let mut above: Option<(&[Placed], usize)> = None;
        for (stations, side) in &placed {
            let lines = stations.iter().chain(side).map(|placed| placed.station.lines.len()).max().unwrap_or(0) + 1;
            let height = lines * LINE + 2 * PAD - 4;
            for one in stations.iter().chain(side) {
                let class = match side {
                    Some(side) if std::ptr::eq(side, one) => " class=\"s\"",
                    _ if one.station.title.starts_with("ENGINE") => " class=\"e\"",
                    _ => "",
                };
                svg_box(one, top, height, class, &mut body);
                width = width.max(x(one.left + one.width) + MARGIN);
            }
            if let (Some(side), Some(last)) = (side, stations.last()) {
                let middle = top + height / 2;
                let (from, to) = (x(last.left + last.width), x(side.left));
                svg_arrow(&format!("M{from} {middle}H{}", to - 7), (to, middle), false, &mut body);
            }
            if let Some((from, bottom)) = above {
                svg_arrows(from, bottom, stations, top, &mut body);
            }
            above = Some((stations, top + height));
            top += height + BETWEEN;
        }
        let height = top - BETWEEN + MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             <title>The way of an event</title>\n<style>{STYLE}</style>\n\
             <rect class=\"b\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
        )
    }
}

fn x(column: usize) -> usize {
    MARGIN + column * COLUMN
}

fn svg_box(placed: &Placed, top: usize, height: usize, class: &str, body: &mut String) {
    let (left, width) = (x(placed.left), placed.width * COLUMN);
    write_line(body, format_args!("<rect{class} x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"7\"/>"));
    for (index, line) in std::iter::once(&placed.station.title).chain(&placed.station.lines).enumerate() {
        let (class, baseline) = (if index == 0 { " class=\"t\"" } else { "" }, top + PAD + LINE * index + 12);
        write_line(body, format_args!("<text{class} x=\"{}\" y=\"{baseline}\">{}</text>", left + 2 * COLUMN, escape(line)));
    }
}

/// Lines from all boxes above to all boxes below by way of one bus between them.
fn svg_arrows(from: &[Placed], bottom: usize, to: &[Placed], top: usize, body: &mut String) {
    let bus = bottom + BETWEEN / 2;
    for upper in from {
        for lower in to {
            let (start, end) = (x(upper.centre()), x(lower.centre()));
            svg_arrow(&format!("M{start} {bottom}V{bus}H{end}V{}", top - 7), (end, top), true, body);
        }
    }
}

/// A line, and an arrow's head with its point at `tip`.
fn svg_arrow(line: &str, tip: (usize, usize), down: bool, body: &mut String) {
    let (x, y) = tip;
    let head = if down { format!("M{x} {y}l-5 -9h10z") } else { format!("M{x} {y}l-9 -5v10z") };
    write_line(body, format_args!("<path d=\"{line}\"/><path class=\"h\" d=\"{head}\"/>"));
}

fn write_line(body: &mut String, line: std::fmt::Arguments) {
    writeln!(body, "{line}").expect("a string takes every text");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(upper: usize, lower: usize) -> Picture {
        let level = |count| Level { stations: (0..count).map(|n| station(format!("s{n}"), vec!["x".to_string()])).collect(), side: None };
        Picture { levels: vec![level(upper), level(lower)] }
    }

    #[test]
    fn one_box_leads_straight_down() {
        let expected = "\
┌────┐
│ s0 │
│ x  │
└────┘
   │
   ▼
┌────┐
│ s0 │
│ x  │
└────┘
";
        assert_eq!(picture(1, 1).text(), expected);
    }

    #[test]
    fn many_boxes_meet_on_a_bus() {
        let text = picture(3, 1).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[4], "   └────────┼────────┘");
        assert_eq!(lines[5], "            ▼");
        let text = picture(1, 2).text();
        assert_eq!(text.lines().nth(4), Some("   ┌───┴────┐"), "{text}");
    }

    #[test]
    fn a_side_is_reached_from_the_right() {
        let mut picture = picture(1, 1);
        picture.levels[0].side = Some(station("<side>", vec!["a & b".to_string()]));
        assert_eq!(picture.text().lines().nth(2), Some("│ x  │────▶│ a & b  │"));
        assert!(picture.svg().contains("<text class=\"t\" x=\"124\" y=\"44\">&lt;side&gt;</text>"), "{}", picture.svg());
    }
}
