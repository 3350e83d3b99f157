//! greenlet: telling the writers which of a thread's stacks runs.
//!
//! Greenlets share one thread, and the interpreter's hooks say nothing of a switch. The
//! package tells it to one callable a thread, `greenlet.settrace`; ours records it and
//! hands it on to the one that was there before. It is installed by each thread itself,
//! at its first event after `greenlet` was imported; nothing is imported for it. Where
//! the program puts a callable of its own in our place we are not told any more: that is
//! noticed, and recorded as a loss.
//!
//! Nothing here runs the program's code, and no greenlet is kept alive: a reference of
//! ours would keep its frames, which greenlet unwinds when nobody has it any more.
#![allow(unsafe_code, reason = "a callable of the interpreter and the type it is of")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a call and taking over the reference that it returns are one step"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi::{self, PyObject, PyTypeObject};
use rtrace_format::Frame;

use crate::attach;
use crate::ffi::callables::{CallableType, Layout};
use crate::ffi::{_PyType_Lookup, Owned, dict_get};
use crate::recording::{self, GENERATION};
use crate::thread;
use crate::writer::Writer;
use crate::writer::fibers::Ask;

/// Whether the program has imported `greenlet`, as far as was noticed.
static THERE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Our callable while it waits to be installed again: greenlet takes away one that raises,
    /// which ours does where the one before it did.
    static REMOVED: Cell<*mut PyObject> = const { Cell::new(ptr::null_mut()) };
    /// The greenlet that runs, as far as we were told; only ever compared.
    static LAST: Cell<*mut PyObject> = const { Cell::new(ptr::null_mut()) };
}

/// Whether threads should watch for switches.
pub fn is_there() -> bool {
    THERE.load(Ordering::Relaxed)
}

/// Looks whether `greenlet` is imported already.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn look() {
    // SAFETY: the caller's promise.
    let there = !unsafe { attach::module(EXTENSION) }.is_null();
    THERE.store(there, Ordering::Relaxed);
}

/// Code of `greenlet` was seen for the first time: it is being imported. Called with the GIL.
#[cold]
pub fn seen() {
    if !THERE.swap(true, Ordering::Relaxed) {
        for entry in thread::entries().iter_mut() {
            entry.writer().watch_fibers();
        }
    }
}

const EXTENSION: &CStr = c"greenlet._greenlet";

/// What is used of the package; borrowed from its module, which keeps it.
struct Api {
    settrace: *mut PyObject,
    gettrace: *mut PyObject,
    getcurrent: *mut PyObject,
    kind: *mut PyTypeObject,
}

impl Api {
    /// # Safety
    /// - the GIL is held.
    unsafe fn get() -> Option<Api> {
        // SAFETY: the caller's promise; borrowed.
        let module = unsafe { attach::module(EXTENSION) };
        // SAFETY: null or a dict.
        let get = |name| Some(unsafe { dict_get(module, name) }).filter(|found| !found.is_null());
        let kind = get(c"greenlet")?;
        // SAFETY: alive in the module.
        if unsafe { ffi::PyType_Check(kind) } == 0 {
            return None;
        }
        // The last that the module gets: before, it is still being made.
        get(c"_C_API")?;
        Some(Api {
            settrace: get(c"settrace")?,
            gettrace: get(c"gettrace")?,
            getcurrent: get(c"getcurrent")?,
            kind: kind.cast(),
        })
    }

    /// # Safety
    /// - the GIL is held.
    unsafe fn tracer(&self) -> Option<Owned> {
        // SAFETY: a builtin function without arguments; a new reference comes back.
        unsafe { Owned::take(ffi::PyObject_CallNoArgs(self.gettrace)) }
    }

    /// Puts a callable (null: none) in place, and gives the one before it.
    ///
    /// # Safety
    /// - the GIL is held; `tracer` is null or alive.
    unsafe fn set_tracer(&self, tracer: *mut PyObject) -> Option<Owned> {
        // SAFETY: the address of a static.
        let none = unsafe { ffi::Py_None() };
        let tracer = if tracer.is_null() { none } else { tracer };
        // SAFETY: a builtin function; a new reference comes back.
        unsafe { Owned::take(ffi::PyObject_CallOneArg(self.settrace, tracer)) }
    }

    /// An attribute that greenlet itself defines, whatever a subclass makes of it.
    ///
    /// # Safety
    /// - the GIL is held; `greenlet` is one.
    unsafe fn own(&self, greenlet: *mut PyObject, name: &CStr) -> Option<Owned> {
        // SAFETY: a new reference comes back.
        let name = unsafe { Owned::take(ffi::PyUnicode_InternFromString(name.as_ptr())) }?;
        // SAFETY: a live type; borrowed or null.
        let descriptor = unsafe { _PyType_Lookup(self.kind, name.as_ptr()) };
        if descriptor.is_null() {
            return None;
        }
        // SAFETY: alive in the type.
        let get = unsafe { (*ffi::Py_TYPE(descriptor)).tp_descr_get }?;
        // SAFETY: a descriptor of the type that the object is of; a new reference or null.
        unsafe { Owned::take(get(descriptor, greenlet, ffi::Py_TYPE(greenlet).cast())) }
    }

    /// The thread's running greenlet, and its main one.
    ///
    /// # Safety
    /// - the GIL is held.
    unsafe fn here(&self) -> Option<(Owned, Owned)> {
        // SAFETY: a builtin function without arguments; a new reference comes back.
        let current = unsafe { Owned::take(ffi::PyObject_CallNoArgs(self.getcurrent)) }?;
        // SAFETY: alive.
        let mut main = unsafe { Owned::take(ffi::Py_NewRef(current.as_ptr())) }?;
        loop {
            // SAFETY: a greenlet.
            let parent = unsafe { self.own(main.as_ptr(), c"parent") }?;
            // SAFETY: alive.
            if unsafe { ffi::Py_IsNone(parent.as_ptr()) } != 0 {
                return Some((current, main));
            }
            main = parent;
        }
    }
}

/// What the interpreter calls, and who was called before.
#[repr(C)]
struct Tracer {
    ob_base: PyObject,
    vectorcall: ffi::vectorcallfunc,
    state: *mut State,
}

/// What one thread's callable knows.
struct State {
    generation: u32,
    /// The thread that it is of.
    ident: usize,
    /// Owned; null where there was none.
    previous: *mut PyObject,
    /// The address of the thread's main greenlet, which lives as long as the thread.
    main: *mut PyObject,
    numbers: HashMap<*mut PyObject, Known>,
    next: u32,
    /// At so many known greenlets those are looked for that are gone.
    sweep_at: usize,
}

/// A greenlet's number, and whether it is still the one at that address.
struct Known {
    fiber: u32,
    /// A weak reference, owned.
    weak: *mut PyObject,
}

impl Known {
    /// # Safety
    /// - the GIL is held.
    unsafe fn is(&self, greenlet: *mut PyObject) -> bool {
        let mut found = ptr::null_mut();
        // SAFETY: a weak reference; a new reference or null comes back.
        unsafe { ffi::compat::PyWeakref_GetRef(self.weak, &raw mut found) };
        // SAFETY: owned.
        let found = unsafe { Owned::take(found) };
        found.is_some_and(|found| found.as_ptr() == greenlet)
    }

    /// # Safety
    /// - the GIL is held.
    unsafe fn is_gone(&self) -> bool {
        // SAFETY: as above; no address is null.
        let mut found = ptr::null_mut();
        // SAFETY: a weak reference; a new reference or null comes back.
        unsafe { ffi::compat::PyWeakref_GetRef(self.weak, &raw mut found) };
        // SAFETY: owned.
        unsafe { Owned::take(found) }.is_none()
    }
}

impl State {
    /// The number of a greenlet, and whether it is new.
    ///
    /// # Safety
    /// - the GIL is held; `greenlet` is one.
    unsafe fn number(&mut self, greenlet: *mut PyObject, writer: &mut Writer) -> (u32, bool) {
        if greenlet == self.main {
            return (0, false);
        }
        if let Some(known) = self.numbers.get(&greenlet) {
            // SAFETY: the caller's promise.
            if unsafe { known.is(greenlet) } {
                return (known.fiber, false);
            }
        }
        if self.numbers.len() >= self.sweep_at {
            // SAFETY: the caller's promise.
            unsafe { self.sweep(writer) };
        }
        let fiber = self.next;
        self.next = self.next.saturating_add(1);
        // SAFETY: alive; without a callback nothing is called when it dies.
        let weak = unsafe { ffi::PyWeakref_NewRef(greenlet, ptr::null_mut()) };
        if weak.is_null() {
            // SAFETY: the GIL is held.
            unsafe { ffi::PyErr_Clear() };
        } else if let Some(gone) = self.numbers.insert(greenlet, Known { fiber, weak }) {
            writer.forget_fiber(gone.fiber);
            // SAFETY: owned.
            unsafe { ffi::Py_DECREF(gone.weak) };
        }
        (fiber, true)
    }

    /// # Safety
    /// - the GIL is held.
    unsafe fn sweep(&mut self, writer: &mut Writer) {
        // SAFETY: the caller's promise.
        for (_, gone) in self.numbers.extract_if(|_, known| unsafe { known.is_gone() }) {
            writer.forget_fiber(gone.fiber);
            // SAFETY: owned.
            unsafe { ffi::Py_DECREF(gone.weak) };
        }
        self.sweep_at = (self.numbers.len() * 2).max(64);
    }
}

/// The callables' type.
static TRACER_TYPE: CallableType = CallableType::new(Layout {
    name: c"rtrace._core.switch",
    size: size_of::<Tracer>(),
    vectorcall: offset_of!(Tracer, vectorcall),
    dealloc: Some(dealloc),
});

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: an object of our type, which owns its state.
    let state = unsafe { Box::from_raw((*object.cast::<Tracer>()).state) };
    let writer = thread::writer();
    let is_here = state.ident == thread::current_ident() && !writer.is_null();
    if is_here && state.generation == GENERATION.load(Ordering::Relaxed) {
        // The program put its own in our place, and did not even keep ours.
        // SAFETY: the current thread's own writer, with the GIL held.
        let said = std::panic::catch_unwind(|| unsafe { (*writer).lose_fibers() });
        drop(said);
    }
    // SAFETY: null or owned.
    unsafe { ffi::Py_XDECREF(state.previous) };
    for known in state.numbers.values() {
        // SAFETY: owned.
        unsafe { ffi::Py_DECREF(known.weak) };
    }
    // SAFETY: allocated by `PyObject_New`, and nobody has it any more.
    unsafe { ffi::PyObject_Free(object.cast()) };
}

/// The state of a callable of ours; none of anybody else's.
///
/// # Safety
/// - the GIL is held; `object` is alive.
unsafe fn state_of<'a>(object: *mut PyObject) -> Option<&'a mut State> {
    // SAFETY: the caller's promise.
    let ours = unsafe { ffi::Py_TYPE(object) == TRACER_TYPE.get() };
    // SAFETY: an object of our type.
    ours.then(|| unsafe { &mut *(*object.cast::<Tracer>()).state })
}

/// A callable for the current thread.
///
/// # Safety
/// - the GIL is held; `previous` is null or alive, `main` the thread's main greenlet.
unsafe fn new_tracer(previous: *mut PyObject, main: *mut PyObject) -> Option<Owned> {
    // SAFETY: the caller's promise.
    let kind = unsafe { TRACER_TYPE.get() };
    if kind.is_null() {
        // SAFETY: the GIL is held.
        unsafe { ffi::PyErr_Clear() };
        return None;
    }
    // SAFETY: a type that is ready; a new reference or null comes back.
    let object = unsafe { Owned::take(ffi::PyObject_New(kind)) }?;
    let state = State {
        generation: GENERATION.load(Ordering::Relaxed),
        ident: thread::current_ident(),
        // SAFETY: null or alive.
        previous: unsafe { ffi::Py_XNewRef(previous) },
        main,
        numbers: HashMap::new(),
        next: 1,
        sweep_at: 64,
    };
    let tracer = object.as_ptr().cast::<Tracer>();
    // SAFETY: a new object of this layout.
    unsafe { (*tracer).vectorcall = on_switch };
    // SAFETY: as above.
    unsafe { (*tracer).state = Box::into_raw(Box::new(state)) };
    Some(object)
}

/// What a writer asks at an event; see [`Ask`].
pub fn ask(writer: &mut Writer, what: Ask) -> bool {
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: events come with the GIL held.
        let api = unsafe { Api::get() };
        match (what, api) {
            (Ask::Watch { .. }, None) => false,
            // SAFETY: as above.
            (Ask::Watch { entering }, Some(api)) => unsafe { watch(&api, writer, entering) },
            // The package was taken out of `sys.modules`: nothing says that we are not told.
            (Ask::Check, None) => true,
            // SAFETY: as above.
            (Ask::Check, Some(api)) => unsafe { is_told(&api) || is_in_step(&api) },
        }
    }));
    answer.unwrap_or(true)
}

/// Whether the current thread's switches come to us.
///
/// # Safety
/// - the GIL is held.
unsafe fn is_told(api: &Api) -> bool {
    // SAFETY: the caller's promise.
    let tracer = unsafe { api.tracer() };
    // SAFETY: alive.
    let state = tracer.as_ref().and_then(|tracer| unsafe { state_of(tracer.as_ptr()) });
    state.is_some_and(|state| state.generation == GENERATION.load(Ordering::Relaxed))
}

/// Whether the greenlet that we were told of last is the one that runs: another callable
/// in our place may hand on to ours.
///
/// # Safety
/// - the GIL is held.
unsafe fn is_in_step(api: &Api) -> bool {
    // SAFETY: a builtin function without arguments; a new reference comes back.
    let current = unsafe { Owned::take(ffi::PyObject_CallNoArgs(api.getcurrent)) };
    current.is_some_and(|current| current.as_ptr() == LAST.get())
}

/// Has the current thread's switches told to us. True: there is nothing more to do.
///
/// # Safety
/// - the GIL is held; `writer` is the current thread's.
unsafe fn watch(api: &Api, writer: &mut Writer, entering: bool) -> bool {
    // SAFETY: owned, since it was removed.
    if let Some(again) = unsafe { Owned::take(REMOVED.replace(ptr::null_mut())) } {
        // One of an earlier recording stays away.
        // SAFETY: alive.
        let state = unsafe { state_of(again.as_ptr()) };
        if state.is_some_and(|state| state.generation == GENERATION.load(Ordering::Relaxed)) {
            // SAFETY: alive.
            unsafe { api.set_tracer(again.as_ptr()) };
            return true;
        }
    }
    // SAFETY: the caller's promise.
    if unsafe { is_told(api) } {
        return true;
    }
    // SAFETY: the caller's promise.
    let (Some((current, main)), Some(before)) = (unsafe { api.here() }, unsafe { api.tracer() })
    else {
        writer.lose_fibers();
        return true;
    };
    // One of ours from an earlier recording hands on to the one before it.
    // SAFETY: alive.
    let previous = match unsafe { state_of(before.as_ptr()) } {
        Some(stale) => stale.previous,
        // SAFETY: alive.
        None if unsafe { ffi::Py_IsNone(before.as_ptr()) } != 0 => ptr::null_mut(),
        None => before.as_ptr(),
    };
    // SAFETY: alive, as `before` is.
    let tracer = unsafe { new_tracer(previous, main.as_ptr()) };
    // SAFETY: alive.
    let set = tracer.as_ref().and_then(|tracer| unsafe { api.set_tracer(tracer.as_ptr()) });
    // SAFETY: alive.
    let state = tracer.as_ref().and_then(|tracer| unsafe { state_of(tracer.as_ptr()) });
    let (Some(_), Some(state)) = (set, state) else {
        writer.lose_fibers();
        return true;
    };
    // SAFETY: the caller's promise.
    unsafe { begin(api, writer, state, (&current, &main), entering) };
    true
}

/// Brings the writer's lanes to what is open as the watch begins.
///
/// # Safety
/// - the GIL is held; the greenlets are the current thread's running and main one.
unsafe fn begin(
    api: &Api,
    writer: &mut Writer,
    state: &mut State,
    (current, main): (&Owned, &Owned),
    entering: bool,
) {
    let Some(recording) = recording::current() else { return };
    LAST.set(current.as_ptr());
    let is_main = current.as_ptr() == main.as_ptr();
    let ident = thread::current_ident();
    let now = match writer.is_fresh() {
        // What was open when recording began may have been another greenlet's.
        true => {
            let ident = if is_main { ident } else { NO_RUNNER };
            // SAFETY: the GIL is held.
            unsafe { attach::open_frames(&recording, attach::current_frame(), entering, ident) }
        }
        false => writer.frames(),
    };
    let ids = |frames: &[Frame]| frames.iter().map(Frame::id).collect::<Vec<_>>();
    if is_main {
        if ids(&now) != ids(&writer.frames()) {
            writer.switch(0, Some(&now));
        }
        return;
    }
    // SAFETY: a greenlet.
    let frame = unsafe { api.own(main.as_ptr(), c"gr_frame") };
    // SAFETY: alive.
    let frame = frame.filter(|frame| unsafe { ffi::PyFrame_Check(frame.as_ptr()) } != 0);
    // SAFETY: the GIL is held; a frame.
    let own = unsafe { attach::open_frames(&recording, frame, false, ident) };
    // SAFETY: a greenlet.
    let (fiber, _) = unsafe { state.number(current.as_ptr(), writer) };
    writer.switch(0, Some(&own));
    writer.switch(fiber, Some(&now));
}

/// In place of a thread's ident: below a greenlet's own frames there are none of the runner's.
const NO_RUNNER: usize = usize::MAX;

/// The event and the pair of greenlets, just after a switch, on the stack of the second.
unsafe extern "C" fn on_switch(
    callable: *mut PyObject,
    args: *const *mut PyObject,
    count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // The program may take it away while it runs.
    // SAFETY: alive for the call.
    let _alive = unsafe { Owned::take(ffi::Py_NewRef(callable)) };
    let recorded = std::panic::catch_unwind(|| {
        // SAFETY: only looks at the number.
        if unsafe { ffi::PyVectorcall_NARGS(count) } == 2 {
            // SAFETY: two arguments, as the count says.
            unsafe { switched(callable, *args.add(1)) };
        }
    });
    drop(recorded);
    // SAFETY: this is only ever called as the vectorcall of our type.
    let previous = unsafe { (*(*callable.cast::<Tracer>()).state).previous };
    if previous.is_null() {
        // SAFETY: the address of a static.
        return unsafe { ffi::Py_NewRef(ffi::Py_None()) };
    }
    // A switch that it makes itself may come here too, and let go of it.
    // SAFETY: alive.
    let _held = unsafe { Owned::take(ffi::Py_NewRef(previous)) };
    // SAFETY: our own arguments, handed on.
    let result = unsafe { ffi::PyObject_Vectorcall(previous, args, count, names) };
    if result.is_null() {
        // greenlet now removes it, as it would have without us; the switches go on.
        // SAFETY: this is only ever called as the vectorcall of our type.
        let state = unsafe { &mut *(*callable.cast::<Tracer>()).state };
        let removed = std::mem::replace(&mut state.previous, ptr::null_mut());
        // SAFETY: null or owned.
        unsafe { ffi::Py_XDECREF(removed) };
        // SAFETY: alive.
        let waiting = REMOVED.replace(unsafe { ffi::Py_NewRef(callable) });
        // SAFETY: null or owned.
        unsafe { ffi::Py_XDECREF(waiting) };
        let writer = thread::writer();
        if !writer.is_null() {
            // SAFETY: the current thread's own writer, with the GIL held.
            unsafe { (*writer).watch_fibers() };
        }
    }
    result
}

/// # Safety
/// - the GIL is held; the arguments of a call by greenlet.
unsafe fn switched(tracer: *mut PyObject, pair: *mut PyObject) {
    // SAFETY: alive.
    let Some(state) = (unsafe { state_of(tracer) }) else { return };
    if state.generation != GENERATION.load(Ordering::Relaxed) {
        // That recording is over, and this is the first that its thread hears of it.
        // SAFETY: the GIL is held.
        let Some(api) = (unsafe { Api::get() }) else { return };
        // SAFETY: the GIL is held.
        let now = unsafe { api.tracer() };
        if now.is_some_and(|now| now.as_ptr() == tracer) {
            // SAFETY: null or alive.
            unsafe { api.set_tracer(state.previous) };
        }
        return;
    }
    // SAFETY: alive.
    if unsafe { ffi::PyTuple_Check(pair) } == 0 || unsafe { ffi::PyTuple_Size(pair) } != 2 {
        return;
    }
    // SAFETY: a pair; borrowed.
    let target = unsafe { ffi::PyTuple_GetItem(pair, 1) };
    LAST.set(target);
    let (Some(recording), writer) = (recording::current(), attach::writer()) else { return };
    // SAFETY: the current thread's own writer, with the GIL held.
    let writer = unsafe { &mut *writer };
    // SAFETY: a greenlet.
    let (fiber, is_new) = unsafe { state.number(target, writer) };
    if !is_new {
        return writer.switch(fiber, None);
    }
    // One that waited since before the recording has frames open already.
    // SAFETY: the GIL is held.
    let frame = unsafe { attach::current_frame() };
    // SAFETY: as above.
    let frames = unsafe { attach::open_frames(&recording, frame, false, NO_RUNNER) };
    writer.switch(fiber, Some(&frames));
}

/// Gives the current thread's slot back to who had it before us. Other threads do so at
/// their next switch.
///
/// # Safety
/// - the GIL is held.
pub unsafe fn unwatch_here() {
    if !is_there() {
        return;
    }
    // SAFETY: the caller's promise.
    let Some(api) = (unsafe { Api::get() }) else { return };
    // SAFETY: as above.
    let Some(tracer) = (unsafe { api.tracer() }) else { return };
    // SAFETY: alive.
    if let Some(state) = unsafe { state_of(tracer.as_ptr()) } {
        // It is we who take it away.
        state.generation = 0;
        // SAFETY: null or alive.
        unsafe { api.set_tracer(state.previous) };
    }
}
