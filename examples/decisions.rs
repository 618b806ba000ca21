//! Keeps the answer to every payment and transfer: follows `weir.decisions`, one entry for each event id.
//!
//! Most events have one decision. Where a stand-in answered because the deadline was over there are two: the stand-in, whose `status` is
//! `fallback`, is what the caller was told and stays the answer; the judgement that was made besides is told for comparison. Which of the
//! two has `revision` 1 only says which came first.
//!
//! A change goes to a file, the file to the disk, and only then the offset to Kafka. After a crash in between records come again, and are known
//! by event id and sequence: each counts once. A database does the same with a key over both and `ON CONFLICT DO NOTHING`.

use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Keep Weir's answers: `cargo run --features kafka --example decisions -- --brokers 127.0.0.1:9092 --keep answers.jsonl`
#[derive(Parser)]
struct Arguments {
    /// Where the brokers are: host:port, several with commas between.
    #[arg(long)]
    brokers: String,
    /// Where the answers are kept: what is there is read again at the start.
    #[arg(long)]
    keep: PathBuf,
    /// The topic, as the topology's `[topics]` calls it.
    #[arg(long, default_value = "weir.decisions")]
    topic: String,
    /// The name under which Kafka keeps how far this subscriber has come; of another name it starts at the topic's beginning.
    #[arg(long, default_value = "weir-example-decisions")]
    group: String,
}

/// What is needed of a decision; `/schemas/decision.json` has the rest. Fields that come later are passed over.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Decision {
    event_id: String,
    revision: u8,
    sequence: u64,
    outcome: String,
    status: String,
    skipped: Vec<Skipped>,
}

/// What a decision lacked.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Skipped {
    part: String,
    why: String,
}

impl Decision {
    fn is_stand_in(&self) -> bool {
        // While a shard is restored a stand-in answers, too, and calls it degraded.
        self.status == "fallback" || self.skipped.iter().any(|skipped| skipped.why == "cold shard")
    }
}

/// The decisions of one event.
#[derive(Default)]
struct Answer {
    stand_in: Option<Decision>,
    judgement: Option<Decision>,
}

impl Answer {
    /// Takes a decision in; false where it is known.
    fn take(&mut self, decision: Decision) -> bool {
        let place = if decision.is_stand_in() { &mut self.stand_in } else { &mut self.judgement };
        if place.as_ref().is_some_and(|known| known.sequence >= decision.sequence) {
            return false;
        }
        *place = Some(decision);
        true
    }

    /// What the caller was told.
    fn is(&self) -> Option<&Decision> {
        self.stand_in.as_ref().or(self.judgement.as_ref())
    }
}

const WAIT: Duration = Duration::from_millis(200);

/// Changes before the file goes to the disk and the offsets to Kafka.
const BATCH: usize = 1000;

fn main() -> ExitCode {
    match follow(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decisions: {error}");
            ExitCode::from(2)
        }
    }
}

fn follow(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut answers: HashMap<String, Answer> = HashMap::new();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(&arguments.keep)?;
    let whole = read(&file, &mut answers)?;
    // What a crash left of a line goes: its record was not committed and comes again.
    file.set_len(whole)?;
    eprintln!("decisions: {} answers are kept", answers.len());

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.brokers)
        .set("group.id", &arguments.group)
        // What stands in a transaction that is not committed, or was aborted, is never seen.
        .set("isolation.level", "read_committed")
        // A new subscriber wants everything that is still there.
        .set("auto.offset.reset", "earliest")
        // Committed is what was kept, not what was fetched.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // So long do the partitions of one that was killed wait before another gets them.
        .set("session.timeout.ms", "10000")
        .create()?;
    consumer.subscribe(&[&arguments.topic])?;
    let mut behind = 0;
    loop {
        match consumer.poll(WAIT) {
            Some(Ok(message)) => {
                match message.payload().map(serde_json::from_slice::<Decision>) {
                    Some(Ok(decision)) => keep(decision, &mut answers, &mut file)?,
                    // Told and passed over: the rest of the topic is not lost with it.
                    Some(Err(error)) => eprintln!("decisions: partition {} offset {}: {error}", message.partition(), message.offset()),
                    None => {}
                }
                consumer.store_offset_from_message(&message)?;
                behind += 1;
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.into()),
            // The client goes on by itself: a broker that is away, a leader that moves.
            Some(Err(error)) => eprintln!("decisions: {error}"),
            None if behind == 0 => continue,
            None => behind = BATCH,
        }
        if behind >= BATCH {
            file.sync_data()?;
            // One that fails, because a partition has just gone to another process, costs repetitions there.
            if let Err(error) = consumer.commit_consumer_state(CommitMode::Sync) {
                eprintln!("decisions: {error}");
            }
            behind = 0;
        }
    }
}

/// Takes a decision in, says what is new, and appends it to the file.
fn keep(decision: Decision, answers: &mut HashMap<String, Answer>, file: &mut File) -> Result<(), Box<dyn Error>> {
    let id = decision.event_id.clone();
    let answer = answers.entry(id.clone()).or_default();
    if !answer.take(decision.clone()) {
        return Ok(());
    }
    let told = answer.is().expect("one was just taken");
    println!("{id} {} {}", told.outcome, told.status);
    if let Answer { stand_in: Some(stand_in), judgement: Some(judgement) } = answer
        && stand_in.outcome != judgement.outcome
    {
        println!("{id} the judgement besides says {}", judgement.outcome);
    }
    let mut line = serde_json::to_vec(&decision)?;
    line.push(b'\n');
    file.write_all(&line)?;
    Ok(())
}

/// Reads what is kept; gives how many bytes are whole lines.
fn read(file: &File, answers: &mut HashMap<String, Answer>) -> Result<u64, Box<dyn Error>> {
    let (mut reader, mut line, mut whole) = (BufReader::new(file), Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        let decision: Decision = serde_json::from_slice(&line)?;
        answers.entry(decision.event_id.clone()).or_default().take(decision);
        whole += line.len() as u64;
        line.clear();
    }
    Ok(whole)
}
