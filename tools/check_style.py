#!/usr/bin/env python3
"""Checks the rules of this project that no compiler knows.

    check_style.py               checks the tree it lies in; `file:line: rule: message`; status 1 when anything was found
    check_style.py --graph       prints the folders of the layers, low to high, and which others each one includes
    check_style.py --self-test   plants an offence against each rule (style/cases*.py) and fails when one goes unreported

The rules are in style/: a module for each subject, with what it allows where in tables at its top.
"""

import os
import sys

from style import atomics, cases, cases_folders, cases_prose, contracts, doors, folders, layers, mutants, names, readmes, sizes
from style.source import Tree

CHECKS = (sizes, names, layers, folders, doors, atomics, contracts, readmes, mutants)
TEXTS = (".c", ".h", ".S", ".py", ".cmake", ".md", "CMakeLists.txt", "mutants.txt")


def is_read(folder):
    return folder == ".ci" or not (folder.startswith((".", "__")) or folder in ("build", "target"))


def read_tree(root):
    texts, others = {}, []
    for here, inner, files in os.walk(root):
        inner[:] = filter(is_read, inner)
        for name in files:
            path = os.path.join(here, name)
            if name.endswith(TEXTS) or os.access(path, os.X_OK):
                with open(path, encoding="utf-8", errors="replace") as file:
                    texts[os.path.relpath(path, root)] = file.read()
            else:
                others.append(os.path.relpath(path, root))
    return Tree(texts, others)


def findings(tree):
    """(path, line, rule, message) of each offence."""
    found = []
    for check in CHECKS:
        check.check(tree, lambda *finding: found.append(finding))
    return sorted(found)


def self_test():
    wrong = 0
    bad = cases.BAD + cases_folders.BAD + cases_prose.BAD
    good = cases.GOOD + cases_folders.GOOD + cases_prose.GOOD
    rules = {rule for check in CHECKS for rule in check.RULES}
    for rule, texts in bad:
        found = {item[2] for item in findings(Tree(texts))}
        if found != {rule}:
            wrong += 1
            print(f"an offence against {rule} in {list(texts)} was reported as {sorted(found) or 'nothing'}")
    for texts in good:
        for path, line, rule, message in findings(Tree(texts)):
            wrong += 1
            print(f"{path}:{line}: {rule}: {message}: this one is allowed")
    for rule in sorted(rules ^ {rule for rule, _ in bad}):
        wrong += 1
        print(f"{rule}: no case, or no such rule")
    print(f"{len(bad)} offences, {len(good)} allowed, {wrong} wrong")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:] not in ([], ["--graph"]):
        print(__doc__)
        return 2
    tree = read_tree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if sys.argv[1:]:
        return 1 if folders.print_graph(tree) else 0
    for warning in sizes.warnings(tree):
        print(warning)
    found = findings(tree)
    for path, line, rule, message in found:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"{len(tree.texts)} files, {len(found)} offences")
    return 1 if found or not tree.texts else 0


if __name__ == "__main__":
    sys.exit(main())
