//! A source of invented calls, for tests: everything by plain loops over a list.

mod answers;

use std::sync::Arc;

use crate::query::timeline::{Flags, Gap};

use super::source::{Label, LaneInfo, Overview, State};
use super::theme::Tint;

#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    pub lane: usize,
    pub depth: u32,
    pub symbol: u32,
    pub start: i64,
    pub end: i64,
    pub flags: Flags,
}

pub struct Invented {
    pub overview: Overview,
    /// In order of their ends.
    pub calls: Vec<Call>,
}

impl Invented {
    /// Calls of lanes named `names`; labels are `module.name` texts, by symbol.
    pub fn new(names: &[&str], labels: &[&str], mut calls: Vec<Call>) -> Invented {
        calls.sort_by_key(|call| (call.end, std::cmp::Reverse(call.depth)));
        let end = calls.iter().map(|call| call.end).max().unwrap_or(1);
        let lanes = names.iter().enumerate().map(|(lane, name)| LaneInfo {
            serial: lane as u64 + 1,
            pid: 100,
            name: (*name).to_owned(),
            events: 2 * calls.iter().filter(|call| call.lane == lane).count() as u64,
            lost: 0,
            overwritten: 0,
            deepest: calls
                .iter()
                .filter(|c| c.lane == lane)
                .map(|c| c.depth + 1)
                .max()
                .unwrap_or(0),
            last: calls.iter().filter(|c| c.lane == lane).map(|c| c.end).max().unwrap_or(0),
            gaps: Vec::new(),
        });
        let label = |(id, text): (usize, &&str)| {
            let (module, name) = text.rsplit_once('.').unwrap_or(("", text));
            let c = module == "builtins";
            Label {
                name: name.to_owned(),
                module: module.to_owned(),
                place: if c { String::new() } else { format!("src/{module}.py:{}", 10 + id) },
                source: (!c).then(|| (format!("src/{module}.py").into(), 10 + id as u32)),
                tint: Tint::of(module.as_bytes(), name.as_bytes(), c),
                c,
                left_out: None,
            }
        };
        let overview = Overview {
            file: "trace.bin".to_owned(),
            state: State::Finished,
            processes: 1,
            killed: 0,
            events: 2 * calls.len() as u64,
            lost: 0,
            overwritten: 0,
            problems: 0,
            begin: 0,
            end,
            opening: (0, end),
            lanes: lanes.collect(),
            other: None,
            labels: Arc::new(labels.iter().enumerate().map(label).collect()),
        };
        Invented { overview, calls }
    }

    /// Two threads of a little server: requests, a query that fails, many tiny calls.
    pub fn server() -> Invented {
        const MS: i64 = 1_000_000;
        let labels = [
            "(unknown)",
            "main.serve",
            "app.handle",
            "app.parse",
            "db.query",
            "db.exec",
            "app.render",
            "json.dumps",
            "builtins.len",
            "worker.run",
            "worker.job",
            "http.fetch",
        ];
        let mut calls = Vec::new();
        let mut add = |lane, depth, symbol, start: i64, end: i64, flags| {
            calls.push(Call { lane, depth, symbol, start, end, flags });
        };
        let plain = Flags::default();
        let raised = Flags { unwound: true, ..plain };
        add(0, 0, 1, 0, 1_000 * MS, Flags { began_before: true, open: true, ..plain });
        for i in 0..6 {
            let at = i * 160 * MS;
            add(0, 1, 2, at, at + 140 * MS, plain);
            add(0, 2, 3, at + MS, at + 24 * MS, plain);
            for k in 0..200 {
                let tiny = at + 2 * MS + k * 100_000;
                add(0, 3, 8, tiny, tiny + 60_000, plain);
            }
            add(0, 2, 4, at + 30 * MS, at + 90 * MS, if i == 3 { raised } else { plain });
            add(0, 3, 5, at + 32 * MS, at + 88 * MS, if i == 3 { raised } else { plain });
            add(0, 2, 6, at + 95 * MS, at + 138 * MS, plain);
            add(0, 3, 7, at + 100 * MS, at + 130 * MS, plain);
        }
        add(1, 0, 9, 300 * MS, 900 * MS, plain);
        add(1, 1, 10, 310 * MS, 600 * MS, plain);
        add(1, 2, 11, 400 * MS, 590 * MS, plain);
        add(1, 1, 10, 650 * MS, 890 * MS, plain);
        Invented::new(&["MainThread", "worker-1"], &labels, calls)
    }

    /// Hides the history of a lane before a time, as a flight ring does.
    pub fn gap(mut self, lane: usize, gap: Gap) -> Invented {
        self.overview.lanes[lane].gaps.push(gap);
        self
    }
}
