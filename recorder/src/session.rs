//! Beginning a session: its directory, its files and the first bytes of `trace.bin`.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rtrace_format::process::{ProcessHeader, RECORDING};
use rtrace_format::session::{COLLECTOR_STARTED, SessionHeader};
use rtrace_format::{Meta, Value, symbol};
use rtrace_session::{Error, create, dirs, host, janitor, output};

use crate::clock;
use crate::collector::{self, Work};
use crate::options::{Mode, Options};
use crate::recording::{Recording, next_generation};
use crate::ring::RingOptions;
use crate::shared::{ProcessPage, SessionPage};
use crate::symbols::Symbols;

/// What only the interpreter knows of itself.
#[derive(Debug, Clone, Default)]
pub struct Interpreter {
    /// The version, as `sys.version` begins.
    pub version: Vec<u8>,
    /// `sys.implementation.name`.
    pub implementation: Vec<u8>,
    /// `sys.executable`; empty where there is none.
    pub executable: Vec<u8>,
    /// The file of this extension module.
    pub module: Vec<u8>,
}

/// The most that a session keeps unless asked otherwise, in bytes.
const DEFAULT_MEMORY: u64 = 256 << 20;

/// A recording that was begun, and what the user should hear of it.
#[derive(Debug)]
pub struct Begun {
    /// The recording.
    pub recording: Recording,
    /// What is other than asked for, in one line each.
    pub notes: Vec<String>,
}

/// Makes the files of a new session and this process's place in it.
///
/// # Errors
/// The output path is refused, or there is no directory or room for the rings.
pub fn begin(mut options: Options, interpreter: &Interpreter) -> Result<Begun, Error> {
    let mut notes = Vec::new();
    let pid = std::process::id();
    let output = output::reserve(&options.output, pid)?;
    if let Some(before) = output.renamed() {
        notes.push(format!("the unfinished trace that was there is now {}", before.display()));
    }
    let base = dirs::choose_base(options.ring_dir.as_deref())?;
    let uuid = host::new_uuid();
    let clock = clock::choose();
    let started_ns = host::unix_ns();
    tidy(&base, interpreter);
    let dir = dirs::create_session_dir(&base, started_ns, pid, &uuid)?;
    let collector = start_collector(&mut options, interpreter, &dir, &mut notes);
    let memory_max = options.max_memory.unwrap_or_else(|| default_memory(&base));

    let mut meta = Meta::default();
    let text = |value: &str| Value::text(value);
    let bytes = |path: &Path| Value::text(path.as_os_str().as_encoded_bytes());
    meta.set("uuid", text(&host::uuid_text(&uuid)));
    meta.set("started_at_ns", Value::U64(started_ns));
    clock.to_meta(&mut meta);
    meta.set("mode", text(options.mode.name()));
    meta.set("output", bytes(output.path()));
    meta.set("session_dir", bytes(&dir));
    meta.set("boot_id", text(&host::boot_id()));
    meta.set("pid_namespace", Value::U64(host::pid_namespace()));
    meta.set("hostname", text(&host::hostname()));
    meta.set("uid", Value::U64(host::uid().into()));
    meta.set("rtrace_version", text(env!("CARGO_PKG_VERSION")));
    meta.set("ring_size", Value::U64(options.ring_size));
    meta.set("max_memory", Value::U64(memory_max));
    options.to_meta(&mut meta);

    let made = (|| {
        let header = SessionHeader {
            uuid,
            next_serial: 0,
            next_process: 1,
            symbols_tail: symbol::HEADER_LEN as u64,
            memory_used: 0,
            memory_max,
            collector_pid: 0,
            collector_state: 0,
            given_back: 0,
            meta: meta.clone(),
        };
        let session = create::session_file(&dir, &header)?;
        let symbols = create::symbols_file(&dir, &uuid)?;
        let process = create::process_file(
            &dir,
            &ProcessHeader {
                number: 0,
                pid,
                parent: None,
                ppid: std::os::unix::process::parent_id(),
                start_time: host::start_time(pid).unwrap_or(0),
                state: RECORDING,
                end_tick: 0,
                exit_code: None,
                lost: 0,
                lost_causes: Default::default(),
                overwritten_threads: 0,
                overwritten_events: 0,
                event_cost_ps: 0,
                c_event_cost_ps: 0,
                filtered: 0,
                closed_sites: 0,
                meta: process_meta(&options, interpreter, &clock, pid),
            },
        )?;
        let map_error = |error| Error::io(&dir, "map", error);
        let page = SessionPage::new(&session).map_err(map_error)?;
        let len = |file: &File| file.metadata().map_or(0, |meta| meta.len());
        page.charge(len(&session) + len(&symbols) + len(&process));
        page.pay_symbols(0, len(&symbols));
        let process = ProcessPage::new(&process).map_err(map_error)?;
        Ok::<_, Error>((page, process))
    })();
    let (page, process) = match made {
        Ok(parts) => parts,
        Err(error) => {
            // What was made of the session holds nothing yet.
            let _ = dirs::remove_session_dir(&dir);
            return Err(error);
        }
    };
    if let Some(collector) = &collector {
        page.set_collector(collector.pid, COLLECTOR_STARTED);
    }
    let trace = match output.write(&uuid, started_ns, &meta) {
        Ok(path) => path,
        Err(error) => {
            let _ = dirs::remove_session_dir(&dir);
            return Err(error);
        }
    };
    let rings = RingOptions {
        dir: dir.clone(),
        uuid,
        process: 0,
        ring_size: options.ring_size,
        drained: options.mode == Mode::Full,
    };
    let symbols = Symbols::new(create::symbols_path(&dir), memory_max);
    let recording = Recording::new(
        next_generation(),
        clock,
        options,
        trace,
        rings,
        Arc::new(page),
        process,
        Arc::new(Mutex::new(symbols)),
        interpreter.clone(),
    );
    // From here on the collector finds everything that it needs.
    drop(collector);
    Ok(Begun { recording, notes })
}

/// Has what the dead have left packed by a process of its own, where it is too much.
fn tidy(base: &Path, interpreter: &Interpreter) {
    let Ok(user_dir) = dirs::user_dir(base) else { return };
    let budget = janitor::budget(&user_dir);
    if janitor::kept(&user_dir) <= budget || collector::hindrance(&interpreter.executable).is_some()
    {
        return;
    }
    let (program, module) = (&interpreter.executable, &interpreter.module);
    // Without it everything stays as it is, and there is less room.
    let _ = collector::command(Work::Tidy, program, module, &user_dir)
        .and_then(|command| collector::spawn(&command));
}

/// Starts the collector that full mode needs; where there can be none, the mode
/// becomes flight.
fn start_collector(
    options: &mut Options,
    interpreter: &Interpreter,
    dir: &Path,
    notes: &mut Vec<String>,
) -> Option<collector::Started> {
    if options.mode != Mode::Full {
        return None;
    }
    let started = match collector::hindrance(&interpreter.executable) {
        Some(why) => Err(why.to_owned()),
        None => {
            collector::command(Work::Collect, &interpreter.executable, &interpreter.module, dir)
                .and_then(|command| collector::spawn(&command))
                .map_err(|error| format!("it cannot be started: {error}"))
        }
    };
    match started {
        Ok(started) => Some(started),
        Err(why) => {
            options.mode = Mode::Flight;
            notes.push(format!("recording in flight mode, without a collector: {why}"));
            None
        }
    }
}

/// What a process file says of its process.
pub fn process_meta(
    options: &Options,
    interpreter: &Interpreter,
    clock: &rtrace_format::Clock,
    pid: u32,
) -> Meta {
    let mut meta = Meta::default();
    meta.set("pid", Value::U64(pid.into()));
    meta.set("ppid", Value::U64(std::os::unix::process::parent_id().into()));
    meta.set("argv", Value::List(options.argv.clone()));
    let cwd = std::env::current_dir().unwrap_or_default();
    meta.set("cwd", Value::text(cwd.as_os_str().as_encoded_bytes()));
    meta.set("python", Value::text(&interpreter.version));
    meta.set("implementation", Value::text(&interpreter.implementation));
    meta.set("executable", Value::text(&interpreter.executable));
    meta.set("hook", Value::text(options.hook.name()));
    meta.set("mode", Value::text(options.mode.name()));
    meta.set("c_calls", Value::Bool(options.c_calls));
    meta.set("lines", Value::Bool(options.lines));
    meta.set("opcodes", Value::Bool(options.opcodes));
    meta.set("started_tick", Value::U64(clock::Ticks::of(clock).now()));
    meta
}

/// 256 MiB, but no more than an eighth of the control group's memory and half of
/// what is free where the rings go.
fn default_memory(base: &Path) -> u64 {
    let free = rustix::fs::statvfs(base).map_or(u64::MAX, |fs| fs.f_bavail * fs.f_frsize / 2);
    DEFAULT_MEMORY.min(free).min(cgroup_limit() / 8)
}

fn cgroup_limit() -> u64 {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let read = |file| std::fs::read_to_string(file).ok()?.trim().parse().ok();
    files.into_iter().find_map(read).unwrap_or(u64::MAX)
}
