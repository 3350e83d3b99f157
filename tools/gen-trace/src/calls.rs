//! One thread's calls, made up record by record.

use rtrace_format::frame::C_FUNCTION;
use rtrace_format::record::Subkind;
use rtrace_format::symbol::FIRST_ID;
use rtrace_format::{Frame, Keyframe, Kind, Rows, Word, long};

use crate::model::Model;

/// Deeper than this only what is meant to be deep goes.
const DEPTH: usize = 60;
/// After so many records a call of the outermost loop makes no further ones.
const CALL_RECORDS: u32 = 20_000;
/// One of so many calls of the outermost loop goes deep, and one goes wide.
const SELDOM: u32 = 4096;

/// An open call.
#[derive(Debug, Clone, Copy)]
struct Open {
    function: u32,
    variant: u32,
    id: u32,
    /// What it does.
    body: u32,
    /// Calls that it has made.
    made: u32,
    /// Calls that it has yet to make.
    left: u32,
    /// It has had its exception.
    handled: bool,
    tick: u64,
}

/// A thread in the making.
#[derive(Debug)]
pub struct Calls<'m> {
    model: &'m Model,
    random: fastrand::Rng,
    stack: Vec<Open>,
    /// Now.
    pub tick: u64,
    /// Records yet to be made.
    pub left: u64,
    number: u64,
    /// How long it waits between two calls, in 1/256 of what the last one took.
    idle: u64,
    /// When the outermost loop made its last call, and how many records that has.
    call_began: u64,
    call_records: u32,
    /// Ticks of the wait that is under way, or was just before.
    waits: u64,
    /// An exception is under way.
    raised: bool,
}

impl<'m> Calls<'m> {
    /// A thread that begins at `tick` and will have `events` records.
    pub fn new(model: &'m Model, seed: u64, tick: u64, events: u64, idle: u64) -> Calls<'m> {
        let random = fastrand::Rng::with_seed(seed);
        Calls {
            model,
            random,
            stack: Vec::new(),
            tick,
            left: events,
            number: 0,
            idle,
            call_began: tick,
            call_records: 0,
            waits: 0,
            raised: false,
        }
    }

    /// The frames that are open.
    pub fn keyframe(&self) -> Keyframe {
        let frames: Vec<Frame> = self
            .stack
            .iter()
            .map(|open| {
                let is_c = self.model.functions[open.function as usize].is_c;
                Frame::new(open.id, if is_c { C_FUNCTION } else { 0 }, open.tick)
            })
            .collect();
        Keyframe::of(&frames, frames.len(), 0)
    }

    /// The next `count` records or a few more, fewer where they are long or the last.
    pub fn next(&mut self, count: usize) -> Rows {
        let mut rows = Rows {
            base_tick: self.tick,
            first_record: self.number,
            rows: Vec::with_capacity(count + 1),
            payload: Vec::new(),
        };
        while rows.rows.len() < count && rows.payload.len() < count && self.left > 0 {
            self.step(&mut rows);
        }
        self.number = rows.first_record + rows.numbered();
        rows
    }

    fn step(&mut self, rows: &mut Rows) {
        let Some(&top) = self.stack.last() else {
            let serve = self.model.serve;
            return self.enter(rows, serve, 0, Some(u32::MAX), 1000);
        };
        let function = &self.model.functions[top.function as usize];
        let mut gap = u64::from(function.gap(&mut self.random));
        if top.function as usize == self.model.wait {
            gap = self.waits;
        }
        self.call_records = self.call_records.saturating_add(1);
        if self.raised && !function.is_c {
            return self.pass_exception(rows, gap);
        }
        if self.stack.len() == 1 {
            return self.serve(rows, gap);
        }
        if top.left == 0 || (self.call_records > CALL_RECORDS && !self.is_made(top.function)) {
            self.raised = !top.handled && self.random.u32(..) < function.raises;
            if self.raised && !function.is_c {
                return self.pass_exception(rows, gap);
            }
            let kind = match (function.is_c, self.raised) {
                (true, true) => Kind::CException,
                (true, false) => Kind::CReturn,
                (false, _) => Kind::Return,
            };
            return self.leave(rows, kind, gap);
        }
        self.call(rows, top, gap);
    }

    /// The call on top makes one of its own.
    fn call(&mut self, rows: &mut Rows, top: Open, gap: u64) {
        let at = top.function as usize;
        let (callee, left) = if at == self.model.descend {
            (at, Some(top.left - 1))
        } else if at == self.model.sweep {
            (self.model.leaf, None)
        } else {
            let deep = self.stack.len() >= DEPTH;
            let callee = self.model.bodies[top.body as usize].callee(top.made);
            (callee, deep.then_some(0))
        };
        let depth = self.stack.len();
        let caller = &mut self.stack[depth - 1];
        caller.made += 1;
        caller.left = if at == self.model.descend { 0 } else { caller.left - 1 };
        let variant = if self.random.u8(..) < 4 { self.any_variant() } else { top.variant };
        self.enter(rows, callee, variant, left, gap);
    }

    /// The outermost loop: waits, then calls something.
    fn serve(&mut self, rows: &mut Rows, gap: u64) {
        let wait = (self.tick - self.call_began).saturating_mul(self.idle) / 256;
        if self.waits == 0 && wait > 0 {
            self.waits = wait;
            return self.enter(rows, self.model.wait, 0, None, gap);
        }
        self.waits = 0;
        self.call_began = self.tick;
        self.call_records = 0;
        let variant = self.any_variant();
        match self.random.u32(..SELDOM) {
            0 => {
                let deep = self.random.u32(500..3000);
                self.enter(rows, self.model.descend, variant, Some(deep), gap);
            }
            1 => {
                let wide = self.random.u32(20_000..200_000);
                self.enter(rows, self.model.sweep, variant, Some(wide), gap);
            }
            _ => {
                let root = self.model.root(&mut self.random);
                self.enter(rows, root, variant, None, gap);
            }
        }
    }

    /// The exception arrives in the frame on top: handled there, or passed on.
    fn pass_exception(&mut self, rows: &mut Rows, gap: u64) {
        let depth = self.stack.len();
        let top = self.stack[depth - 1];
        let (first, types) = self.model.exceptions;
        let kind = first + top.id % types;
        let line = self.model.functions[top.function as usize].line + top.id % 20;
        let mut payload = Vec::with_capacity(8);
        long::encode_exception(&mut payload, top.id, line, kind, b"not to be had");
        let delta = self.pass(rows, gap);
        rows.rows.push(Word::long(Subkind::EXCEPTION, payload.len() as u8, 0, delta).0);
        rows.payload.extend(payload);
        self.left -= 1;
        self.raised = depth > 2 && self.random.u8(..) < 100;
        self.stack[depth - 1].handled = true;
        if self.raised && self.left > 0 {
            self.leave(rows, Kind::Unwind, gap / 4);
        }
    }

    fn any_variant(&mut self) -> u32 {
        self.random.u32(..self.model.variants)
    }

    fn is_made(&self, function: u32) -> bool {
        let function = function as usize;
        function == self.model.sweep || function == self.model.descend
    }

    /// Enters a function, which makes `left` calls or as many as it usually does.
    fn enter(&mut self, rows: &mut Rows, at: usize, variant: u32, left: Option<u32>, gap: u64) {
        let id = self.model.id(at, variant);
        debug_assert!(id >= FIRST_ID);
        let function = &self.model.functions[at];
        self.record(rows, if function.is_c { Kind::CCall } else { Kind::Call }, id, gap);
        let body = function.body(&mut self.random);
        let left = left.unwrap_or(self.model.bodies[body as usize].count);
        let function = at as u32;
        let (made, handled, tick) = (0, false, self.tick);
        self.stack.push(Open { function, variant, id, body, made, left, handled, tick });
    }

    fn leave(&mut self, rows: &mut Rows, kind: Kind, gap: u64) {
        if let Some(open) = self.stack.pop() {
            self.record(rows, kind, open.id, gap);
        }
    }

    #[inline]
    fn record(&mut self, rows: &mut Rows, kind: Kind, id: u32, gap: u64) {
        let delta = self.pass(rows, gap);
        rows.rows.push(Word::new(kind, id, delta).0);
        self.left -= 1;
    }

    /// Moves the clock; gives what is left of the way for the record's own delta.
    #[inline]
    fn pass(&mut self, rows: &mut Rows, gap: u64) -> u32 {
        self.tick += gap;
        u32::try_from(gap).unwrap_or_else(|_| {
            rows.rows.push(Word::extend(gap).0);
            0
        })
    }
}
