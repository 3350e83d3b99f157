//! A progress bar on stderr, for work that takes longer than a second.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long work may take before it is worth a bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether bars may be shown at all: never under the terminal UI, which owns the screen.
static ALLOWED: AtomicBool = AtomicBool::new(true);

/// Counts steps; shows a bar once that is worth it and stderr is a terminal.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    done: AtomicU64,
    start: Instant,
    bar: Mutex<Option<ProgressBar>>,
    visible: bool,
}

/// Forbids bars for the rest of this process.
pub fn forbid() {
    ALLOWED.store(false, Ordering::Relaxed);
}

impl Progress {
    /// Work of `total` steps that begins now.
    pub fn new(total: u64) -> Self {
        let visible = ALLOWED.load(Ordering::Relaxed) && std::io::stderr().is_terminal();
        Self {
            total,
            done: AtomicU64::new(0),
            start: Instant::now(),
            bar: Mutex::new(None),
            visible,
        }
    }

    /// One step is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.visible || self.start.elapsed() < PATIENCE {
            return;
        }
        // Whoever finds the bar busy leaves drawing to the one who has it.
        if let Ok(mut bar) = self.bar.try_lock() {
            bar.get_or_insert_with(|| new_bar(self.total)).set_position(done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Ok(Some(bar)) = self.bar.get_mut() {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {eta} left");
    let bar = ProgressBar::new(total);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
