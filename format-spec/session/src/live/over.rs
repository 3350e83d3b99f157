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
    judged: BTreeMap<u32, bool>,
}

impl Over {
    /// The processes of the session in `dir`.
    pub fn new(dir: &Path) -> Over {
        let meta = read_session(dir).ok().map(|header| header.meta);
        Over { dir: dir.to_owned(), here: Here::now(), meta, judged: BTreeMap::new() }
    }

    /// Whether a process has ended or is gone, for certain. One that has become another
    /// program counts as running: its mappings are not looked at.
    pub fn is_over(&mut self, number: u32) -> bool {
        if let Some(&judged) = self.judged.get(&number) {
            return judged;
        }
        let over = self.judge(number);
        self.judged.insert(number, over);
        over
    }

    fn judge(&self, number: u32) -> bool {
        let Some(meta) = &self.meta else { return false };
        let Ok(Some(process)) = read_process(&process_path(&self.dir, number), number) else {
            return false;
        };
        let header = &process.header;
        let gone = || judge_process(&self.here, meta, &[], header, false) == Liveness::Dead;
        [ENDED, REPLACED].contains(&header.state) || (header.pid != 0 && gone())
    }
}
