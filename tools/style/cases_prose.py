"""What the rules for comments and READMEs must report, and what they must not: see cases.py."""

README = {"runtime/README.md": "# runtime\n\n`x`, `inner/y.c`\n\n## Idle\n\n## `task.h` and more\n"}
LIST = "# List\n\n| file | concept |\n|---|---|\n"

BAD = [
    ("citation", README | {"runtime/x.c": '/* README.md ("Queues") has the argument. */\n'}),
    ("citation", README | {"runtime/x.c": '/* README.md ("Idle", "Queues") has the argument. */\n'}),
    ("citation", README | {"runtime/x.c": '/* The argument is in README.md\n * ("Queues"). */\n'}),
    ("citation", README | {"runtime/inner/y.c": '/* See README.md, Queues. */\n'}),
    ("citation", README | {"test/x.c": '/* See runtime/README.md, "Queues". */\n'}),
    ("citation", README | {"tools/README.md": 'x `check`: see `runtime/README.md`, `../run/README.md` ("Idle")\n'}),
    ("citation", {"test/x.c": '/* See README.md ("Idle"). */\n'}),
    ("citation", {"tools/x.py": '# See README.md ("Idle").\n', "tools/README.md": "`x.py`\n```\n# Idle\n```\n"}),
    ("link", {"README.md": "[x](test/x.c)\n"}),
    ("link", README | {"README.md": "[x](runtime/README.md#queues)\n"}),
    ("link", {"README.md": "# A\n\n[x](#b)\n"}),
    ("module", README | {"runtime/z.c": ""}),
    ("module", README | {"runtime/inner/z.S": ""}),
    ("module", {"tools/README.md": LIST + "| `x.sh` | z |\n", "tools/z.py": ""}),
    ("module", {"bench/README.md": LIST + "| `a_*.c` | z |\n", "bench/b_a.c": ""}),
]

GOOD = [
    README
    | {
        "runtime/x.c": '/* README.md has the argument, README.md ("Idle") all,\n * and README.md, "task.h\n * and more". */\n',
        "runtime/inner/y.c": "/* See README.md, Idle. Then runtime/README.md, Idle and the like. */\n",
        "test/x.c": '/* See runtime/README.md ("Idle" and "task.h and more"). */\n',
    },
    README | {"README.md": "# A b\n\n[x](runtime/README.md#taskh-and-more) [y](#a-b) [z](https://x.org/y) [r](runtime)\n"},
    {"tools/README.md": LIST + "| `x` | z |\n", "tools/x.py": "", "tools/kit/y.py": ""},
    {"bench/README.md": LIST + "| `a_*.c`, `x/b.py` | z |\n", "bench/a_b.c": "", "bench/b.py": ""},
]
