//! Which processes of a session are over, for a recorder that looks for room.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rtrace_format::Meta;
use rtrace_format::process::{ENDED, REPLACED};

use crate::create::process_path;
use crate::live::{judge_process, read_process, read_session};
use crate::liveness::{Here, Liveness};

/// Judges each process once.
#[derive(Debug)]
pub struct Over {
    dir: PathBuf,
    here: Here,
    /// None where the session file cannot be read: then nobody is known to be over.
    meta: Option<Meta>,
    judged: BTreeMap<u32, Stage>,
}

/// How far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It records, or nothing else is known for certain. So does one that has become
    /// another program: its mappings are not looked at.
    Runs,
    /// It has ended its recording and is still there: it packs its rings.
    Packs,
    /// It will not touch its rings again.
    Over,
}

impl Over {
    /// The processes of the session in `dir`.
    pub fn new(dir: &Path) -> Over {
        let meta = read_session(dir).ok().map(|header| header.meta);
        Over { dir: dir.to_owned(), here: Here::now(), meta, judged: BTreeMap::new() }
    }

    /// How far a process is.
    pub fn stage(&mut self, number: u32) -> Stage {
        if let Some(&judged) = self.judged.get(&number) {
            return judged;
        }
        let stage = self.judge(number);
        self.judged.insert(number, stage);
        stage
    }

    fn judge(&self, number: u32) -> Stage {
        let Some(meta) = &self.meta else { return Stage::Runs };
        let Ok(Some(process)) = read_process(&process_path(&self.dir, number), number) else {
            return Stage::Runs;
        };
        let header = &process.header;
        let is = |liveness| judge_process(&self.here, meta, &[], header, false) == liveness;
        match header.state {
            ENDED if is(Liveness::Live) => Stage::Packs,
            ENDED | REPLACED => Stage::Over,
            _ if header.pid != 0 && is(Liveness::Dead) => Stage::Over,
            _ => Stage::Runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn a_process_packs_from_its_end_mark_to_its_death() {
        let world = World::new("flight");
        let stage = |number| Over::new(&world.dir).stage(number);
        world.dead_process(1);
        world.ended_process(2);
        let running = world.live_process(3);
        assert_eq!((stage(1), stage(2), stage(3)), (Stage::Over, Stage::Over, Stage::Runs));
        world.end_process(3);
        assert_eq!(stage(3), Stage::Packs);
        drop(running);
        assert_eq!(stage(3), Stage::Over);
        assert_eq!(stage(4), Stage::Runs);
    }
}
