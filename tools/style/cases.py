# SPDX-License-Identifier: MIT
"""What the style check must report, and what it must not: trees as {path: text}, small enough to offend one rule each."""


def header(path, body):
    """A header with its guard."""
    stem = path.split("/")[-1][:-2].upper()
    guard = f"{stem}_H" if stem.startswith("TN") else f"TN_{stem}_H" if "/include/" in path else f"TNI_{stem}_H"
    return {path: f"#ifndef {guard}\n#define {guard}\n{body}\n#endif\n"}


def inside(statement):
    """A source of the runtime with `statement` in a static function."""
    return {"runtime/x.c": f"static int f(void)\n{{\n    {statement}\n    return 0;\n}}\n"}


LONG_BODY = "    x++;\n" * 69
ADDS_ONE = "static void add(void)\n{\n    x++;\n}\n"
ATOMIC_LOAD = "uint32_t a = tni_a32_load(&w, TNI_RELAXED);"

BAD = [
    ("line-length", {"test/x.c": "/* " + "x" * 140 + " */\n"}),
    ("line-length", {"runtime/x.S": "/* " + "x" * 140 + " */\n"}),
    ("line-length", {"tools/x.py": "# " + "x" * 140 + "\n"}),
    ("file-length", {"test/x.c": "\n" * 801}),
    ("function-length", {"test/x.c": "static void f(int x)\n{\n" + LONG_BODY + "}\n"}),
    ("function-length", {"test/x.c": "Test(suite, name, .timeout = 3)\n{\n" + LONG_BODY + "}\n"}),
    ("function-length", header("runtime/x.h", "static inline void tni_x_f(int x)\n{\n" + LONG_BODY + "}")),
    ("function-length", {"tools/x.py": "def f(x):\n" + "    x += 1\n" * 70}),
    ("if-in-body", {"runtime/x.c": "static void f(void)\n{\n#ifdef X\n    g();\n#endif\n}\n"}),
    ("if-in-body", {"test/x.c": "int main(void)\n{\n    if (1) {\n    # if X\n    }\n    # endif\n}\n"}),
    ("prefix", {"runtime/x.c": "int f(void) { return 0; }\n"}),
    ("prefix", {"runtime/x.c": "static int tni_x_f(void) { return 0; }\n"}),
    ("prefix", {"runtime/x.c": "static __attribute__((noinline)) int tn_f(void) { return 0; }\n"}),
    ("prefix", header("runtime/x.h", "static inline int f(void) { return 0; }")),
    ("prefix", header("runtime/tn_x.h", "static inline int tni_x_f(void) { return 0; }")),
    ("prefix", header("runtime/tn_x.h", "TN_API extern int x;")),
    ("visibility", {"runtime/x.c": "int tni_x_f(void) { return 0; }\n"}),
    ("visibility", header("runtime/x.h", "int tn_f(void);") | {"runtime/x.c": '#include "x.h"\nint tn_f(void) { return 0; }\n'}),
    ("visibility", header("runtime/x.h", "TN_API int tn_f(void);")),
    ("typedef", header("runtime/x.h", "typedef struct tni_x tni_x_t;")),
    ("typedef", header("runtime/x.h", "typedef struct {\n    int a;\n} tni_x_t;")),
    ("typedef", header("runtime/x.h", "struct tni_x_t {\n    int a;\n};")),
    ("layers", header("net/y.h", "") | {"runtime/x.c": '#include "y.h"\n'}),
    ("layers", header("sync/y.h", "") | header("blocking_pool/z.h", '#include "y.h"')),
    ("layers", header("net/tn_y.h", "") | header("sync/z.h", '#include "tn_y.h"')),
    ("layers", header("runtime/y.h", "") | {"examples/x.c": '#include "y.h"\n'}),
    ("layers", header("runtime/y.h", "") | {"bench/x.c": '#include "../runtime/y.h"\n'}),
    ("layers", header("net/include/tn/y.h", "") | header("sync/z.h", "#include <tn/y.h>")),
    ("layers", header("net/endpoint/y.h", "") | header("sync/z.h", '#include "endpoint/y.h"')),
    ("own-header", header("net/include/tn/x.h", "") | {"net/endpoint/x.c": "#include <string.h>\n\n#include <tn/x.h>\n"}),
    ("own-header", header("runtime/x.h", "") | {"runtime/x.c": '#include <string.h>\n\n#include "x.h"\n'}),
    ("own-header", header("sync/tn_x.h", "") | {"sync/x.c": '#include <string.h>\n\n#include "tn_x.h"\n'}),
    ("guard", {"runtime/include/tn/x.h": "#ifndef TNI_X_H\n#define TNI_X_H\n#endif\n"}),
    ("guard", {"runtime/x.h": "#ifndef X_H\n#define X_H\n#endif\n"}),
    ("guard", {"runtime/tn_x.h": "#ifndef TNI_TN_X_H\n#define TNI_TN_X_H\n#endif\n"}),
    ("guard", {"runtime/x.h": "#ifndef TNI_X_H\n#define TNI_Y_H\n#endif\n"}),
    ("guard", {"test/support/x.h": "#pragma once\n"}),
    ("banned", inside("strcpy(a, b);")),
    ("banned", inside("(void)sprintf (a, b);")),
    ("banned", {"examples/x.c": "static int f(void)\n{\n    return atoi(a) + rand();\n}\n"}),
    ("banned", inside("void *p = alloca(3);")),
    ("banned", inside("if (setjmp(buf) == 0) longjmp(buf, 1);")),
    ("reason", inside(ATOMIC_LOAD)),
    ("reason", inside("tni_fence_full();")),
    ("reason", inside("/* why */\n    a();\n    b();\n    c();\n    d();\n    " + ATOMIC_LOAD)),
    ("reason", inside("/* why */\n    tni_aptr_store(&w, p, TNI_RELEASE);\n    a();\n    b();\n    c();\n    " + ATOMIC_LOAD)),
    ("reason", inside('const char *s = "/* not a reason */"; ' + ATOMIC_LOAD)),
    ("os-threads", {"runtime/x.c": "#include <stdatomic.h>\n"}),
    ("os-threads", {"net/x.c": "#include <pthread.h>\n"}),
    ("os-threads", inside("clock_gettime(CLOCK_MONOTONIC, &t);")),
    ("os-threads", inside("__atomic_store_n(&x, 1, __ATOMIC_RELAXED);")),
    ("os-system", {"net/x.c": "#include <uv.h>\n"}),
    ("os-system", {"net/x.c": "#include <sys/socket.h>\n"}),
    ("os-system", inside("uv_run(loop, UV_RUN_ONCE);")),
    ("os-system", inside("void *p = mmap(NULL, 1, 0, 0, -1, 0);")),
    ("os-system", inside("return close(fd);")),
    ("os-files", inside('void *p = fopen("/x", "r");')),
    ("os-signals", inside("sigaction(SIGSEGV, &a, &b);")),
    ("os-memory", inside("void *p = malloc(3);")),
    ("os-memory", inside("free(p);")),
    ("os-messages", inside('printf("x");')),
    ("os-messages", inside("report(stderr);")),
    ("os-ck", {"runtime/x.c": "#include <ck_queue.h>\n"}),
    ("errno", inside("return -errno;")),
    ("lock-comment", {"runtime/x.c": "/* Lock held. Adds one. */\n" + ADDS_ONE}),
    ("lock-comment", {"runtime/x.c": "/* Adds one,\n * if it can. Called with the pool's lock. */\n" + ADDS_ONE}),
    ("lock-comment", header("runtime/x.h", "/* The lock is held. */\nint tni_x_f(void);")),
]

GOOD = [
    {"test/x.c": "static void f(int x)\n{\n" + LONG_BODY[: -len("    x++;\n")] + "}\n"},
    {"examples/x.c": "#include <errno.h>\n#include <stdio.h>\n#include <sched.h>\nint main(void) { return errno; }\n"}
    | header("runtime/sched.h", ""),
    inside(ATOMIC_LOAD + " /* why */"),
    inside("/* why,\n     * in two lines */\n    " + ATOMIC_LOAD),
    inside("/* why */\n    tni_aptr_store(&w, p, TNI_RELEASE);\n    tni_fence_full();\n    " + f"{ATOMIC_LOAD}\n    " * 4),
    inside("tni_a32_init(&w, 0);"),
    {"runtime/x.c": "/* Lock held. */\n" + ADDS_ONE.replace("add(", "add_locked(")},
    {"runtime/x.c": "/* The lock is held. */\n" + ADDS_ONE.replace("x++;", "tni_os_mutex_assert_held(&m);")},
    {"runtime/x.c": "/* True: the lock is held. */\n" + ADDS_ONE.replace("x++;", "tni_os_mutex_lock(&m);")},
    {"runtime/x.c": "/* Waits for the thread that holds the lock. */\n" + ADDS_ONE},
    inside("self->free(p); loop.close(fd); ops->poll(self); /* malloc(3), errno, printf() */"),
    inside('check("malloc(3) errno stderr strcpy(a, b)");'),
    {"runtime/os_x.c": '#include <uv.h>\n#include <sys/mman.h>\nstatic int f(void) { return close(3) < 0 ? -errno : 0; }\n'},
    {"runtime/base/alloc.c": "static void f(void *p) { free(p); }\n"},
    header("net/include/tn/x.h", "") | header("runtime/include/tn.h", "#include <tn/x.h>"),
    {"runtime/alloc.c": "static void f(void *p) { free(p); }\n"},
    header("runtime/x.h", "typedef struct tni_x {\n    size_t a;\n    uint32_t b;\n} tni_x;\nint tni_x_f(size_t a);")
    | {"runtime/x.c": '#define _GNU_SOURCE\n#include "x.h"\nint tni_x_f(size_t a) { return (int)a; }\n'},
    header(
        "runtime/tn_x.h",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n/* Suspends: no. */\nTN_API int tn_f(void);\n'
        "TN_API int tn_g(int a,\n    int b);\n\n/* As tn_f, but faster. */\nTN_API int tn_h(void);\n"
        "#ifdef __cplusplus\n}\n#endif",
    )
    | header("net/tn_y.h", "") | header("runtime/tn.h", '#include "tn_x.h"\n#include "tn_y.h"'),
    header("net/y.h", '#include "z.h"') | header("runtime/z.h", ""),
    {"runtime/x.S": "#if defined(__x86_64__)\n    .globl tni_x_f\n#endif\n"},
]
