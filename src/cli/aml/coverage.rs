//! `weir aml coverage`.

use super::{table, text};
use crate::cli::{say, texts, topology, words};
use crate::engine::Threshold;
use crate::event::{Currency, EventType, Field};
use crate::ingress::{CellValue, Format, SourceOptions};
use crate::journal::DataDir;
use crate::render::grouped_money;
use crate::runtime::{Laundering, Seen};
use crate::topology::grouped;
use crate::typology::Typology;
use crate::typology::laundering::{DETECTORS, Detector, HELD_TOGETHER};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Say which typology of laundering is looked for in which product, what holds it, what it found, and what is missing
#[derive(clap::Args)]
#[command(after_help = "\
A product is a way in which money moves: transfers by their format (credit_transfer, instant, cash, …, as the journal's events have it), and \
payments. For each typology: the file that looks for it, the scores from which on it alerts and holds a transfer for review, the tests that \
hold it; with --data, the alerts in which it was seen, over all and by product. An alert counts for a product where one of the transfers that \
it shows is of it. Gaps are told in words.

Thresholds are those of -t, else those that the data directory was judged under, else the built-in ones.

Examples:
  weir aml coverage
  weir aml coverage -t topology.toml --data kept
  weir aml coverage --data kept --json | jq '.gaps[]'")]
pub struct Arguments {
    /// A topology file laid over the built-in one; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// The data directory of a replay, or of a service that is stopped
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let coverage = Coverage::of(arguments)?;
    say(&if arguments.json { format!("{}\n", coverage.json()) } else { coverage.text() })?;
    Ok(ExitCode::SUCCESS)
}

/// A typology, as it is covered.
struct Row {
    detector: &'static Detector,
    threshold: Threshold,
    /// Alerts in which it was seen, where somebody looked.
    alerts: Option<u64>,
}

/// A way in which money moves.
struct Product {
    name: String,
    of: EventType,
    events: u64,
    money_minor: i128,
    /// By typology.
    alerts: [u64; Typology::LAUNDERING.len()],
}

/// A report.
struct Coverage {
    reporting: Currency,
    /// The data directory, as it was given.
    data: Option<String>,
    rows: Vec<Row>,
    /// Of the data directory's journal; none where none was looked at.
    products: Vec<Product>,
    gaps: Vec<Gap>,
}

/// Something that is missing: of all typologies, or products, where it names none.
struct Gap {
    typology: Option<&'static str>,
    product: Option<String>,
    what: String,
}

impl Coverage {
    fn of(arguments: &Arguments) -> Result<Coverage, String> {
        let laundering = arguments.data.as_deref().map(Laundering::open).transpose().map_err(words)?;
        let given = match (&laundering, arguments.topology.is_empty()) {
            (Some(_), true) => None,
            _ => Some(topology(&arguments.topology)?),
        };
        let judged = laundering.as_ref().map(|laundering| &laundering.deciding);
        let deciding = given.as_ref().map(|topology| &topology.deciding).or(judged).expect("one of both was read");
        // Sums of a journal are in the currency that it was judged in.
        let reporting = judged.unwrap_or(deciding).rates.reporting;
        let (mut seen, mut products) = (None, Vec::new());
        if let (Some(laundering), Some(dir)) = (&laundering, &arguments.data) {
            let found = laundering.seen().map_err(words)?;
            let identity = texts(&DataDir::read(dir).map_err(words)?)?;
            for product in &found.products {
                let format = product.format.map(|format| text(identity.as_ref(), format).unwrap_or_else(|| format.to_string()));
                let name = match product.of {
                    EventType::Payment => "payments".to_owned(),
                    _ => format.unwrap_or_else(|| NO_FORMAT.to_owned()),
                };
                let crate::runtime::Product { of, events, money_minor, alerts, .. } = *product;
                products.push(Product { name, of, events, money_minor, alerts });
            }
            products.sort_by(|a, b| (a.of == EventType::Payment, &a.name).cmp(&(b.of == EventType::Payment, &b.name)));
            seen = Some(found);
        }
        let alerts = |place: usize| seen.as_ref().map(|seen: &Seen| seen.alerts[place]);
        let row = |(place, detector)| Row { detector, threshold: deciding.alerts.laundering[place], alerts: alerts(place) };
        let rows = DETECTORS.iter().enumerate().map(row).collect();
        let data = arguments.data.as_ref().map(|dir| dir.display().to_string());
        let mut coverage = Coverage { reporting, data, rows, products, gaps: Vec::new() };
        coverage.gaps = coverage.missing(given.as_ref().map_or(&[][..], |topology| &topology.sources));
        Ok(coverage)
    }

    /// What is missing, of what `sources` may bring too.
    fn missing(&self, sources: &[SourceOptions]) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut gap =
            |typology, product: Option<&str>, what: String| gaps.push(Gap { typology, product: product.map(str::to_owned), what });
        for row in &self.rows {
            let name = Some(row.detector.typology.name());
            if row.threshold.alert > SCORE_MAX {
                gap(name, None, "never alerts: its threshold is above every score".to_owned());
            }
            if row.detector.tests.is_empty() {
                gap(name, None, "no test of this repository holds it".to_owned());
            }
            if row.alerts == Some(0) {
                gap(name, None, "seen in no alert of this directory".to_owned());
            }
        }
        let never: Vec<&str> =
            self.rows.iter().filter(|row| row.threshold.interdict > SCORE_MAX).map(|row| row.detector.typology.name()).collect();
        if never.len() == self.rows.len() {
            gap(None, None, "no typology holds a transfer for review: every interdict threshold is above every score".to_owned());
        } else {
            never.iter().for_each(|name| {
                gap(Some(name), None, "holds no transfer for review: its interdict threshold is above every score".to_owned())
            });
        }
        gap(
            None,
            Some("payments"),
            match self.products.iter().find(|product| product.of == EventType::Payment) {
                Some(payments) => format!("no typology of laundering looks at payments: {} in this journal", grouped(payments.events)),
                None => "no typology of laundering looks at payments".to_owned(),
            },
        );
        if self.data.is_none() {
            gap(None, None, "no data directory was looked at: which products there are, and what was found, is not known".to_owned());
            return gaps;
        }
        if self.products.iter().all(|product| product.of != EventType::Transfer) {
            gap(None, None, "no transfer stands in this journal".to_owned());
        }
        for product in self.products.iter().filter(|product| product.of == EventType::Transfer) {
            if product.name == NO_FORMAT {
                let what = format!("{} transfers say no format: which product they are of is not known", grouped(product.events));
                gap(None, Some(&product.name), what);
            }
            if product.alerts.iter().all(|alerts| *alerts == 0) {
                gap(None, Some(&product.name), "no alert shows a transfer of this product".to_owned());
            }
        }
        for format in sources.iter().filter_map(constant_format) {
            if self.products.iter().all(|product| product.name != format) {
                gap(
                    None,
                    Some(format),
                    "a source of the topology brings this product, and no transfer of it stands in this journal".to_owned(),
                );
            }
        }
        gaps
    }

    fn text(&self) -> String {
        let score = |score: u16| if score > SCORE_MAX { "never".to_owned() } else { score.to_string() };
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                let Detector { typology, file, tests } = row.detector;
                let [alert, interdict] = [row.threshold.alert, row.threshold.interdict].map(score);
                let alerts = row.alerts.map_or("–".to_owned(), |alerts| alerts.to_string());
                let tests: Vec<&str> = tests.iter().map(|(_, name)| *name).collect();
                vec![typology.name().to_owned(), alert, interdict, alerts, (*file).to_owned(), tests.join(", ")]
            })
            .collect();
        let head = ["typology", "alert", "review", "alerts", "looked for in", "held by"];
        let mut out =
            format!("Typologies of laundering, for every transfer\n\n{}", table(&head, &[false, true, true, true, false, false], &rows));
        let together: Vec<&str> = HELD_TOGETHER.iter().map(|(_, name)| *name).collect();
        out += &format!("\n  all together held by {}\n", together.join(", "));
        if let Some(data) = &self.data {
            out += &format!("\nAlerts by product, in {data}\n\n{}", self.by_product());
        }
        out += "\nGaps\n\n";
        for gap in &self.gaps {
            let of = [gap.typology, gap.product.as_deref()].into_iter().flatten().next().map_or(String::new(), |of| format!("{of}: "));
            out += &format!("  {of}{}\n", gap.what);
        }
        out
    }

    /// A row a typology, a column a product; payments have no figure, for nobody looks there.
    fn by_product(&self) -> String {
        let names = self.products.iter().map(|product| product.name.as_str());
        let head: Vec<&str> = std::iter::once("").chain(names).collect();
        let row = |name: &str, cell: &dyn Fn(&Product) -> String| {
            std::iter::once(name.to_owned()).chain(self.products.iter().map(cell)).collect()
        };
        let money = format!("{} of them", self.reporting.code());
        let mut rows: Vec<Vec<String>> = vec![
            row("in the journal", &|product| grouped(product.events)),
            row(&money, &|product| grouped_money(product.money_minor, self.reporting)),
        ];
        for (place, row_of) in self.rows.iter().enumerate() {
            rows.push(row(row_of.detector.typology.name(), &|product| match product.of {
                EventType::Payment => "–".to_owned(),
                _ => product.alerts[place].to_string(),
            }));
        }
        let to_the_right: Vec<bool> = (0..head.len()).map(|column| column > 0).collect();
        table(&head, &to_the_right, &rows)
    }

    fn json(&self) -> Value {
        let score = |score: u16| (score <= SCORE_MAX).then_some(score);
        let test = |(file, name): &(&str, &str)| json!({"file": file, "test": name});
        let typology = |row: &Row| {
            json!({
                "typology": row.detector.typology.name(),
                "text": row.detector.typology.sentence(),
                "detector": row.detector.file,
                "alert": score(row.threshold.alert),
                "interdict": score(row.threshold.interdict),
                "tests": row.detector.tests.iter().map(test).collect::<Vec<Value>>(),
                "alerts": row.alerts,
            })
        };
        let product = |product: &Product| {
            let covered = product.of == EventType::Transfer;
            let found = |(typology, alerts): (&Typology, &u64)| (typology.name().to_owned(), json!(alerts));
            let alerts: serde_json::Map<String, Value> = Typology::LAUNDERING.iter().zip(&product.alerts).map(found).collect();
            json!({
                "product": product.name,
                "type": product.of.name(),
                "covered": covered,
                "events": product.events,
                "money": {"amount": i64::try_from(product.money_minor).ok(), "currency": self.reporting.code()},
                "alerts": covered.then_some(alerts),
            })
        };
        let gap = |gap: &Gap| json!({"typology": gap.typology, "product": gap.product, "gap": gap.what});
        json!({
            "data": self.data,
            "tests": HELD_TOGETHER.iter().map(test).collect::<Vec<Value>>(),
            "typologies": self.rows.iter().map(typology).collect::<Vec<Value>>(),
            "products": self.data.as_ref().map(|_| self.products.iter().map(product).collect::<Vec<Value>>()),
            "gaps": self.gaps.iter().map(gap).collect::<Vec<Value>>(),
        })
    }
}

/// The greatest score there is.
const SCORE_MAX: u16 = 1_000;
/// The name of transfers that say no format.
const NO_FORMAT: &str = "(no format)";

/// The format that every transfer of a table has.
fn constant_format(source: &SourceOptions) -> Option<&str> {
    let Format::Table(mapping) = &source.format else { return None };
    let (_, cell) = mapping.fields.iter().find(|(field, _)| mapping.event == EventType::Transfer && *field == Field::Format)?;
    match &cell.value {
        CellValue::Constant(format) => Some(format),
        _ => None,
    }
}
