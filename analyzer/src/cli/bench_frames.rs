//! `rtrace-view bench-frames`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::output;
use crate::json::Json;
use crate::trace::{OpenOptions, Trace};
use crate::tui::{self, Frames};

/// Times a scripted tour of the terminal UI, drawn off-screen.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(trace: Trace, options: OpenOptions, json: bool) -> Result<ExitCode> {
    let frames = tui::bench(trace, options)?;
    if json {
        output::print_json(to_json(&frames))?;
    } else {
        output::print(&to_text(&frames))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The nearest-rank quantile `per_mille` / 1000 of times in ascending order, in ns.
fn quantile(times: &[Duration], per_mille: usize) -> u64 {
    let rank = (times.len() * per_mille).div_ceil(1000).max(1);
    times.get(rank - 1).map_or(0, |time| time.as_nanos() as u64)
}

fn to_json(frames: &Frames) -> Json {
    let mut json = Json::new();
    json.object(|j| {
        j.key("width").uint(frames.width.into());
        j.key("height").uint(frames.height.into());
        j.key("frames").uint(frames.times.len() as u64);
        j.key("median_ns").uint(quantile(&frames.times, 500));
        j.key("p99_ns").uint(quantile(&frames.times, 990));
        j.key("max_ns").uint(quantile(&frames.times, 1000));
        j.key("timeline_p99_ns").uint(quantile(&frames.timeline, 990));
        j.key("full_repaint_bytes").uint(frames.full_repaint_bytes as u64);
    });
    json
}

fn to_text(frames: &Frames) -> String {
    let ms = |per_mille| quantile(&frames.times, per_mille) as f64 / 1e6;
    format!(
        "{} frames of {}x{}: median {:.2} ms, p99 {:.2} ms, max {:.2} ms; the timeline's first \
         answers to a key: p99 {:.2} ms; a full repaint is {} bytes\n",
        frames.times.len(),
        frames.width,
        frames.height,
        ms(500),
        ms(990),
        ms(1000),
        quantile(&frames.timeline, 990) as f64 / 1e6,
        frames.full_repaint_bytes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_nanos).collect();
        assert_eq!(quantile(&times, 500), 100);
        assert_eq!(quantile(&times, 990), 198);
        assert_eq!(quantile(&times, 1000), 200);
        assert_eq!(quantile(&[], 500), 0);
    }
}
