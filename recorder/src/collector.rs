//! Starting the collector: a process that the traced program never notices.
//!
//! It must not be a child that `os.wait()` could reap, raise no SIGCHLD, inherit
//! no lock, descriptor or signal handler, and cost nothing but its start. So it
//! is made in two steps, both with an exit signal of 0 and both suspending only
//! this thread, until the second has become another program by `exec`: nothing
//! is copied, not even page tables. The first ends at once and is reaped here
//! (`__WCLONE` finds it, plain `wait` does not); the second is an orphan.
#![allow(unsafe_code, reason = "clone, exec and the few calls between them")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

/// What is to be executed.
#[derive(Debug)]
pub struct Command {
    program: CString,
    arguments: Vec<CString>,
}

/// A collector that was started and waits for its sign to begin.
///
/// Dropping it gives the sign.
#[derive(Debug)]
pub struct Started {
    /// Its process id.
    pub pid: u32,
    _gate: OwnedFd,
}

/// Why this process cannot have a collector, if it cannot.
pub fn hindrance(executable: &[u8]) -> Option<&'static str> {
    if executable.is_empty() {
        return Some("sys.executable is not known");
    }
    if std::process::id() == 1 {
        return Some("this process is PID 1, which would have to reap a collector");
    }
    let mut subreaper: c_int = 0;
    // SAFETY: writes one int.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut subreaper) };
    (subreaper != 0).then_some("this process is a child subreaper, which would have to reap it")
}

/// What a process of ours is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Draining the session in a directory.
    Collect,
    /// Packing what the dead have left below a user's directory.
    Tidy,
}

/// The command that does `work`: this very extension module, loaded by the interpreter
/// in isolated mode without `site`.
///
/// # Errors
/// A path with a zero byte.
pub fn command(work: Work, executable: &[u8], module: &[u8], dir: &Path) -> io::Result<Command> {
    const PROGRAM: &str = "import sys, importlib.util as u; \
        s = u.spec_from_file_location('rtrace._core', sys.argv[1]); \
        m = u.module_from_spec(s); s.loader.exec_module(m); getattr(m, sys.argv[3])(sys.argv[2])";
    let program = CString::new(executable)?;
    let arguments = [
        executable,
        b"-I",
        b"-S",
        b"-c",
        PROGRAM.as_bytes(),
        module,
        dir.as_os_str().as_encoded_bytes(),
        match work {
            Work::Collect => b"_collect",
            Work::Tidy => b"_tidy",
        },
    ];
    let arguments = arguments.into_iter().map(CString::new).collect::<Result<_, _>>()?;
    Ok(Command { program, arguments })
}

/// What both steps share with the thread that waits for them.
struct Plan {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    /// The end of the gate that the collector reads: its standard input.
    gate: c_int,
    null: c_int,
    stack: *mut c_void,
    pid: c_int,
    /// The error number of what failed, 0 for nothing.
    error: c_int,
}

const STACK: usize = 64 * 1024;

/// Starts the collector. It waits until the result is dropped.
///
/// # Errors
/// A step fails; then nothing is left behind.
pub fn spawn(command: &Command) -> io::Result<Started> {
    let (read, write) = pipe()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let arguments = pointers(&command.arguments);
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let pair = [name.as_encoded_bytes(), value.as_encoded_bytes()].join(&b'=');
            CString::new(pair).ok()
        })
        .collect();
    let environment = pointers(&environment);
    let mut first_stack = vec![0u128; STACK / 16];
    let mut second_stack = vec![0u128; STACK / 16];
    let mut plan = Plan {
        program: command.program.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        gate: read.as_raw_fd(),
        null: null.as_raw_fd(),
        stack: second_stack.as_mut_ptr_range().end.cast(),
        pid: 0,
        error: 0,
    };
    let blocked = block_signals();
    let plan_at: *mut Plan = &raw mut plan;
    // SAFETY: the stack is this call's own and outlives the child, which is done
    // with it when this returns: CLONE_VFORK suspends this thread until then.
    let first = unsafe {
        libc::clone(
            first_step,
            first_stack.as_mut_ptr_range().end.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK,
            plan_at.cast(),
        )
    };
    let failed = (first < 0).then(io::Error::last_os_error);
    if first > 0 {
        reap(first);
    }
    restore_signals(&blocked);
    if let Some(error) = failed {
        return Err(error);
    }
    // SAFETY: this thread's own; the children that shared it are gone.
    let plan = unsafe { &*plan_at };
    let (pid, error) = (plan.pid, plan.error);
    if error != 0 || pid <= 0 {
        return Err(io::Error::from_raw_os_error(if error != 0 { error } else { libc::ECHILD }));
    }
    Ok(Started { pid: pid as u32, _gate: write })
}

/// Makes the orphan and ends.
extern "C" fn first_step(plan: *mut c_void) -> c_int {
    let plan = plan.cast::<Plan>();
    // SAFETY: the thread that owns the plan is suspended.
    let stack = unsafe { (*plan).stack };
    // SAFETY: as for the first step; this step is suspended in turn.
    let pid =
        unsafe { libc::clone(second_step, stack, libc::CLONE_VM | libc::CLONE_VFORK, plan.cast()) };
    // SAFETY: the only one that runs of those who share the plan.
    let plan = unsafe { &mut *plan };
    plan.pid = pid;
    if pid < 0 {
        plan.error = errno();
    }
    // Not `exit`: the exit handlers are the program's.
    // SAFETY: ends this process.
    unsafe { libc::_exit(0) }
}

/// Becomes the collector.
extern "C" fn second_step(plan: *mut c_void) -> c_int {
    // SAFETY: the others who share the plan are suspended.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    // SAFETY: plain system calls, here and below; the descriptors and the handlers
    // are this process's own copies: CLONE_FILES and CLONE_SIGHAND were not asked for.
    unsafe { libc::setsid() };
    // SAFETY: as above.
    unsafe { libc::dup2(plan.gate, 0) };
    for standard in 1..=2 {
        // SAFETY: as above.
        unsafe { libc::dup2(plan.null, standard) };
    }
    // SAFETY: as above. An old kernel without the call leaves what is not closed
    // on exec; Python's own descriptors are.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    // SAFETY: as above.
    unsafe { libc::chdir(c"/".as_ptr()) };
    // SAFETY: an all-zero action is the default one.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: as above; the two signals that refuse are fine as they are.
        unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    }
    // SAFETY: an all-zero set is the empty one.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
    // SAFETY: the strings outlive this, in the suspended thread.
    unsafe { libc::execve(plan.program, plan.arguments, plan.environment) };
    plan.error = errno();
    // SAFETY: ends this process.
    unsafe { libc::_exit(127) }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fresh descriptors of our own.
    let read = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    Ok((read, unsafe { OwnedFd::from_raw_fd(ends[1]) }))
}

/// No handler of the program may run in a process that shares its memory.
fn block_signals() -> libc::sigset_t {
    // SAFETY: an all-zero set is a valid one to fill.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: fills the set.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: two sets of this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before) };
    before
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: a set that the system gave.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
}

fn reap(pid: c_int) {
    let mut status = 0;
    loop {
        // SAFETY: writes one int.
        let done = unsafe { libc::waitpid(pid, &raw mut status, libc::__WCLONE) };
        if done >= 0 || errno() != libc::EINTR {
            return;
        }
    }
}

/// In the collector: waits for the sign to begin, two seconds at most (a process
/// forked meanwhile may hold the gate open), and lets go of standard input.
pub fn await_sign() {
    let mut gate = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor.
    unsafe { libc::poll(&raw mut gate, 1, 2000) };
    if let Ok(null) = std::fs::File::open("/dev/null") {
        // SAFETY: replaces standard input by what is open for reading.
        unsafe { libc::dup2(null.as_raw_fd(), 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_started_is_no_child_of_ours_and_waits_for_its_sign() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let script = format!("read line; echo $PPID > {}", out.display());
        let command = Command {
            program: c"/bin/sh".into(),
            arguments: vec![c"sh".into(), c"-c".into(), CString::new(script).unwrap()],
        };
        let started = spawn(&command).unwrap();
        let (mut status, all) = (0, libc::__WALL | libc::WNOHANG);
        // SAFETY: writes one int.
        let found = unsafe { libc::waitpid(started.pid as c_int, &raw mut status, all) };
        assert_eq!((found, errno()), (-1, libc::ECHILD), "it can be reaped");
        std::thread::sleep(Duration::from_millis(100));
        assert!(!out.exists(), "it did not wait");
        drop(started);
        let end = Instant::now() + Duration::from_secs(5);
        while std::fs::read_to_string(&out).map_or(true, |text| text.is_empty()) {
            assert!(Instant::now() < end, "it did not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        let parent = std::fs::read_to_string(&out).unwrap();
        assert_ne!(parent.trim(), std::process::id().to_string());
    }

    #[test]
    fn what_cannot_be_executed_is_an_error_and_leaves_nothing() {
        let nowhere = Command { program: c"/nowhere".into(), arguments: vec![c"nowhere".into()] };
        let error = spawn(&nowhere).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let mut status = 0;
        let all = libc::__WALL | libc::WNOHANG;
        // SAFETY: writes one int.
        let found = unsafe { libc::waitpid(-1, &raw mut status, all) };
        assert!(found <= 0, "a process was left to be reaped");
    }
}
