//! The record: one event in one 64-bit word (SPEC section 3).
//!
//! ```text
//!  63    60 59                        32 31                              0
//! +--------+----------------------------+---------------------------------+
//! |  kind  |             id             |  ticks since the record before  |
//! +--------+----------------------------+---------------------------------+
//! ```
//!
//! Fixed size is what makes a ring cheap: a segment can be overwritten without
//! looking at what is in it, and a reader who finds it half rewritten knows
//! where every record would begin. Zero is never a record, so that the end of
//! what has been written needs no counter.

use std::fmt;

/// How many bits an id has.
pub const ID_BITS: u32 = 28;
/// The bits of an id.
pub const ID_MASK: u32 = (1 << ID_BITS) - 1;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A function was entered for the first time in this activation.
    Call = 1,
    /// It was left by `return`.
    Return = 2,
    /// It was left by an exception.
    Unwind = 3,
    /// A suspended generator or coroutine was entered again.
    Resume = 4,
    /// It was left by `yield` or `await`.
    Yield = 5,
    /// A suspended generator or coroutine was entered by `throw()`.
    Throw = 6,
    /// A C function was called.
    CCall = 7,
    /// It returned.
    CReturn = 8,
    /// It raised.
    CException = 9,
    /// A line began; the id is its number.
    Line = 10,
    /// An instruction began; see [`Word::opcode`].
    Opcode = 11,
    /// Time passed that the next record's delta cannot hold.
    Extend = 12,
    /// The header of a long record; see [`Subkind`].
    Long = 15,
}

/// What a record does to its lane's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A frame is entered.
    Push,
    /// A frame is left.
    Pop,
    /// The stack stays as it is.
    None,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 13] = [
        Kind::Call,
        Kind::Return,
        Kind::Unwind,
        Kind::Resume,
        Kind::Yield,
        Kind::Throw,
        Kind::CCall,
        Kind::CReturn,
        Kind::CException,
        Kind::Line,
        Kind::Opcode,
        Kind::Extend,
        Kind::Long,
    ];

    /// The kind with this number, if there is one.
    #[inline]
    pub fn from_number(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Unwind,
            4 => Kind::Resume,
            5 => Kind::Yield,
            6 => Kind::Throw,
            7 => Kind::CCall,
            8 => Kind::CReturn,
            9 => Kind::CException,
            10 => Kind::Line,
            11 => Kind::Opcode,
            12 => Kind::Extend,
            15 => Kind::Long,
            _ => return None,
        })
    }

    /// What a record of this kind does to its lane's stack.
    #[inline]
    pub const fn effect(self) -> Effect {
        match self {
            Kind::Call | Kind::Resume | Kind::Throw | Kind::CCall => Effect::Push,
            Kind::Return | Kind::Unwind | Kind::Yield | Kind::CReturn | Kind::CException => {
                Effect::Pop
            }
            Kind::Line | Kind::Opcode | Kind::Extend | Kind::Long => Effect::None,
        }
    }

    /// Whether the id of such a record is a symbol's.
    #[inline]
    pub fn names_a_symbol(self) -> bool {
        self.effect() != Effect::None
    }

    /// The name in `events`; [`Kind::Extend`] and [`Kind::Long`] never appear there.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Call => "call",
            Kind::Return => "return",
            Kind::Unwind => "unwind",
            Kind::Resume => "resume",
            Kind::Yield => "yield",
            Kind::Throw => "throw",
            Kind::CCall => "c_call",
            Kind::CReturn => "c_return",
            Kind::CException => "c_exception",
            Kind::Line => "line",
            Kind::Opcode => "opcode",
            Kind::Extend => "extend",
            Kind::Long => "long",
        }
    }
}

/// The subkinds of long records; a number, because readers skip unknown ones.
pub struct Subkind;

impl Subkind {
    /// An exception passes a frame.
    pub const EXCEPTION: u8 = 1;
    /// `rtrace.mark`.
    pub const MARK: u8 = 2;
    /// `rtrace.span` was entered.
    pub const SPAN_BEGIN: u8 = 3;
    /// `rtrace.span` was left.
    pub const SPAN_END: u8 = 4;
    /// `rtrace.counter`.
    pub const COUNTER: u8 = 5;
    /// Another fiber runs on this thread now.
    pub const SWITCH: u8 = 6;
    /// Events were lost here that have no record numbers.
    pub const LOST: u8 = 7;
}

/// Flag of a long record: it is not an event and has no record number.
pub const UNNUMBERED: u16 = 1;

/// Why events were lost (SPEC section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Cause {
    /// A gap that nothing explains.
    Unknown = 0,
    /// The ring was full before the collector had drained it.
    CollectorBehind = 1,
    /// No ring could be had within the memory budget.
    Budget = 2,
    /// The file system refused to allocate the ring or its growth.
    NoSpace = 3,
    /// The hook was taken from us for a time.
    Hook = 4,
    /// A segment or chunk that cannot be read.
    Damaged = 5,
    /// The shadow stack could not grow.
    Depth = 6,
    /// The process had no memory, no mapping or no descriptor left.
    ProcessLimit = 7,
}

impl Cause {
    /// Every cause, by number.
    pub const ALL: [Cause; 8] = [
        Cause::Unknown,
        Cause::CollectorBehind,
        Cause::Budget,
        Cause::NoSpace,
        Cause::Hook,
        Cause::Damaged,
        Cause::Depth,
        Cause::ProcessLimit,
    ];

    /// The cause with this number; numbers of later versions are [`Cause::Unknown`].
    pub fn from_number(number: u32) -> Cause {
        Cause::ALL.get(number as usize).copied().unwrap_or(Cause::Unknown)
    }

    /// The name in `events`.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Unknown => "unknown",
            Cause::CollectorBehind => "collector_behind",
            Cause::Budget => "budget",
            Cause::NoSpace => "no_space",
            Cause::Hook => "hook",
            Cause::Damaged => "damaged",
            Cause::Depth => "depth",
            Cause::ProcessLimit => "process_limit",
        }
    }
}

/// A record, or the header of a long one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub u64);

impl Word {
    /// A one-word record. Bits of `id` above [`ID_BITS`] are cut off.
    #[inline]
    pub const fn new(kind: Kind, id: u32, delta: u32) -> Word {
        Word((kind as u64) << 60 | ((id & ID_MASK) as u64) << 32 | delta as u64)
    }

    /// The header of a long record. Bits of `flags` above the twelfth are cut off.
    #[inline]
    pub const fn long(subkind: u8, words: u8, flags: u16, delta: u32) -> Word {
        let id = (subkind as u32) << 20 | (words as u32) << 12 | (flags as u32 & 0xFFF);
        Word::new(Kind::Long, id, delta)
    }

    /// An `extend` of `ticks`, whose lower half the next record could have held.
    #[inline]
    pub const fn extend(ticks: u64) -> Word {
        Word::new(Kind::Extend, (ticks >> 32) as u32, ticks as u32)
    }

    /// An `opcode` record; the offset is in bytes, and held at what fits.
    #[inline]
    pub const fn opcode(offset: u32, opcode: u8, delta: u32) -> Word {
        let half = if offset / 2 > 0xF_FFFF { 0xF_FFFF } else { offset / 2 };
        Word::new(Kind::Opcode, half << 8 | opcode as u32, delta)
    }

    /// The kind, if it is one that this version knows.
    #[inline]
    pub fn kind(self) -> Option<Kind> {
        Kind::from_number((self.0 >> 60) as u8)
    }

    /// The 28 bits of the id.
    #[inline]
    pub const fn id(self) -> u32 {
        (self.0 >> 32) as u32 & ID_MASK
    }

    /// Ticks since the record before.
    #[inline]
    pub const fn delta(self) -> u32 {
        self.0 as u32
    }

    /// The ticks of an `extend`.
    #[inline]
    pub const fn extend_ticks(self) -> u64 {
        (self.id() as u64) << 32 | self.delta() as u64
    }

    /// Of an `opcode` record: the instruction's offset in bytes, and the opcode.
    #[inline]
    pub const fn opcode_parts(self) -> (u32, u8) {
        ((self.id() >> 8) * 2, self.id() as u8)
    }

    /// Of a long header: the subkind.
    #[inline]
    pub const fn subkind(self) -> u8 {
        (self.id() >> 20) as u8
    }

    /// Of a long header: the number of payload words that follow.
    #[inline]
    pub const fn payload_words(self) -> usize {
        (self.id() >> 12) as u8 as usize
    }

    /// Of a long header: the twelve flags.
    #[inline]
    pub const fn flags(self) -> u16 {
        self.id() as u16 & 0xFFF
    }

    /// The same record with another id.
    #[inline]
    #[must_use]
    pub const fn with_id(self, id: u32) -> Word {
        Word(self.0 & !((ID_MASK as u64) << 32) | ((id & ID_MASK) as u64) << 32)
    }

    /// The same record with another delta.
    #[inline]
    #[must_use]
    pub const fn with_delta(self, delta: u32) -> Word {
        Word(self.0 & !0xFFFF_FFFF | delta as u64)
    }

    /// Whether this is an event with a record number, and not `extend` or an unnumbered long.
    #[inline]
    pub fn is_numbered(self) -> bool {
        match self.0 >> 60 {
            12 => false,
            15 => self.flags() & UNNUMBERED == 0,
            _ => true,
        }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Some(Kind::Long) => write!(
                f,
                "long({}, {} words, flags {:#x}, +{})",
                self.subkind(),
                self.payload_words(),
                self.flags(),
                self.delta()
            ),
            Some(kind) => write!(f, "{}({}, +{})", kind.name(), self.id(), self.delta()),
            None => write!(f, "unknown({:#018x})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_come_back_by_number() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
            assert_ne!(Word::new(kind, 0, 0).0, 0, "zero is never a record");
        }
        assert_eq!((0..=255).filter_map(Kind::from_number).count(), Kind::ALL.len());
    }

    proptest! {
        #[test]
        fn a_word_keeps_its_parts(kind in 0usize..12, id: u32, delta: u32) {
            let word = Word::new(Kind::ALL[kind], id, delta);
            prop_assert_eq!(word.kind(), Some(Kind::ALL[kind]));
            prop_assert_eq!(word.id(), id & ID_MASK);
            prop_assert_eq!(word.delta(), delta);
            prop_assert_eq!(word.with_id(7).with_delta(9), Word::new(Kind::ALL[kind], 7, 9));
        }

        #[test]
        fn a_long_header_keeps_its_parts(subkind: u8, words: u8, flags in 0u16..0x1000, delta: u32) {
            let word = Word::long(subkind, words, flags, delta);
            prop_assert_eq!(word.kind(), Some(Kind::Long));
            prop_assert_eq!(word.subkind(), subkind);
            prop_assert_eq!(word.payload_words(), words as usize);
            prop_assert_eq!(word.flags(), flags);
            prop_assert_eq!(word.delta(), delta);
        }

        #[test]
        fn an_extend_keeps_sixty_bits(ticks in 0u64..1 << 60) {
            prop_assert_eq!(Word::extend(ticks).extend_ticks(), ticks);
        }
    }
}
