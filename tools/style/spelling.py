# SPDX-License-Identifier: MIT
"""Misspelt words, found by codespell."""

import re
import shutil
import subprocess

# Words that codespell takes for others: (word, reason).
ALLOWED = [
    ("crate", "a package in Rust"),
    ("deques", "double-ended queues"),
    ("hel", "the first bytes of `Hello`, in a test"),
    ("statics", "static variables"),
]

RULES = ("spelling",)
PROGRAM = "codespell"  # and the package that it is in


def check(tree, report):
    """All texts go through one process, one after the other; the number of a line leads back to its file."""
    if shutil.which(PROGRAM) is None:
        report("tools/style/spelling.py", 1, "spelling", f"{PROGRAM} is missing, the package {PROGRAM} has it")
        return
    starts, lines = [], []
    for path, text in sorted(tree.texts.items()):
        starts.append((len(lines), path))
        lines += text.split("\n")
    allowed = ",".join(word for word, _ in ALLOWED)
    command = [PROGRAM, "--ignore-words-list", allowed, "-"]
    ran = subprocess.run(command, input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=False)
    for number, finding in re.findall(r"(?m)^(\d+): .*\n\t(.*)$", ran.stdout):
        start, path = max(item for item in starts if item[0] < int(number))
        report(path, int(number) - start, "spelling", finding)
