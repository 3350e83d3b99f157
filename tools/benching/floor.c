/* What a hook costs before it records anything: callbacks that do nothing, or read the clock and
 * store one word. Built by tools/bench for the interpreter that it measures; not shipped. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#define now() __rdtsc()
#else
#include <time.h>
static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
#endif

#define WORDS (1u << 20)
static uint64_t words[WORDS];
static uint32_t at;

/* The one word: in a buffer as large as a ring, so that the cache is used as a recorder uses it. */
static inline void store(void)
{
    words[at++ & (WORDS - 1)] = now();
}

#if PY_VERSION_HEX >= 0x030c0000
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} Callback;

static PyTypeObject CallbackType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "floor.callback",
    .tp_basicsize = sizeof(Callback),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Callback, call),
    .tp_call = PyVectorcall_Call,
};

static PyObject *do_nothing(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    return Py_NewRef(Py_None);
}

static PyObject *do_store(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    store();
    return Py_NewRef(Py_None);
}

static PyObject *callback(vectorcallfunc call)
{
    Callback *made = PyObject_New(Callback, &CallbackType);
    if (made != NULL)
        made->call = call;
    return (PyObject *)made;
}

static PyObject *nothing_callback(PyObject *self, PyObject *unused)
{
    return callback(do_nothing);
}

static PyObject *storing_callback(PyObject *self, PyObject *unused)
{
    return callback(do_store);
}
#endif

static int profile_nothing(PyObject *self, PyFrameObject *frame, int what, PyObject *arg)
{
    return 0;
}

static int profile_store(PyObject *self, PyFrameObject *frame, int what, PyObject *arg)
{
    store();
    return 0;
}

/* 0: none, 1: one that does nothing, 2: one that stores. */
static PyObject *profile(PyObject *self, PyObject *which)
{
    static const Py_tracefunc functions[] = {NULL, profile_nothing, profile_store};
    long index = PyLong_AsLong(which);
    if (index < 0 || index > 2)
        return PyErr_Format(PyExc_ValueError, "0 to 2");
    PyEval_SetProfile(functions[index], NULL);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
#if PY_VERSION_HEX >= 0x030c0000
    {"nothing_callback", nothing_callback, METH_NOARGS, NULL},
    {"storing_callback", storing_callback, METH_NOARGS, NULL},
#endif
    {"profile", profile, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor_hooks", NULL, -1, methods};

PyMODINIT_FUNC PyInit_floor_hooks(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    if (PyType_Ready(&CallbackType) < 0)
        return NULL;
#endif
    return PyModule_Create(&module);
}
