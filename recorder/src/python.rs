//! The extension module `rtrace._core`.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rtrace_format::record::Subkind;

use crate::filter::Filter;
use crate::hook::slot::Slot;
use crate::options::{HookKind, Mode, Options};
use crate::session::Interpreter;
use crate::{control, filter, hook, names, recording};

/// What runs under the names that the package gives it. Private to the package.
/// Importing it leaves the GIL of a free-threaded build off; recording is refused there.
#[pymodule(gil_used = false)]
mod _core {
    use super::*;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python packages use")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Whether this build is one whose instructions are worth counting.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "a name for Python")]
    const _optimized: bool = cfg!(not(debug_assertions));

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        hook::new_threads::set_module(module);
        Ok(())
    }

    /// Says where the package's Python files are.
    #[pyfunction]
    fn _set_home(directory: Vec<u8>) {
        names::code::set_home(directory);
    }

    /// Says where the standard library's Python files are.
    #[pyfunction]
    fn _set_stdlib(directory: Vec<u8>) {
        filter::set_stdlib(directory);
    }

    /// Begins a session; gives what is other than asked for, in one line each. Events come
    /// from `_install` or `_run` on.
    #[pyfunction]
    fn _prepare(py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
        Ok(control::prepare(py, parse(options)?, &interpreter(py))?.1)
    }

    /// Calls a function of the program's for ourselves: no tool sees what it does.
    #[pyfunction]
    fn _quietly(function: &Bound<'_, PyAny>) -> PyResult<()> {
        control::quietly(function)
    }

    /// Begins to record into the session that was prepared.
    #[pyfunction]
    fn _install(py: Python<'_>) -> PyResult<()> {
        let Some(recording) = recording::current() else { return Ok(()) };
        // A hook that cannot be had is the environment's fault, as a full disk is.
        control::install(py, &recording)
            .map_err(|error| PyOSError::new_err(error.value(py).to_string()))
    }

    /// Runs a code object as the program, recorded if a recording was prepared.
    #[pyfunction]
    fn _run<'py>(
        py: Python<'py>,
        code: &Bound<'py, PyAny>,
        globals: &Bound<'py, PyDict>,
        module: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        control::run(py, code, globals, module)
    }

    /// Makes this process, which is just starting, one of the session in `dir`.
    #[pyfunction]
    fn _join(py: Python<'_>, dir: Vec<u8>, argv: Vec<Vec<u8>>) -> PyResult<()> {
        let dir = PathBuf::from(std::ffi::OsString::from_vec(dir));
        control::join(py, &dir, argv, &interpreter(py))
    }

    /// The directory of the session that this process's children are to join, the process's
    /// number in it and its trace; `None` where nothing is recorded.
    #[pyfunction]
    fn _session(py: Python<'_>) -> Option<(Bound<'_, PyBytes>, u32, Bound<'_, PyBytes>)> {
        let recording = recording::current()?;
        let bytes = |path: &Path| PyBytes::new(py, path.as_os_str().as_encoded_bytes());
        let dir = bytes(&recording.dir);
        Some((dir, recording.rings.process, bytes(&recording.output)))
    }

    /// Ends the recording; gives the path of its trace, and what keeps it from being finished.
    #[pyfunction]
    #[pyo3(signature = (exit_code=None, wait=true, exiting=false))]
    fn _stop<'py>(
        py: Python<'py>,
        exit_code: Option<i32>,
        wait: bool,
        exiting: bool,
    ) -> PyResult<(Bound<'py, PyBytes>, Option<String>)> {
        let stopped = control::stop(py, exit_code, wait, exiting)?;
        Ok((PyBytes::new(py, stopped.output.as_os_str().as_encoded_bytes()), stopped.note))
    }

    /// Writes what the rings of the whole session hold now to another file.
    #[pyfunction]
    fn _snapshot<'py>(
        py: Python<'py>,
        output: Vec<u8>,
        reason: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let reason = String::from_utf8_lossy(&text(reason)?).into_owned();
        let output = PathBuf::from(std::ffi::OsString::from_vec(output));
        let written = control::snapshot(py, &output, &reason)?;
        Ok(PyBytes::new(py, written.as_os_str().as_encoded_bytes()))
    }

    /// In the collector's process: drains a session to its end.
    #[pyfunction]
    fn _collect(dir: PathBuf) -> PyResult<()> {
        crate::collector::await_sign();
        let done = rtrace_session::collector::run(&dir);
        done.map(drop).map_err(|error| PyOSError::new_err(error.to_string()))
    }

    /// In a process of its own: packs what the dead have left below a user's directory.
    #[pyfunction]
    fn _tidy(user_dir: PathBuf) {
        crate::collector::await_sign();
        let budget = rtrace_session::janitor::budget(&user_dir);
        rtrace_session::janitor::tidy(&user_dir, budget);
    }

    /// Whether this process records.
    #[pyfunction]
    fn _is_recording() -> bool {
        recording::current().is_some()
    }

    /// What is wrong with this combination of hook and options; `None` if nothing is.
    #[pyfunction]
    fn _check_hook(name: &str, c_calls: bool, lines: bool, opcodes: bool) -> Option<String> {
        let chosen = hook::choose(name);
        let checked = chosen.and_then(|hook| hook::check(hook, c_calls, lines, opcodes));
        checked.err()
    }

    #[pyfunction]
    fn _mark(name: &Bound<'_, PyAny>) -> PyResult<()> {
        control::named(Subkind::MARK, &text(name)?);
        Ok(())
    }

    #[pyfunction]
    fn _span_begin(name: &Bound<'_, PyAny>) -> PyResult<()> {
        control::named(Subkind::SPAN_BEGIN, &text(name)?);
        Ok(())
    }

    #[pyfunction]
    fn _span_end(name: &Bound<'_, PyAny>) -> PyResult<()> {
        control::named(Subkind::SPAN_END, &text(name)?);
        Ok(())
    }

    #[pyfunction]
    fn _counter(name: &Bound<'_, PyAny>, value: f64) -> PyResult<()> {
        control::counter(&text(name)?, value);
        Ok(())
    }

    /// What `threading` calls with a new thread's first event under the hook `profile`.
    #[pyfunction]
    fn _profile_new_thread(frame: &Bound<'_, PyAny>, event: &str, argument: &Bound<'_, PyAny>) {
        hook::new_threads::first_event(Slot::Profile, frame, event, argument);
    }

    /// The same under the hook `trace`.
    #[pyfunction]
    fn _trace_new_thread(frame: &Bound<'_, PyAny>, event: &str, argument: &Bound<'_, PyAny>) {
        hook::new_threads::first_event(Slot::Trace, frame, event, argument);
    }
}

/// A `str` as WTF-8.
fn text(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    crate::ffi::text_of(object).ok_or_else(|| PyValueError::new_err("a name must be a str"))
}

fn interpreter(py: Python<'_>) -> Interpreter {
    let sys = py.import("sys");
    let get = |path: &[&str]| -> Vec<u8> {
        let mut object = match &sys {
            Ok(sys) => sys.clone().into_any(),
            Err(_) => return Vec::new(),
        };
        for name in path {
            match object.getattr(*name) {
                Ok(value) => object = value,
                Err(_) => return Vec::new(),
            }
        }
        crate::ffi::text_of(&object).unwrap_or_default()
    };
    let version = get(&["version"]);
    let first = version.split(|&byte| byte == b' ').next().unwrap_or_default();
    Interpreter {
        version: first.to_vec(),
        implementation: get(&["implementation", "name"]),
        executable: get(&["executable"]),
        module: module_file(py),
    }
}

/// The file that this module was loaded from; empty where that is not known.
fn module_file(py: Python<'_>) -> Vec<u8> {
    let module = py.import("rtrace._core").and_then(|module| module.getattr("__file__"));
    module.ok().and_then(|file| crate::ffi::text_of(&file)).unwrap_or_default()
}

/// Options as the package hands them over, already of the right types.
fn parse(options: &Bound<'_, PyDict>) -> PyResult<Options> {
    let get = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        Ok(options.get_item(name)?.filter(|value| !value.is_none()))
    };
    let flag =
        |name: &str| -> PyResult<bool> { get(name)?.map_or(Ok(false), |value| value.is_truthy()) };
    let number = |name: &str| -> PyResult<Option<u64>> {
        get(name)?.map(|value| value.extract()).transpose()
    };
    let path = |name: &str| -> PyResult<Option<PathBuf>> {
        let bytes = get(name)?.map(|value| value.extract::<Vec<u8>>()).transpose()?;
        Ok(bytes.map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes))))
    };
    let list = |name: &str| -> PyResult<Vec<Vec<u8>>> {
        get(name)?.map_or(Ok(Vec::new()), |value| value.extract())
    };
    let hook: String = get("hook")?.map_or(Ok("auto".into()), |value| value.extract())?;
    let hook = hook::choose(&hook).map_err(PyValueError::new_err)?;
    let (c_calls, lines, opcodes) = (flag("c_calls")?, flag("lines")?, flag("opcodes")?);
    hook::check(hook, c_calls, lines, opcodes).map_err(PyValueError::new_err)?;
    let mode: String = get("mode")?.map_or(Ok("flight".into()), |value| value.extract())?;
    let mode = match mode.as_str() {
        "flight" => Mode::Flight,
        "full" => Mode::Full,
        other => return Err(PyValueError::new_err(format!("there is no mode {other:?}"))),
    };
    let default_ring = if mode == Mode::Full { 64 << 20 } else { 16 << 20 };
    Ok(Options {
        output: path("output")?.unwrap_or_else(|| PathBuf::from("trace.bin")),
        mode,
        hook,
        c_calls,
        lines: lines || hook == HookKind::Trace,
        opcodes,
        ring_size: number("ring_size")?.unwrap_or(default_ring),
        max_memory: number("max_memory")?,
        ring_dir: path("ring_dir")?,
        filter: Filter::new(list("include")?, list("exclude")?),
        budget: get("budget")?.map(|value| value.extract()).transpose()?,
        min_duration_ns: number("min_duration_ns")?,
        max_depth: number("max_depth")?.map(|depth| u32::try_from(depth).unwrap_or(u32::MAX)),
        children: flag("children")?,
        runner: flag("runner")?,
        argv: list("argv")?,
    })
}
