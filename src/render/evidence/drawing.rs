//! An alert of laundering as an SVG document of its own: accounts from left to right, whoever pays before whom they pay, transfers as arrows
//! with what they moved.

use super::{Account, Evidence, Role, grouped_money};
use crate::engine::Edge;
use crate::event::Id;
use petgraph::Direction::Incoming;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Pixels of a box, between boxes, and around all.
const WIDTH: usize = 172;
const HEIGHT: usize = 46;
const ACROSS: usize = 210;
const DOWN: usize = 34;
const MARGIN: usize = 24;
/// Above the boxes: the title and who is meant by which colour.
const HEAD: usize = 62;
/// Letters of an account's name that are drawn; the whole stands in its tooltip.
const LETTERS_MAX: usize = 20;
/// Sweeps that put accounts of a layer where those stand who pay them.
const SWEEPS: usize = 4;
/// Thousandths of an arrow's way where what it moved may stand, the best first.
const SHARES: [usize; 9] = [500, 420, 580, 340, 660, 260, 740, 200, 800];
/// Between what leads back, below all boxes.
const BELOW: usize = 24;

const STYLE: &str = "\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2933}\
.t{font-weight:700;font-size:14px}\
.s{fill:#52606d;font-size:11px}\
.a{paint-order:stroke;stroke:#fbfcfd;stroke-width:4px;text-anchor:middle}\
rect{stroke:#52606d;stroke-width:1.2;fill:#fff}\
.source{fill:#e3effa;stroke:#2b6cb0}\
.intermediary{fill:#fdf3dc;stroke:#b7791f}\
.sink{fill:#fbe5e5;stroke:#b83232}\
path{fill:none;stroke:#52606d;stroke-width:1.4}\
.k{stroke-dasharray:6 4}\
.h{fill:#52606d;stroke:none}\
.b{fill:#fbfcfd;stroke:none}\
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.s{fill:#9aa5b1}.a{stroke:#181d23}rect{fill:#27303a;stroke:#9aa5b1}\
.source{fill:#1b3046;stroke:#63a4e0}.intermediary{fill:#3d3018;stroke:#d9a441}.sink{fill:#451f1f;stroke:#e07272}\
path{stroke:#9aa5b1}.h{fill:#9aa5b1}.b{fill:#181d23}}";

/// Transfers from one account to another, as one arrow.
struct Arrow<'e> {
    from: NodeIndex,
    to: NodeIndex,
    is_back: bool,
    edges: Vec<&'e Edge>,
}

/// What is drawn so far: lines below, boxes and labels above, and the room that these take.
#[derive(Default)]
struct Canvas {
    lines: String,
    labels: String,
    taken: Vec<Room>,
}

/// A rectangle: from left to right, from top to bottom.
#[derive(Clone, Copy)]
struct Room {
    x: (usize, usize),
    y: (usize, usize),
}

impl Room {
    fn overlaps(&self, other: &Room) -> bool {
        self.x.0 < other.x.1 && other.x.0 < self.x.1 && self.y.0 < other.y.1 && other.y.0 < self.y.1
    }
}

impl Evidence<'_> {
    /// The picture, under the title `title`.
    pub fn svg(&self, title: &str, name: &dyn Fn(Id) -> String) -> String {
        let (layers, back) = self.layers();
        let columns = layers.iter().max().map_or(0, |last| last + 1);
        let arrows = self.arrows(&back);
        let places = self.places(&layers, columns);
        let tallest = places.iter().map(|(_, row)| row + 1).max().unwrap_or(1);
        let heading = MARGIN * 2 + title.chars().count() * 9;
        let width = (2 * MARGIN + columns * WIDTH + columns.saturating_sub(1) * ACROSS).max(heading).max(560);
        let bottom = HEAD + tallest * (HEIGHT + DOWN) - DOWN;
        let height = bottom + back.len() * BELOW + MARGIN;
        let mut rows_of = vec![0; columns.max(1)];
        places.iter().for_each(|(column, row)| rows_of[*column] = rows_of[*column].max(row + 1));
        // Short layers stand in the middle of the tallest.
        let at = |node: NodeIndex| {
            let (column, row) = places[node.index()];
            let above = (tallest - rows_of[column]) * (HEIGHT + DOWN) / 2;
            (MARGIN + column * (WIDTH + ACROSS), HEAD + above + row * (HEIGHT + DOWN))
        };
        let mut canvas = Canvas::default();
        for node in self.graph.node_indices() {
            self.account(&self.graph[node], at(node), name, &mut canvas);
        }
        let forward = || arrows.iter().filter(|arrow| !arrow.is_back);
        for arrow in forward() {
            // Arrows leave and arrive in the order of those to whom they lead, so that they do not cross at the box.
            let out = forward().filter(|other| other.from == arrow.from);
            let out = (out.clone().filter(|other| at(other.to).1 < at(arrow.to).1).count(), out.count());
            let into = forward().filter(|other| other.to == arrow.to);
            let into = (into.clone().filter(|other| at(other.from).1 < at(arrow.from).1).count(), into.count());
            let (from, to) = (at(arrow.from), at(arrow.to));
            self.forward(arrow, (from.0 + WIDTH, port(from.1, out)), (to.0, port(to.1, into)), &mut canvas);
        }
        for (turned, arrow) in arrows.iter().filter(|arrow| arrow.is_back).enumerate() {
            self.back(arrow, at(arrow.from), at(arrow.to), bottom + (turned + 1) * BELOW, &mut canvas);
        }
        let (Canvas { lines, labels, .. }, legend) = (canvas, self.legend(title));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"b\" width=\"{width}\" height=\"{height}\"/>\n{legend}{lines}{labels}</svg>\n",
            escape(title)
        )
    }

    fn legend(&self, title: &str) -> String {
        let mut legend = format!("<text class=\"t\" x=\"{MARGIN}\" y=\"26\">{}</text>\n", escape(title));
        for (place, role) in Role::ALL.into_iter().enumerate() {
            let x = MARGIN + place * 120;
            line(&mut legend, format_args!("<rect class=\"{}\" x=\"{x}\" y=\"37\" width=\"12\" height=\"12\" rx=\"2\"/>", role.name()));
            line(&mut legend, format_args!("<text class=\"s\" x=\"{}\" y=\"47\">{}</text>", x + 18, role.name()));
        }
        let place = MARGIN + 3 * 120;
        line(&mut legend, format_args!("<text class=\"s\" x=\"{place}\" y=\"47\">amounts in {}</text>", self.currency.code()));
        legend
    }

    /// One arrow for all transfers between two in one direction, in the order of the first of each.
    fn arrows(&self, back: &[petgraph::graph::EdgeIndex]) -> Vec<Arrow<'_>> {
        let mut places: BTreeMap<(NodeIndex, NodeIndex), usize> = BTreeMap::new();
        let mut arrows: Vec<Arrow> = Vec::new();
        for edge in self.graph.edge_references() {
            let place = *places.entry((edge.source(), edge.target())).or_insert(arrows.len());
            if place == arrows.len() {
                arrows.push(Arrow { from: edge.source(), to: edge.target(), is_back: back.contains(&edge.id()), edges: Vec::new() });
            }
            arrows[place].edges.push(self.edges[*edge.weight()]);
        }
        arrows
    }

    /// Column and row of each account: where those stand who pay it.
    pub(super) fn places(&self, layers: &[usize], columns: usize) -> Vec<(usize, usize)> {
        let mut of: Vec<Vec<NodeIndex>> = vec![Vec::new(); columns];
        self.graph.node_indices().for_each(|node| of[layers[node.index()]].push(node));
        let mut rows = vec![0; self.graph.node_count()];
        let settle = |of: &[Vec<NodeIndex>], rows: &mut Vec<usize>| {
            of.iter().for_each(|column| column.iter().enumerate().for_each(|(row, node)| rows[node.index()] = row));
        };
        settle(&of, &mut rows);
        for sweep in 0..SWEEPS {
            for column in &mut of {
                let direction = if sweep % 2 == 0 { Incoming } else { petgraph::Direction::Outgoing };
                // In thousandths of a row; who has nobody on that side stays.
                column.sort_by_cached_key(|node| {
                    let beside: Vec<usize> = self.graph.neighbors_directed(*node, direction).map(|other| rows[other.index()]).collect();
                    (beside.iter().sum::<usize>() * 1000).checked_div(beside.len()).unwrap_or(rows[node.index()] * 1000)
                });
            }
            settle(&of, &mut rows);
        }
        layers.iter().zip(rows).map(|(layer, row)| (*layer, row)).collect()
    }

    fn forward(&self, arrow: &Arrow, from: (usize, usize), to: (usize, usize), canvas: &mut Canvas) {
        let ((x0, y0), (x1, y1)) = (from, to);
        let bend = (x1 - x0) / 2;
        let path = format!("M{x0} {y0}C{} {y0} {} {y1} {} {y1}", x0 + bend, x1 - bend, x1 - 8);
        draw(arrow, &path, to, false, canvas);
        let places = SHARES.map(|share| {
            let (x, y) = on_the_way(from, to, bend, share);
            (x, y.saturating_sub(5))
        });
        self.label(arrow, &places, canvas);
    }

    /// What leads back runs below all boxes, dashed.
    fn back(&self, arrow: &Arrow, from: (usize, usize), to: (usize, usize), below: usize, canvas: &mut Canvas) {
        let (x0, x1) = (from.0 + WIDTH / 2 + 20, to.0 + WIDTH / 2 - 20);
        let (y0, y1) = (from.1 + HEIGHT, to.1 + HEIGHT);
        let (left, right) = (x0.saturating_sub(40), x1 + 40);
        let path = format!("M{x0} {y0}C{x0} {below} {x0} {below} {left} {below}H{right}C{x1} {below} {x1} {below} {x1} {}", y1 + 8);
        draw(arrow, &path, (x1, y1), true, canvas);
        self.label(arrow, &[(x0.midpoint(x1), below - 5)], canvas);
    }

    /// What an arrow moved, at the first of `places` that is free, else at the first.
    fn label(&self, arrow: &Arrow, places: &[(usize, usize)], canvas: &mut Canvas) {
        let sum: i128 = arrow.edges.iter().map(|edge| i128::from(edge.amount_minor)).sum();
        let times = if arrow.edges.len() > 1 { format!(" ({}×)", arrow.edges.len()) } else { String::new() };
        let text = grouped_money(sum, self.currency) + &times;
        let half = text.chars().count() * 4;
        let room = |(x, y): (usize, usize)| Room { x: (x.saturating_sub(half), x + half), y: (y.saturating_sub(11), y + 3) };
        let is_free = |place: &&(usize, usize)| canvas.taken.iter().all(|taken| !taken.overlaps(&room(**place)));
        let place @ (x, y) = *places.iter().find(is_free).unwrap_or(&places[0]);
        canvas.taken.push(room(place));
        let each = |edge: &&Edge| format!("{} {}", edge.time, grouped_money(edge.amount_minor.into(), self.currency));
        let tooltip = escape(&arrow.edges.iter().map(each).collect::<Vec<String>>().join("\n"));
        line(&mut canvas.labels, format_args!("<text class=\"a\" x=\"{x}\" y=\"{y}\"><title>{tooltip}</title>{text}</text>"));
    }

    fn account(&self, account: &Account, (x, y): (usize, usize), name: &dyn Fn(Id) -> String, canvas: &mut Canvas) {
        canvas.taken.push(Room { x: (x, x + WIDTH), y: (y, y + HEIGHT) });
        let body = &mut canvas.labels;
        let whole = name(account.id);
        let short = match whole.chars().count() > LETTERS_MAX {
            true => whole.chars().take(LETTERS_MAX - 1).chain(['…']).collect(),
            false => whole.clone(),
        };
        let role = account.role.map_or("outside", Role::name);
        let money = |minor: i128| grouped_money(minor, self.currency);
        let sums = match (account.taken_minor, account.paid_minor, account.outside_minor) {
            (0, 0, outside) => format!("↔ {}", money(outside)),
            (taken, 0, _) => format!("took {}", money(taken)),
            (0, paid, _) => format!("paid {}", money(paid)),
            (taken, paid, _) => format!("+{} −{}", money(taken), money(paid)),
        };
        line(body, format_args!("<g><title>{}: {role}</title>", escape(&whole)));
        line(body, format_args!("<rect class=\"{role}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"7\"/>"));
        line(body, format_args!("<text x=\"{}\" y=\"{}\">{}</text>", x + 10, y + 19, escape(&short)));
        line(body, format_args!("<text class=\"s\" x=\"{}\" y=\"{}\">{sums}</text></g>", x + 10, y + 36));
    }
}

/// Where the arrow with this number among so many meets its box.
fn port(top: usize, (before, all): (usize, usize)) -> usize {
    top + 8 + (HEIGHT - 16) * (2 * before + 1) / (2 * all)
}

fn draw(arrow: &Arrow, path: &str, tip: (usize, usize), upwards: bool, canvas: &mut Canvas) {
    let (x, y) = tip;
    let head = if upwards { format!("M{x} {y}l-5 9h10z") } else { format!("M{x} {y}l-9 -5v10z") };
    let class = if arrow.is_back { " class=\"k\"" } else { "" };
    line(&mut canvas.lines, format_args!("<path{class} d=\"{path}\"/><path class=\"h\" d=\"{head}\"/>"));
}

/// The place on a curve between two points that leaves and arrives level, so many thousandths of its way.
fn on_the_way(from: (usize, usize), to: (usize, usize), bend: usize, share: usize) -> (usize, usize) {
    let (t, u) = (share as i64, 1000 - share as i64);
    let weights = [u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t];
    let at = |points: [usize; 4]| {
        let sum: i64 = points.iter().zip(weights).map(|(point, weight)| *point as i64 * weight).sum();
        (sum / 1_000_000_000) as usize
    };
    (at([from.0, from.0 + bend, to.0 - bend, to.0]), at([from.1, from.1, to.1, to.1]))
}

fn line(body: &mut String, text: std::fmt::Arguments) {
    writeln!(body, "{text}").expect("a string takes every text");
}

/// Text as it may stand in the document: what no XML may hold becomes a sign for it.
fn escape(text: &str) -> String {
    let lawful = |c: char| if c == '\n' || !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}') { c } else { '\u{fffd}' };
    text.chars().map(lawful).collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
