# SPDX-License-Identifier: MIT
"""As cases.py: where files lie."""

from style.cases import header

BAD = [
    ("folders", header("runtime/sched/y.h", "") | {"runtime/task/x.c": '#include "sched/y.h"\n'}),
    ("folders", header("runtime/sched/y.h", "") | header("runtime/task/x.h", '#include "sched/y.h"')),
    ("folders", header("net/stream/y.h", "") | {"net/endpoint/x.c": '#include "stream/y.h"\n'}),
    ("folders", header("sync/y.h", "") | header("sync/include/tn/x.h", '#include "y.h"')),
    ("folders", header("runtime/base/y.h", '#include "os/z.h"') | header("runtime/os/z.h", '#include "base/y.h"')),
    ("folders", {"runtime/attic/x.c": ""}),
    ("folders", {"runtime/x.c": "", "runtime/base/y.c": ""}),
    ("unique", {"runtime/task/x.c": "", "sync/x.c": ""}),
    ("unique", header("runtime/base/x.h", "") | header("runtime/os/x.h", "")),
    ("file-prefix", header("runtime/task/y.h", "void tni_y_f(void);") | {"runtime/task/x.c": "void tni_y_f(void)\n{\n}\n"}),
    ("file-prefix", header("runtime/task/y.h", "static inline void tni_x_f(void) { }") | {"runtime/task/x.c": ""}),
    ("file-prefix", header("runtime/task/x.h", "static inline void tni_z_f(void) { }")),
    ("file-prefix", header("runtime/task/x_y.h", "static inline void tni_x_f(void) { }") | header("runtime/task/x_f.h", "")),
]

GOOD = [
    header("runtime/task/x.h", "static inline void tni_x_f(void) { }"),
    header("runtime/task/x_y.h", "static inline void tni_x_f(void) { }") | header("runtime/task/x.h", ""),
    header("sync/waiters.h", "static inline void tni_waiter_f(void) { }"),
    header("runtime/base/alloc.h", "static inline void tni_free(void) { }"),
    header("runtime/task/y.h", "") | {"runtime/sched/x.c": '#include "task/y.h"\n'},
    header("runtime/task/y.h", "") | header("runtime/task/z.h", "") | {"runtime/task/x.c": '#include "task/y.h"\n'},
    header("runtime/include/tn/y.h", "") | {"runtime/base/x.c": "#include <tn/y.h>\n"},
    header("runtime/life/y.h", "") | {"net/address/x.c": '#include "life/y.h"\n'},
    header("net/include/tn/y.h", "") | header("runtime/include/tn.h", "#include <tn/y.h>"),
    header("runtime/base/mutex.h", "") | header("sync/include/tn/mutex.h", "") | {"sync/x.c": "#include <tn/mutex.h>\n"},
]
