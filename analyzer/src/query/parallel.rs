//! Threads of the trace, spread over threads of this machine.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::progress::Progress;

/// Asks `question` of every item and gives the answers in the items' order.
pub fn map<T: Sync, R: Send>(items: &[T], question: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let progress = Progress::new(items.len() as u64);
    let ask = |item: &T| {
        let answer = question(item);
        progress.step();
        answer
    };
    if workers <= 1 {
        return items.iter().map(ask).collect();
    }
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let answer = ask(item);
                    let mut answers = answers.lock().unwrap_or_else(|held| held.into_inner());
                    answers[at] = Some(answer);
                }
            });
        }
    });
    // Every slot was filled: a worker that panicked would have ended the scope.
    answers.into_inner().unwrap_or_else(|held| held.into_inner()).into_iter().flatten().collect()
}
