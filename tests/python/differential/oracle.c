/* Logs what CPython's own C callbacks are told, and nothing else.
 *
 * Nothing of rtrace is used here: this is what its events are held to. The
 * profile and trace functions take `what` and `arg` as the C-API reference
 * gives them: PyTrace_RETURN with NULL is a frame left by an exception. On 3.12
 * `arg` is None there too (gh-110892), so that the thread state's `what_event`
 * decides.
 */
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>

enum { CALL, RETURN, UNWIND, RESUME, YIELD, THROW, C_CALL, C_RETURN, C_EXCEPTION, EXCEPTION, LINE, OPCODE };
static const char *const KINDS[] = {
    "call", "return", "unwind", "resume", "yield", "throw", "c_call", "c_return",
    "c_exception", "exception", "line", "opcode",
};

typedef struct {
    uint64_t thread;
    int kind;
    /* Line of the definition, of the event, or the offset of an instruction. */
    int number;
    PyObject *code;
    /* Name of a C callable or type of an exception; owned, may be NULL. */
    PyObject *name;
    PyObject *message;
} Entry;

static Entry *entries;
static size_t used, room;
static int opcodes;

static void
append(int kind, PyObject *code, int number, PyObject *name, PyObject *message)
{
    if (used == room) {
        size_t more = room ? room * 2 : 4096;
        Entry *moved = realloc(entries, more * sizeof(Entry));
        if (moved == NULL) {
            Py_FatalError("oracle: no memory");
        }
        entries = moved;
        room = more;
    }
    uint64_t thread = PyThreadState_GetID(PyThreadState_Get());
    /* An instruction of no line is at line 0. */
    entries[used++] = (Entry){thread, kind, number < 0 ? 0 : number, Py_XNewRef(code), name, message};
}

/* The type in the resolution order of `type` whose method this definition is, else NULL; borrowed. */
static PyTypeObject *
definer(PyTypeObject *type, PyMethodDef *method)
{
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
#if PY_VERSION_HEX >= 0x030c0000
        PyObject *dict = PyType_GetDict(base);
#else
        PyObject *dict = Py_XNewRef(base->tp_dict);
#endif
        PyObject *found = dict ? PyDict_GetItemString(dict, method->ml_name) : NULL;
        Py_XDECREF(dict);
        if (found != NULL
            && (Py_IS_TYPE(found, &PyMethodDescr_Type) || Py_IS_TYPE(found, &PyClassMethodDescr_Type))
            && ((PyMethodDescrObject *)found)->d_method == method) {
            return base;
        }
    }
    return NULL;
}

/* A new reference to the qualified name of a callable without Python code; the
 * name of the type of those that have none of their own. NULL for functions. */
static PyObject *
name_of(PyObject *callable)
{
    while (PyMethod_Check(callable)) {
        callable = PyMethod_GET_FUNCTION(callable);
    }
    if (PyFunction_Check(callable)) {
        return NULL;
    }
    if (PyCFunction_Check(callable)) {
        PyCFunctionObject *function = (PyCFunctionObject *)callable;
        if (function->m_self != NULL && !PyModule_Check(function->m_self)) {
            PyObject *self = function->m_self;
            PyTypeObject *type = NULL;
            if (PyType_Check(self)) {
                type = definer((PyTypeObject *)self, function->m_ml);
            }
            if (type == NULL) {
                type = definer(Py_TYPE(self), function->m_ml);
            }
            if (type != NULL) {
                PyObject *owner = PyType_GetQualName(type);
                PyObject *name = PyUnicode_FromFormat("%U.%s", owner, function->m_ml->ml_name);
                Py_DECREF(owner);
                return name;
            }
        }
        return PyObject_GetAttrString(callable, "__qualname__");
    }
    if (PyType_Check(callable)) {
        return PyType_GetQualName((PyTypeObject *)callable);
    }
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type) || Py_IS_TYPE(callable, &PyClassMethodDescr_Type)
        || Py_IS_TYPE(callable, &PyWrapperDescr_Type) || strcmp(Py_TYPE(callable)->tp_name, "method-wrapper") == 0) {
        return PyObject_GetAttrString(callable, "__qualname__");
    }
    return PyType_GetQualName(Py_TYPE(callable));
}

static PyObject *
message_of(PyObject *exception)
{
    if (exception == NULL || !PyExceptionInstance_Check(exception)) {
        return NULL;
    }
    PyObject *args = ((PyBaseExceptionObject *)exception)->args;
    if (args == NULL || !PyTuple_Check(args) || PyTuple_GET_SIZE(args) < 1) {
        return NULL;
    }
    PyObject *first = PyTuple_GET_ITEM(args, 0);
    return PyUnicode_CheckExact(first) ? Py_NewRef(first) : NULL;
}

static PyObject *
exception_type(PyObject *exception)
{
    if (exception == NULL) {
        return NULL;
    }
    PyTypeObject *type = PyType_Check(exception) ? (PyTypeObject *)exception : Py_TYPE(exception);
    return PyType_GetQualName(type);
}

static int
left_by_exception(PyObject *arg)
{
#if PY_VERSION_HEX >= 0x030c0000 && PY_VERSION_HEX < 0x030d0000
    return PyThreadState_Get()->what_event == 12;
#else
    return arg == NULL;
#endif
}

/* From 3.13 on a frame is heard once it has a trace function of its own too. */
static void
ask_for_opcodes(PyObject *frame)
{
    if (PyObject_SetAttrString(frame, "f_trace_opcodes", Py_True) < 0) {
        PyErr_Clear();
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *own = PyObject_GetAttrString(frame, "f_trace");
    if (own == Py_None) {
        if (PyObject_SetAttrString(frame, "f_trace", Py_True) < 0
            || PyObject_SetAttrString(frame, "f_trace", Py_None) < 0) {
            PyErr_Clear();
        }
    }
    Py_XDECREF(own);
#endif
}

static int
on_event(PyObject *self, PyFrameObject *frame, int what, PyObject *arg)
{
    PyCodeObject *owned = PyFrame_GetCode(frame);
    PyObject *code = (PyObject *)owned;
    PyObject *name;
    switch (what) {
    case PyTrace_CALL:
        if (opcodes) {
            ask_for_opcodes((PyObject *)frame);
        }
        append(CALL, code, owned->co_firstlineno, NULL, NULL);
        break;
    case PyTrace_RETURN:
        append(left_by_exception(arg) ? UNWIND : RETURN, code, owned->co_firstlineno, NULL, NULL);
        break;
    case PyTrace_LINE:
        append(LINE, code, PyFrame_GetLineNumber(frame), NULL, NULL);
        break;
    case PyTrace_OPCODE:
        append(OPCODE, code, PyFrame_GetLasti(frame), NULL, NULL);
        break;
    case PyTrace_EXCEPTION: {
        PyObject *type = arg && PyTuple_Check(arg) ? PyTuple_GET_ITEM(arg, 0) : NULL;
        PyObject *value = arg && PyTuple_Check(arg) ? PyTuple_GET_ITEM(arg, 1) : NULL;
        append(EXCEPTION, code, PyFrame_GetLineNumber(frame), exception_type(type), message_of(value));
        break;
    }
    case PyTrace_C_CALL:
    case PyTrace_C_RETURN:
    case PyTrace_C_EXCEPTION:
        name = name_of(arg);
        if (name == NULL) {
            PyErr_Clear();
        }
        append(what == PyTrace_C_CALL ? C_CALL : what == PyTrace_C_RETURN ? C_RETURN : C_EXCEPTION,
               code, 0, name, NULL);
        break;
    }
    Py_DECREF(code);
    return 0;
}

#if PY_VERSION_HEX >= 0x030c0000
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    int kind;
} Callback;

static PyObject *
on_monitoring(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    int kind = ((Callback *)self)->kind;
    PyObject *code = args[0];
    if (!PyCode_Check(code)) {
        Py_RETURN_NONE;
    }
    if (kind == C_CALL || kind == C_RETURN || kind == C_EXCEPTION) {
        PyObject *name = name_of(args[2]);
        if (name == NULL) {
            PyErr_Clear();
            Py_RETURN_NONE;
        }
        append(kind, code, 0, name, NULL);
    }
    else if (kind == LINE || kind == OPCODE) {
        append(kind, code, (int)PyLong_AsLong(args[1]), NULL, NULL);
    }
    else if (kind == EXCEPTION) {
        /* PyCode_Addr2Line says -1 of most instructions on 3.14 once lines are listened to. */
        PyFrameObject *frame = PyEval_GetFrame();
        append(kind, code, frame == NULL ? 0 : PyFrame_GetLineNumber(frame), exception_type(args[2]), message_of(args[2]));
    }
    else {
        append(kind, code, ((PyCodeObject *)code)->co_firstlineno, NULL, NULL);
    }
    Py_RETURN_NONE;
}

static PyTypeObject CallbackType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "oracle.callback",
    .tp_basicsize = sizeof(Callback),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Callback, vectorcall),
    .tp_call = PyVectorcall_Call,
};
#endif

/* callback(kind): what sys.monitoring is to call for events of this kind. */
static PyObject *
oracle_callback(PyObject *module, PyObject *arg)
{
#if PY_VERSION_HEX >= 0x030c0000
    const char *wanted = PyUnicode_AsUTF8(arg);
    for (size_t kind = 0; wanted != NULL && kind < sizeof(KINDS) / sizeof(*KINDS); kind++) {
        if (strcmp(KINDS[kind], wanted) == 0) {
            Callback *made = PyObject_New(Callback, &CallbackType);
            if (made != NULL) {
                made->vectorcall = on_monitoring;
                made->kind = (int)kind;
            }
            return (PyObject *)made;
        }
    }
    PyErr_SetString(PyExc_ValueError, "kind");
#else
    PyErr_SetString(PyExc_RuntimeError, "no sys.monitoring before 3.12");
#endif
    return NULL;
}

static int tracing;

/* What `threading` has a new thread call first: the C function takes its place. */
static PyObject *
oracle_bootstrap(PyObject *module, PyObject *args)
{
    PyObject *frame, *event, *arg;
    if (!PyArg_ParseTuple(args, "OOO", &frame, &event, &arg)) {
        return NULL;
    }
    (tracing ? PyEval_SetTrace : PyEval_SetProfile)(on_event, NULL);
    if (PyUnicode_CompareWithASCIIString(event, "call") == 0) {
        on_event(NULL, (PyFrameObject *)frame, PyTrace_CALL, arg);
    }
    Py_RETURN_NONE;
}

/* start(trace, opcodes): this thread, and with bootstrap the threads to come. */
static PyObject *
oracle_start(PyObject *module, PyObject *args)
{
    if (!PyArg_ParseTuple(args, "pp", &tracing, &opcodes)) {
        return NULL;
    }
    if (opcodes) {
        /* 3.12 looks when the function is set whether any frame has asked. */
        PyObject *frame = (PyObject *)PyEval_GetFrame();
        if (frame != NULL) {
            ask_for_opcodes(frame);
        }
    }
    (tracing ? PyEval_SetTrace : PyEval_SetProfile)(on_event, NULL);
    Py_RETURN_NONE;
}

static PyObject *
oracle_stop(PyObject *module, PyObject *unused)
{
    (tracing ? PyEval_SetTrace : PyEval_SetProfile)(NULL, NULL);
    Py_RETURN_NONE;
}

/* log(): [(thread, kind, function, number, name, message)] */
static PyObject *
oracle_log(PyObject *module, PyObject *unused)
{
    PyObject *list = PyList_New((Py_ssize_t)used);
    for (size_t i = 0; list != NULL && i < used; i++) {
        Entry *e = &entries[i];
        PyCodeObject *code = (PyCodeObject *)e->code;
        PyObject *item = Py_BuildValue(
            "(KsOiOO)", (unsigned long long)e->thread, KINDS[e->kind], code->co_qualname, e->number,
            e->name ? e->name : Py_None, e->message ? e->message : Py_None);
        if (item == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyMethodDef methods[] = {
    {"start", oracle_start, METH_VARARGS, NULL},
    {"stop", oracle_stop, METH_NOARGS, NULL},
    {"log", oracle_log, METH_NOARGS, NULL},
    {"callback", oracle_callback, METH_O, NULL},
    {"bootstrap", oracle_bootstrap, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_oracle", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__oracle(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    if (PyType_Ready(&CallbackType) < 0) {
        return NULL;
    }
#endif
    return PyModule_Create(&definition);
}
