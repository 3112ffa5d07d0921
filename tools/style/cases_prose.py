# SPDX-License-Identifier: MIT
"""What the rules for comments and READMEs must report, and what they must not: see cases.py."""

from style.cases import header

README = {"runtime/README.md": "# runtime\n\n`x`, `sched/y.c`\n\n## Idle\n\n## `task.h` and more\n"}
LIST = "# List\n\n| file | concept |\n|---|---|\n"

MODEL = {"test/model/scenarios/deque.c": ""}
MUTANT = "[deque-relaxed] runtime/x.c deque.two race\n- a = 1;\n- b = 1;\n+ a = 1;\n"


def partner(text, more=""):
    """A source with a comment that names a partner of an access."""
    return {"runtime/deque_x.c": f"{more}static int f(void)\n{{\n    /* Acquire: what g wrote; {text} */\n    return 0;\n}}\n"}


BAD = [
    ("citation", README | {"runtime/x.c": '/* README.md ("Queues") has the argument. */\n'}),
    ("citation", README | {"runtime/x.c": '/* README.md ("Idle", "Queues") has the argument. */\n'}),
    ("citation", README | {"runtime/x.c": '/* The argument is in README.md\n * ("Queues"). */\n'}),
    ("citation", README | {"runtime/sched/y.c": '/* See README.md, Queues. */\n'}),
    ("citation", README | {"test/x.c": '/* See runtime/README.md, "Queues". */\n'}),
    ("citation", README | {"tools/README.md": 'x `check`: see `runtime/README.md`, `../run/README.md` ("Idle")\n'}),
    ("citation", {"test/x.c": '/* See README.md ("Idle"). */\n'}),
    ("citation", {"tools/x.py": '# See README.md ("Idle").\n', "tools/README.md": "`x.py`\n```\n# Idle\n```\n"}),
    ("link", {"README.md": "[x](test/x.c)\n"}),
    ("link", README | {"README.md": "[x](runtime/README.md#queues)\n"}),
    ("link", {"README.md": "# A\n\n[x](#b)\n"}),
    ("module", README | {"runtime/z.c": ""}),
    ("module", README | {"runtime/sched/z.S": ""}),
    ("module", {"tools/README.md": LIST + "| `x.sh` | z |\n", "tools/z.py": ""}),
    ("module", {"bench/README.md": LIST + "| `a_*.c` | z |\n", "bench/b_a.c": ""}),
]

SLOTS = "Suspends: no. Callable from: anywhere. Ownership: none. Errors: none. Cancellation: no."
BENCH = {
    "bench/README.md": "## The cases of micro\n\n| case | what |\n|---|---|\n| `yield_many` | x |\n| `live`, `a_b` | y |\n\n"
    "## Figures\n\n| `yield_many` | 12.5 (1–13) | 1,000 |\n| `a_b` | 77 |\n\n`yield_many` needed 28 ns\nonce.\n"
}


def contract(text, declaration="TN_API int tn_f(void);"):
    return header("net/include/tn/x.h", f"/* {text} */\n{declaration}")


BAD += [
    ("failure", contract("Does f. " + SLOTS.replace("Errors: none.", "Errors: TN_ENOMEM."))),
    ("contract", contract("Does f.")),
    ("contract", contract("Does f. " + SLOTS.replace("Errors: none. ", ""))),
    ("contract", contract("Does f. Errors: none. " + SLOTS.replace("Errors: none. ", ""))),
    ("contract", contract("Does f. " + SLOTS.replace("no. Callable", "never. Callable"))),
    ("contract", contract("Does f. " + SLOTS.replace("Cancellation: no.", "Cancellation: checkpoint."))),
    ("contract", contract("Does f. " + SLOTS.replace("Cancellation: no.", "Cancellation: yes."))),
    ("contract", contract("Does f. " + SLOTS.replace("Ownership: none.", "Ownership:"))),
    ("contract", contract("Does f.\n *\n * " + SLOTS[:-1])),
    ("contract", contract("As tn_g.", "static inline int tn_f(int a)\n{\n    return a;\n}")),
    ("contract", contract(SLOTS, "TN_API int tn_g(void);\n\nTN_API int tn_f(void);")),
    ("sentence", contract("Does f " + "and f " * 15 + ".\n * " + SLOTS)),
    ("sentence", contract(SLOTS.replace("Ownership: none.", "Ownership: it " + "has\n * it " * 15 + "."))),
    ("word", {"runtime/x.c": "/* Whoever waits. */\n"}),
    ("word", {"runtime/x.c": "/* It is woken\n * in\n * vain. */\n"}),
    ("word", {"runtime/x.c": 'const char *text = "the core has a guest";\n'}),
    ("word", {"test/x.c": "Test(x, a_deputy_sleeps)\n{\n}\n"}),
    ("word", {"test/x.py": 'say("the server answers nobody")\n'}),
    ("word", {"test/x.py": "x = 1  # a foreign thread\n"}),
    ("word", {"runtime/README.md": "# The doors\n"}),
    ("word", {"test/CMakeLists.txt": "set(x) # the next slot\n"}),
    ("word", {"test/model/mutants.txt": "# Nobody looks.\n"}),
    ("word", {"tools/x": "#!/bin/sh\necho 'in vain'\n"}),
    ("spdx", {"test/x.py": "x = 1\n"}),
    ("spdx", {"test/x": "#!/bin/sh\nexit 0\n# SPDX-License-Identifier: MIT\n"}),
    ("layout", {"runtime/x.c": "int x;\nint  y;\n"}),
    ("layout", header("test/x.h", "static inline int f(void) { return 0; }")),
    ("spelling", {"README.md": "a\n\nte" "h core\n"}),
    ("spelling", {"runtime/x.c": "/* a */\n/* sepe" "rate */\n", "net/README.md": "a\n"}),
    ("figure", BENCH | {"sync/README.md": "`yield_many` takes\n12.6 ns.\n"}),
    ("figure", BENCH | {"sync/README.md": "| `yield_many` | 28 | 13 |\n\n| `yield_many` | 28 | 77 |\n"}),
    ("figure", BENCH | {"runtime/x.c": "/* Why: 42 -> 29 ns (yield_many). */\n"}),
    ("figure", BENCH | {"runtime/x.c": "/* Why: `live` took 12.5 to 28 us. */\n"}),
    ("figure", BENCH | {"README.md": "It takes 29 ns.\n"}),
    ("figure", BENCH | {"CHANGELOG.md": "It takes 28 bytes.\n"}),
    ("partner", partner("partner: h.")),
    ("partner", partner("partner: the CAS below.")),
    ("partner", partner("partner: any thread that holds the core\n     * now.")),
    ("partner", partner("partners: f, g.")),
    ("partner", partner("partners: f and g.")),
    ("partner", partner("partner: tni_g.")),
    ("partner", partner("partner: g.") | {"runtime/y.c": "static int g(void) { return 0; }\n"}),
    ("partner", partner("partner: g (z.c).") | {"runtime/y.c": "static int g(void) { return 0; }\n"}),
    ("partner", partner("partner: local.", "static int g(void)\n{\n    int local;\n    return 0;\n}\n")),
    ("mutant", {"test/model/mutants.txt": MUTANT} | MODEL),
    ("mutant", {"test/model/mutants.txt": MUTANT, "runtime/x.c": "a = 1;\nb = 2;\n"} | MODEL),
    ("mutant", {"test/model/mutants.txt": MUTANT, "runtime/x.c": "a = 1;\nb = 1;\na = 1;\nb = 1;\n"} | MODEL),
    ("mutant", {"test/model/mutants.txt": MUTANT, "runtime/base/x.c": "a = 1;\nb = 1;\n"}),
    ("mutant", {"test/model/mutants.txt": "[deque-relaxed] runtime/x.c race\n", "runtime/base/x.c": ""} | MODEL),
]

GOOD = [
    README
    | {
        "runtime/base/x.c": '/* README.md has it, README.md ("Idle") all,\n * and README.md, "task.h\n * and more". */\n',
        "runtime/sched/y.c": "/* See README.md, Idle. Then runtime/README.md, Idle and the like. */\n",
        "test/x.c": '/* See runtime/README.md ("Idle" and "task.h and more"). */\n',
    },
    README | {"README.md": "# A b\n\n[x](runtime/README.md#taskh-and-more) [y](#a-b) [z](https://x.org/y) [r](runtime)\n"},
    {"tools/README.md": LIST + "| `x` | z |\n", "tools/x.py": "", "tools/kit/y.py": ""},
    {"bench/README.md": LIST + "| `a_*.c`, `x/b.py` | z |\n", "bench/a_b.c": "", "bench/b.py": ""},
    partner("partner: f."),
    partner("partner: the load in f(). Weaker, x breaks."),
    partner("partners: f, and the stores\n     * before g; then h.") | {"runtime/deque.c": "static int g(void) { return 0; }\n"},
    partner("partner: g (y.c).") | {"runtime/y.c": "static int g(void) { return 0; }\n"},
    partner("partner: tni_g.") | header("runtime/y.h", "int tni_g(int a);"),
    partner("partners: BIT, top, tni_word.", "#define BIT 1\nstruct x {\n    int top, *next;\n};\ntypedef int tni_word;\n"),
    {"test/model/mutants.txt": "# Why\n\n" + MUTANT, "runtime/x.c": "a = 1;\nb = 1;\n"} | MODEL,
    BENCH | {"sync/README.md": "`yield_many`: from 28 to 12.5 ns.\n\n| `yield_many` | 1000 | 13 |\n\nIt is 5 ns.\n"},
    BENCH | {"README.md": "28 ns, a stack of 256 KiB.\n", "runtime/x.c": "/* yield_many: 12.5 to 28 ns. a_b too. */\n"},
]

# Holds with all rules that do not hold everywhere yet, and with those that programs check.
CLEAN = {
    "runtime/x.c": "/* The caller waits for `errand`, spare_threads_max and calm() in spare.c: see who_waits. */\n",
    "test/x.py": 'x = "errand"  # the name\n',
    "bench/README.md": "A server answers requests. All requests were answered.\n\nA crate, two deques.\n",
} | header(
    "net/include/tn/x.h",
    "/* A type. " + "It has words.\n * " * 20 + "*/\ntypedef int tn_x;\n\n"
    "/* Does f.\n * `a`: " + "a word, " * 13 + "and one.\n *\n * Suspends: until it is done.\n * Callable from: a fiber.\n"
    " * Ownership: `a` passes.\n * Errors: TN_EINVAL (no a).\n * Cancellation: yes; `a` stays with the caller.\n *\n"
    " *     an example of many" + "\n *     words and words" * 12 + "\n */\nTN_API int tn_f(int a);\n"
    "TN_API int tn_g(int a, int b);\n\n"
    f"/* {SLOTS} */\nstatic inline int tn_h(int a)\n{{\n    return a;\n}}\n",
)
