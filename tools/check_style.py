#!/usr/bin/env python3
"""Checks the rules of this project that no compiler knows.

    check_style.py               checks the tree it lies in; `file:line: rule: message`; status 1 when anything was found
    check_style.py --self-test   plants an offence against each rule (style/cases.py) and fails when one goes unreported

The rules are in style/: a module for each subject, with what it allows where in tables at its top.
"""

import os
import sys

from style import atomics, contracts, doors, layers, names, sizes
from style.cases import BAD, GOOD
from style.source import LAYERS, Tree

CHECKS = (sizes, names, layers, doors, atomics, contracts)
FOLDERS = (*LAYERS, "test", "examples", "bench", "tools", "cmake", ".ci")


def read_tree(root):
    texts = {}
    for folder in FOLDERS:
        for here, folders, files in os.walk(os.path.join(root, folder)):
            folders[:] = [name for name in folders if not name.startswith((".", "__")) and name not in ("build", "target")]
            for name in files:
                path = os.path.join(here, name)
                if name.endswith((".c", ".h", ".S", ".py", ".cmake", "CMakeLists.txt")) or os.access(path, os.X_OK):
                    with open(path, encoding="utf-8", errors="replace") as file:
                        texts[os.path.relpath(path, root)] = file.read()
    return Tree(texts)


def findings(tree):
    """(path, line, rule, message) of each offence."""
    found = []
    for check in CHECKS:
        check.check(tree, lambda *finding: found.append(finding))
    return sorted(found)


def self_test():
    wrong = 0
    rules = {rule for check in CHECKS for rule in check.RULES}
    for rule, texts in BAD:
        found = {item[2] for item in findings(Tree(texts))}
        if found != {rule}:
            wrong += 1
            print(f"an offence against {rule} in {list(texts)} was reported as {sorted(found) or 'nothing'}")
    for texts in GOOD:
        for path, line, rule, message in findings(Tree(texts)):
            wrong += 1
            print(f"{path}:{line}: {rule}: {message}: this one is allowed")
    for rule in sorted(rules ^ {rule for rule, _ in BAD}):
        wrong += 1
        print(f"{rule}: no case, or no such rule")
    print(f"{len(BAD)} offences, {len(GOOD)} allowed, {wrong} wrong")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__)
        return 2
    tree = read_tree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for warning in sizes.warnings(tree):
        print(warning)
    found = findings(tree)
    for path, line, rule, message in found:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"{len(tree.texts)} files, {len(found)} offences")
    return 1 if found or not tree.texts else 0


if __name__ == "__main__":
    sys.exit(main())
