/* SPDX-License-Identifier: MIT */
/* tn_call_native: an embedded Python interpreter, called from fibers with small stacks. Python checks how much of its thread's
 * stack is left, and recurses on it. */
#include <Python.h>

#include <tn/task.h>

#include "support/runtime.h"

enum { FIBERS = 8, SMALL_STACK = 32 * 1024 };

/* Each call takes the interpreter's lock, as a thread of a program does. */
static void *sum(void *arg)
{
    long *n = arg;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *main_module = PyImport_AddModule("__main__");
    PyObject *result = PyObject_CallMethod(main_module, "recurse", "l", *n);

    tt_check(result != NULL);
    *n = PyLong_AsLong(result);
    Py_DECREF(result);
    PyGILState_Release(state);
    return NULL;
}

static void *call_python(void *arg)
{
    for (long depth = 1; depth <= 400; depth *= 2) {
        long n = depth;
        (void)tn_call_native(sum, &n);
        tt_check_eq(n, depth * (depth + 1) / 2);
        tt_check_eq(tn_yield(), 0);
    }
    return arg;
}

static void *call_in_fibers(void *arg)
{
    tn_spawn_options options = tn_spawn_options_default();
    tn_task *tasks[FIBERS];

    options.stack_size_bytes = SMALL_STACK;
    for (unsigned i = 0; i < FIBERS; i++)
        tt_check_eq(tn_spawn_on(NULL, &options, &tasks[i], call_python, NULL), 0);
    for (unsigned i = 0; i < FIBERS; i++)
        (void)tt_join(tasks[i]);
    return arg;
}

Test(native_python, recursion_in_fibers)
{
    PyThreadState *state;

    Py_InitializeEx(0);
    cr_assert_eq(PyRun_SimpleString("import functools\n"
                                    "def recurse(n):\n"
                                    "    return 0 if n == 0 else n + functools.reduce(lambda a, b: recurse(b), [n - 1], 0)\n"),
                 0);
    state = PyEval_SaveThread();
    tt_run(call_in_fibers, NULL);
    PyEval_RestoreThread(state);
    cr_assert_eq(Py_FinalizeEx(), 0);
}
