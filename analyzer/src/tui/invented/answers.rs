//! What an invented program answers, by looking at all of its calls.

use std::collections::HashSet;
use std::sync::Arc;

use crate::query::timeline::{Flags, Lane, Raster};
use crate::tui::source::{
    CallTree, Density, DiffAsk, DiffPage, DiffRow, Ended, EventPage, EventRow, EventsAsk,
    ExceptionRow, Exceptions, Fate, Figures, Find, FunctionRow, Functions, Hits, LaneAsk,
    LaneFrames, Latency, MadeRow, Moment, MomentAsk, NOBODY, Overview, Part, PartingRow, Selected,
    Source, SourceAsk, SourceLine, SourcePage, Step, TreeNode,
};
use crate::tui::worker::Ticket;

use super::{Call, Invented};

impl Invented {
    fn selected(&self, call: &Call) -> Selected {
        let mut callers: Vec<&Call> = self
            .calls
            .iter()
            .filter(|c| c.lane == call.lane && c.depth < call.depth)
            .filter(|c| c.start <= call.start && call.end <= c.end)
            .collect();
        callers.sort_by_key(|c| c.depth);
        let ended = match call.flags {
            Flags { open: true, .. } => Ended::Open,
            Flags { unwound: true, .. } => Ended::Unwound,
            _ => Ended::Returned,
        };
        let children = self.children(call);
        let inside: i64 = children.iter().map(|c| c.end - c.start).sum();
        Selected {
            lane: call.lane,
            depth: call.depth,
            symbol: call.symbol,
            key: call.start as u64,
            seen: call.start as u64,
            moment: None,
            start: call.start,
            end: call.end,
            self_ns: Some((call.end - call.start - inside) as u64),
            children: Some(children.len() as u64),
            began_before: call.flags.began_before,
            ended,
            callers: callers.iter().map(|c| Some(c.symbol)).collect(),
            raised: None,
        }
    }

    fn children(&self, call: &Call) -> Vec<&Call> {
        let inside = |c: &&Call| {
            c.lane == call.lane
                && c.depth == call.depth + 1
                && call.start <= c.start
                && c.end <= call.end
        };
        let mut children: Vec<&Call> = self.calls.iter().filter(inside).collect();
        children.sort_by_key(|c| c.start);
        children
    }

    fn wants(&self, part: &Part, call: &Call) -> bool {
        part.lane.is_none_or(|lane| lane == call.lane)
            && part.functions.as_ref().is_none_or(|functions| functions.contains(&call.symbol))
    }

    /// Adds the paths of calls that have one caller, and those below.
    fn grow(&self, part: &Part, tree: &mut CallTree, parent: u32, calls: Vec<&Call>) {
        let inside = |c: &&Call| c.start < part.to && c.end > part.from;
        let clipped = |c: &Call| (c.end.min(part.to) - c.start.max(part.from)).max(0) as u64;
        let mut by_symbol: Vec<(u32, Vec<&Call>)> = Vec::new();
        for call in calls.into_iter().filter(inside) {
            match by_symbol.iter_mut().find(|(symbol, _)| *symbol == call.symbol) {
                Some((_, same)) => same.push(call),
                None => by_symbol.push((call.symbol, vec![call])),
            }
        }
        let total = |calls: &[&Call]| calls.iter().map(|c| clipped(c)).sum::<u64>();
        by_symbol.sort_by_key(|(symbol, calls)| (std::cmp::Reverse(total(calls)), *symbol));
        let first = tree.nodes.len() as u32;
        for (symbol, calls) in &by_symbol {
            let below: u64 = calls.iter().flat_map(|c| self.children(c)).map(clipped).sum();
            tree.nodes.push(TreeNode {
                symbol: *symbol,
                parent,
                calls: calls.len() as u64,
                self_ns: total(calls) - below,
                total_ns: total(calls),
                children: (0, 0),
            });
        }
        let own = (first, tree.nodes.len() as u32);
        match tree.nodes.get_mut(parent as usize) {
            Some(node) => node.children = own,
            None => tree.roots = own.1,
        }
        for (at, (_, calls)) in (first..).zip(by_symbol) {
            let children = calls.iter().flat_map(|c| self.children(c)).collect();
            self.grow(part, tree, at, children);
        }
    }

    fn step(&self, from: &Selected, step: Step) -> Option<&Call> {
        let of_lane = || self.calls.iter().filter(|c| c.lane == from.lane);
        let me = of_lane().find(|c| c.depth == from.depth && c.start as u64 == from.key)?;
        let parent = || {
            of_lane().find(|c| c.depth + 1 == me.depth && c.start <= me.start && me.end <= c.end)
        };
        match step {
            Step::Parent => parent(),
            Step::FirstChild => self.children(me).first().copied(),
            Step::HeaviestChild => self.children(me).into_iter().max_by_key(|c| c.end - c.start),
            Step::PreviousSibling => {
                self.children(parent()?).into_iter().rfind(|c| c.start < me.start)
            }
            Step::NextSibling => self.children(parent()?).into_iter().find(|c| c.start > me.start),
            Step::Previous => of_lane()
                .filter(|c| (c.start, c.depth) < (me.start, me.depth))
                .max_by_key(|c| (c.start, c.depth)),
            Step::Next => of_lane()
                .filter(|c| (c.start, c.depth) > (me.start, me.depth))
                .min_by_key(|c| (c.start, c.depth)),
        }
    }
}

impl Source for Invented {
    fn overview(&self) -> Overview {
        self.overview.clone()
    }

    fn lane(&self, ask: LaneAsk, _: &Ticket, emit: &mut dyn FnMut(Lane)) {
        // Raster times are unsigned: the invented ones are moved past any negative edge.
        const MOVED: i64 = 1 << 60;
        let edges = (0..=i64::from(ask.grid.cols)).map(|c| (ask.grid.edge(c) + MOVED) as u64);
        let mut raster = Raster::new(ask.grid, edges.collect(), ask.depth, ask.rows);
        for call in self.calls.iter().filter(|call| call.lane == ask.lane) {
            let (start, end) = ((call.start + MOVED) as u64, (call.end + MOVED) as u64);
            raster.call(call.depth, call.symbol, start, end, call.flags);
            if call.depth == 0 {
                raster.busy(start, end);
            }
        }
        emit(raster.finish(false, |t| t as i64 - MOVED));
    }

    fn density(&self, cols: u16, _: &Ticket) -> Vec<Density> {
        let mut out = vec![Density::default(); usize::from(cols)];
        let last = out.len() - 1;
        for call in &self.calls {
            let at = (call.end * i64::from(cols) / self.overview.end) as usize;
            out[at.min(last)].events += 2;
            out[at.min(last)].exception |= call.flags.unwound;
        }
        out
    }

    fn functions(&self, part: &Part, _: &Ticket) -> Option<Functions> {
        let Part { from, to, .. } = *part;
        let mut rows: Vec<FunctionRow> = Vec::new();
        for symbol in 0..self.overview.labels.len() as u32 {
            let mine = self.calls.iter().filter(|c| c.symbol == symbol && self.wants(part, c));
            let mine: Vec<&Call> = mine.filter(|c| c.start < to && c.end > from).collect();
            let longest = mine.iter().map(|c| (c.end - c.start) as u64).max();
            let Some(longest) = longest else { continue };
            let mut latency = Latency::default();
            mine.iter().for_each(|c| latency.add((c.end - c.start) as u64, 1));
            let clipped = |c: &Call| (c.end.min(to) - c.start.max(from)).max(0) as u64;
            let inside = |c: &Call| self.children(c).iter().map(|k| clipped(k)).sum::<u64>();
            rows.push(FunctionRow {
                symbol,
                calls: mine.len() as u64,
                self_ns: mine.iter().map(|c| clipped(c) - inside(c)).sum(),
                total_ns: mine.iter().map(|c| clipped(c)).sum(),
                p50_ns: Some(longest),
                p99_ns: Some(longest),
                max_ns: Some(longest),
                latency,
            });
        }
        Some(Functions { part: part.clone(), rows, complete: true })
    }

    fn exceptions(&self, part: &Part, _: &Ticket) -> Option<Exceptions> {
        let Part { from, to, .. } = *part;
        let raised = self.calls.iter().filter(|c| c.flags.unwound && from <= c.end && c.end < to);
        let rows = raised.map(|call| ExceptionRow {
            what: "OperationalError: timeout".to_owned(),
            symbol: call.symbol,
            line: 12,
            lane: call.lane,
            count: 1,
            handled: Some(1),
            escaped: Some(0),
            first: call.end,
            last: call.end,
        });
        Some(Exceptions { part: part.clone(), rows: rows.collect() })
    }

    fn moment(&self, ask: &MomentAsk, _: &Ticket) -> Option<Moment> {
        let open = |lane: usize| {
            let here = self.calls.iter().filter(|c| c.lane == lane);
            let mut open: Vec<&Call> =
                here.filter(|c| c.start <= ask.ns && ask.ns <= c.end).collect();
            open.sort_by_key(|c| std::cmp::Reverse(c.depth));
            open
        };
        let mut lanes: Vec<usize> = (0..self.overview.lanes.len()).collect();
        lanes.sort_by_key(|lane| *lane != ask.lane);
        let stacks = lanes.into_iter().map(|lane| LaneFrames {
            lane,
            frames: open(lane).iter().map(|c| Some(c.symbol)).collect(),
            last_seen: None,
        });
        let left = open(ask.lane);
        let way = left.iter().filter(|c| c.end == ask.ns || c.flags.unwound);
        let mut way: Vec<(u32, u32)> = way.map(|c| (c.symbol, 12)).collect();
        way.push((2, 21));
        Some(Moment {
            ask: ask.clone(),
            way,
            left_out: 0,
            fate: Fate::Caught,
            stacks: stacks.filter(|stack| !stack.frames.is_empty()).collect(),
            more: 0,
        })
    }

    fn tree(&self, part: &Part, _: &Ticket) -> Option<CallTree> {
        let mut tree = CallTree { complete: true, ..CallTree::default() };
        let roots: Vec<&Call> = self.calls.iter().filter(|c| c.depth == 0).collect();
        self.grow(part, &mut tree, NOBODY, roots);
        Some(tree)
    }

    fn events(&self, ask: &EventsAsk, _: &Ticket) -> Option<EventPage> {
        let mut rows = Vec::new();
        for call in self.calls.iter().filter(|call| self.wants(&ask.part, call)) {
            let row = |ns, kind, took| EventRow {
                ns,
                lane: Some(call.lane),
                number: 0,
                kind,
                depth: call.depth,
                symbol: Some(call.symbol),
                line: None,
                text: String::new(),
                took,
            };
            let took = Some((call.end - call.start) as u64);
            if !call.flags.began_before {
                rows.push(row(call.start, "call", None));
            }
            if !call.flags.open {
                rows.push(row(
                    call.end,
                    if call.flags.unwound { "unwind" } else { "return" },
                    took,
                ));
            }
        }
        let order = |row: &EventRow| {
            let call = row.edge() == Some(true);
            (row.ns, row.lane, call, if call { row.depth } else { u32::MAX - row.depth })
        };
        rows.sort_by_key(order);
        (0..).zip(&mut rows).for_each(|(number, row)| row.number = number);
        let exact = ask.exact.and_then(|(_, n)| rows.iter().position(|row| row.number == n));
        let at = exact.unwrap_or_else(|| rows.partition_point(|row| row.ns < ask.ns));
        let from = at.saturating_sub(ask.before);
        let to = (at + ask.after).min(rows.len());
        let (first, last) = (from == 0, to == rows.len());
        let rows = rows[from..to].to_vec();
        Some(EventPage { rows, at: at - from, before: from as u64, first, last })
    }

    fn hits(&self, symbols: &HashSet<u32>, cols: u16, _: &Ticket) -> Option<Hits> {
        let hits = self.calls.iter().filter(|call| symbols.contains(&call.symbol));
        let mut starts: Vec<i64> = hits.map(|call| call.start).collect();
        starts.sort_unstable();
        let mut marked = vec![false; usize::from(cols)];
        for start in &starts {
            let at = (start * i64::from(cols) / self.overview.end) as usize;
            if let Some(col) = marked.get_mut(at) {
                *col = true;
            }
        }
        Some(Hits { count: starts.len() as u64, cols: marked, starts })
    }

    fn source(&self, ask: &SourceAsk, _: &Ticket) -> Option<SourcePage> {
        let of = |symbol: u32| self.overview.labels.get(symbol as usize)?.source.clone();
        let (file, _) = of(ask.symbol)?;
        let mut lines: Vec<SourceLine> = (1..=30)
            .map(|number| SourceLine {
                number,
                text: format!("    line {number}"),
                ..SourceLine::default()
            })
            .collect();
        for symbol in 0..self.overview.labels.len() as u32 {
            let Some((_, line)) = of(symbol).filter(|(path, _)| *path == file) else { continue };
            let mine: Vec<&Call> = self.calls.iter().filter(|c| c.symbol == symbol).collect();
            let ns = |c: &Call| (c.end - c.start) as u64;
            let made = mine.iter().flat_map(|c| self.children(c));
            let below = made.clone().map(ns).sum::<u64>();
            let at = &mut lines[line as usize - 1];
            at.text = format!("def {}():", self.overview.labels[symbol as usize].name);
            at.hits = mine.len() as u64;
            at.total_ns = mine.iter().map(|c| ns(c)).sum();
            at.self_ns = at.total_ns - below;
            at.raised = mine.iter().filter(|c| c.flags.unwound).count() as u64;
            at.defines = Some(symbol);
            for call in made {
                match at.made.iter_mut().find(|made| made.symbol == call.symbol) {
                    Some(row) => {
                        (row.calls, row.total_ns) = (row.calls + 1, row.total_ns + ns(call))
                    }
                    None => {
                        at.made.push(MadeRow { symbol: call.symbol, calls: 1, total_ns: ns(call) })
                    }
                }
            }
        }
        for line in &mut lines {
            line.made.sort_by_key(|made| (std::cmp::Reverse(made.total_ns), made.symbol));
        }
        let file = file.display().to_string();
        Some(SourcePage { ask: ask.clone(), file, lines, banner: None, recorded: false })
    }

    fn diff(&self, ask: &DiffAsk, ticket: &Ticket) -> Option<DiffPage> {
        let side = |part: &Part| Some(self.functions(part, ticket)?.rows);
        let (a, b) = (side(ask.a.as_ref()?)?, side(&ask.b)?);
        let of = |rows: &[FunctionRow], symbol| {
            let row = rows.iter().find(|row| row.symbol == symbol)?;
            let FunctionRow { calls, self_ns, total_ns, .. } = *row;
            Some(Figures { calls, self_ns, total_ns })
        };
        let row = |symbol: u32| DiffRow {
            name: self.overview.labels[symbol as usize].name.clone(),
            symbol: Some(symbol),
            a: of(&a, symbol),
            b: of(&b, symbol),
        };
        let rows = (0..self.overview.labels.len() as u32).map(row);
        let parting = PartingRow {
            alike: 2,
            a: Some(("db.exec".to_owned(), 32_000_000)),
            b: Some(("db.query".to_owned(), 510_000_000, 0, 2)),
        };
        Some(DiffPage {
            ask: ask.clone(),
            other: None,
            rows: rows.filter(|row| row.a.is_some() || row.b.is_some()).collect(),
            parting: Some(parting),
            compared: 2,
            complete: true,
        })
    }

    fn time_of_event(&self, number: u64, _: &Ticket) -> Option<i64> {
        let mut times: Vec<i64> = self.calls.iter().flat_map(|c| [c.start, c.end]).collect();
        times.sort_unstable();
        times.get(number as usize).copied()
    }

    fn find(&self, find: &Find, _: &Ticket) -> Option<Selected> {
        let by_length = |c: &&Call| c.end - c.start;
        let found = match find {
            Find::At { lane, from, to, depth } => self
                .calls
                .iter()
                .filter(|c| c.lane == *lane && c.depth <= *depth && c.start < *to && c.end > *from)
                .max_by_key(|c| (c.depth, c.end - c.start)),
            Find::Step { from, step } => self.step(from, *step),
            Find::Out { from } => self.step(from, Step::Parent),
            Find::Event { lane, ns, depth } => self
                .calls
                .iter()
                .filter(|c| c.lane == *lane && c.depth <= *depth)
                .filter(|c| c.start <= *ns && *ns <= c.end)
                .max_by_key(|c| (c.depth, c.start)),
            Find::Again { call } => self
                .calls
                .iter()
                .find(|c| c.lane == call.lane && c.depth == call.depth && c.start == call.start),
            Find::Last { lane } => self
                .calls
                .iter()
                .filter(|c| c.lane == *lane && c.flags.open)
                .max_by_key(|c| c.depth),
            Find::Longest { symbol, from, to } => self
                .calls
                .iter()
                .filter(|c| c.symbol == *symbol && c.start < *to && c.end > *from)
                .max_by_key(by_length),
            Find::Match { symbols, ns, forward } => {
                let hits = self.calls.iter().filter(|c| symbols.contains(&c.symbol));
                if *forward {
                    hits.filter(|c| c.start > *ns).min_by_key(|c| c.start)
                } else {
                    hits.filter(|c| c.start < *ns).max_by_key(|c| c.start)
                }
            }
            Find::Exception { ns, forward } => {
                let raised = self.calls.iter().filter(|c| c.flags.unwound);
                if *forward {
                    raised.filter(|c| c.end > *ns).min_by_key(|c| c.end)
                } else {
                    raised.filter(|c| c.end < *ns).max_by_key(|c| c.end)
                }
            }
        };
        found.map(|call| self.selected(call))
    }

    fn refresh(&self, _: &Ticket) -> Option<Arc<dyn Source>> {
        None
    }
}
