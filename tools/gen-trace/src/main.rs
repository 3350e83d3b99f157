//! Writes a synthetic trace of any length, for tests and benchmarks.
//!
//!     cargo run --release -p gen-trace -- --events 1000000000 --threads 16 -o big.bin
//!
//! The calls follow a [model] learned from recordings of real programs:
//! who calls whom how often, for how long, and how it ends. Some parts are made
//! deeper and wider than that, because real traces have such parts too. The
//! same arguments give the same file, byte for byte.

mod calls;
mod file;
mod model;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;

/// Writes a synthetic trace, lifelike in shape.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many lines `rtrace-view events` prints of it
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// How many threads it has; the first are busier than the last
    #[arg(long, default_value_t = 16)]
    threads: u32,
    /// Over how many processes the threads are spread
    #[arg(long, default_value_t = 1)]
    processes: u32,
    /// How many functions are called, at least
    #[arg(long, default_value_t = 5000)]
    functions: u32,
    /// What the choices of the generator begin with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The trace
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.threads > 0, "a trace has at least one thread");
    ensure!(
        (1..=arguments.threads).contains(&arguments.processes),
        "each process has at least one thread"
    );
    let model = model::Model::learned(arguments.functions)?;
    let began = std::time::Instant::now();
    let shape = file::Shape {
        events: arguments.events,
        threads: arguments.threads,
        processes: arguments.processes,
        seed: arguments.seed,
    };
    let bytes = file::write(&model, &shape, &arguments.output)?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} events, {bytes} bytes, {:.1} M events/s",
        arguments.events,
        arguments.events as f64 / seconds / 1e6
    );
    Ok(())
}
