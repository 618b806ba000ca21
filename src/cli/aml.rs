//! `weir aml show|coverage`.

mod coverage;
mod show;

use crate::event::Id;
use crate::identity::Identity;
use clap::Subcommand;
use std::process::ExitCode;

/// Read what was found of laundering, and what is looked for
#[derive(clap::Args)]
#[command(after_help = "\
A data directory is that of a replay with --out, or of a service that is stopped; of one that runs, ids are shown as hashes. What stands in it \
of laundering is for those who may know of a suspicion alone.

Examples:
  weir aml show --data kept                     all alerts of laundering
  weir aml show --data kept aml-7 --svg aml-7.svg
  weir aml coverage -t topology.toml --data kept")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Show(show::Arguments),
    Coverage(coverage::Arguments),
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    match &arguments.command {
        Command::Show(arguments) => show::run(arguments),
        Command::Coverage(arguments) => coverage::run(arguments),
    }
}

/// The text of an id where one is known.
fn text(identity: Option<&Identity>, id: Id) -> Option<String> {
    identity?.text(id).ok().flatten().map(|(_, text)| text)
}

/// Rows under their heads, each column as wide as its widest cell; where `to_the_right`, numbers.
fn table(head: &[&str], to_the_right: &[bool], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| {
            let width = widths[column];
            if to_the_right[column] { format!("  {cell:>width$}") } else { format!("  {cell:<width$}") }
        };
        row.iter().enumerate().map(cell).collect::<String>().trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}
