"""What the rules for comments and READMEs must report, and what they must not: see cases.py."""

from style.cases import header

README = {"runtime/README.md": "# runtime\n\n`x`, `sched/y.c`\n\n## Idle\n\n## `task.h` and more\n"}
LIST = "# List\n\n| file | concept |\n|---|---|\n"

MODEL = {"test/model/scenarios/deque.c": ""}
MUTANT = "[deque-relaxed] runtime/x.c deque.two race\n- a = 1;\n- b = 1;\n+ a = 1;\n"


def partner(text, more=""):
    """A source with a comment that names a partner of an access."""
    return {"runtime/deque_x.c": f"{more}static int f(void)\n{{\n    /* Acquire: what g did; {text} */\n    return 0;\n}}\n"}


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

BAD += [
    ("partner", partner("partner: h.")),
    ("partner", partner("partner: the CAS below.")),
    ("partner", partner("partner: whoever holds the core\n     * now.")),
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
]
