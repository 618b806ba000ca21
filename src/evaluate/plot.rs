//! The calibration curve as a drawing.

use super::calibration::Bin;
use super::report::Report;
use std::fmt::Write;

/// The drawing's sides, and what of them lies outside the axes.
const SIDE: f64 = 520.0;
const MARGIN: f64 = 64.0;
/// Decades that are drawn at most: what is rarer lies on the axis.
const DECADES_MAX: i32 = 5;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2933}\
path{fill:none;stroke:#cbd2d9}\
.d{stroke:#52606d;stroke-dasharray:5 4}\
.i{stroke:#2f855a}\
circle{fill:#2f855a;stroke:none}\
.o{fill:#fbfcfd;stroke:#2f855a}\
.b{fill:#fbfcfd;stroke:none}\
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}path{stroke:#3e4c59}.d{stroke:#9aa5b1}.i{stroke:#63b98a}circle{fill:#63b98a}\
.o{fill:#181d23;stroke:#63b98a}.b{fill:#181d23}}";

/// Predicted against observed, both by decades, as an SVG document of its own: where a model is calibrated its points lie on the diagonal. A
/// point is a bin; its line is where the true share lies with 95 % (Wilson 1927). A bin without a bad event is an empty point on the axis.
pub fn reliability_plot(report: &Report) -> String {
    let bins = &report.figures.reliability;
    let least = bins.iter().flat_map(|bin| [bin.predicted, bin.observed]).filter(|share| *share > 0.0).fold(0.1, f64::min);
    let decades = (-least.log10().floor() as i32).clamp(1, DECADES_MAX);
    let at = |share: f64| {
        let along = 1.0 + share.log10().max(-f64::from(decades)) / f64::from(decades);
        along * (SIDE - 2.0 * MARGIN)
    };
    let (x, y) = (|share| MARGIN + at(share), |share| SIDE - MARGIN - at(share));
    let (near, far) = (MARGIN, SIDE - MARGIN);
    let mut body = String::new();
    for decade in 0..=decades {
        let share = 10f64.powi(-decade);
        let (right, down) = (x(share), y(share));
        line(&mut body, format_args!("<path d=\"M{right:.1} {near}V{far}M{near} {down:.1}H{far}\"/>"));
        line(&mut body, format_args!("<text x=\"{right:.1}\" y=\"{}\" text-anchor=\"middle\">{share}</text>", far + 18.0));
        line(&mut body, format_args!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{share}</text>", near - 8.0, down + 4.0));
    }
    line(&mut body, format_args!("<path class=\"d\" d=\"M{near} {far}L{far} {near}\"/>"));
    for bin in bins {
        let (low, high) = wilson(bin);
        let right = x(bin.predicted);
        line(&mut body, format_args!("<path class=\"i\" d=\"M{right:.1} {:.1}V{:.1}\"/>", y(low), y(high)));
        let class = if bin.observed > 0.0 { "" } else { " class=\"o\"" };
        line(
            &mut body,
            format_args!(
                "<circle{class} cx=\"{right:.1}\" cy=\"{:.1}\" r=\"4\"><title>{} events: predicted {:.5}, observed {:.5}</title></circle>",
                y(bin.observed),
                bin.events,
                bin.predicted,
                bin.observed
            ),
        );
    }
    let scope = &report.scope;
    let allowed = if scope.hindsight { ", with hindsight" } else { "" };
    let middle = SIDE / 2.0;
    line(&mut body, format_args!("<text x=\"{middle}\" y=\"24\" text-anchor=\"middle\">{} events{allowed}</text>", report.figures.events));
    line(&mut body, format_args!("<text x=\"{middle}\" y=\"42\" text-anchor=\"middle\">{} until {}</text>", scope.from, scope.until));
    line(&mut body, format_args!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">predicted</text>", SIDE - 16.0));
    line(
        &mut body,
        format_args!("<text x=\"16\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle})\">observed</text>"),
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIDE} {SIDE}\" width=\"{SIDE}\" height=\"{SIDE}\" role=\"img\">\n\
         <title>Predicted against observed</title>\n<style>{STYLE}</style>\n\
         <rect class=\"b\" width=\"{SIDE}\" height=\"{SIDE}\"/>\n{body}</svg>\n"
    )
}

/// Where the true share lies with 95 %.
fn wilson(bin: &Bin) -> (f64, f64) {
    let (n, z) = (bin.events as f64, 1.96);
    let middle = (bin.observed + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (bin.observed * (1.0 - bin.observed) / n + z * z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

fn line(body: &mut String, line: std::fmt::Arguments) {
    writeln!(body, "{line}").expect("a string takes every text");
}

#[cfg(test)]
mod tests {
    use super::super::{Judged, Scope, report};
    use super::*;
    use crate::event::{EventType, Timestamp};

    /// 15 bins of 20 events: in the first none is bad, in the last all are. Planted: axes turned (the last point lay at the bottom).
    #[test]
    fn the_certain_and_the_impossible_lie_in_the_corners() {
        let judged: Vec<Judged> = (0..300)
            .map(|n| Judged {
                kind: EventType::Payment,
                time: Timestamp(0),
                probability: if n >= 280 { 1.0 } else { 0.001 },
                bad: n >= 280 || n % 20 == 19 && n > 20,
                user: None,
                scenario: None,
            })
            .collect();
        let scope = Scope { from: Timestamp(0), until: Timestamp(1), labels_until: None, hindsight: true, model: None };
        let drawn = reliability_plot(&report(&judged, 0, None, scope, |_| unreachable!("no scenario is named")));
        assert_eq!(drawn.matches("<circle").count(), 15);
        assert!(drawn.contains("<circle class=\"o\" cx=\"64.0\" cy=\"456.0\""), "{drawn}");
        assert!(drawn.contains("<circle cx=\"456.0\" cy=\"64.0\""), "{drawn}");
        assert!(drawn.contains("300 events, with hindsight"), "{drawn}");
        // By hand: 1 of 20 is 0.05; Wilson's interval is 0.0089 to 0.2361.
        let bin = Bin { events: 20, least: 0.0, greatest: 0.0, predicted: 0.0, observed: 0.05 };
        let (low, high) = wilson(&bin);
        assert!((low - 0.0089).abs() < 1e-4 && (high - 0.2361).abs() < 1e-4, "{low} {high}");
    }
}
