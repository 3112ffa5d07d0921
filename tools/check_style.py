#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the rules of this project that no compiler knows.

    check_style.py                        checks the whole tree; `file:line: rule: message`; status 1 when anything was found
    check_style.py --graph                prints the folders of the layers, low to high, and which others each one includes
    check_style.py --self-test            plants an offence against each rule (style/cases*.py), fails when one goes unreported
    check_style.py --words PLACE...       the word list alone, in these folders and files; they need not be in words.CLEAN

The rules are in style/: a module for each subject, with what it allows where in tables at its top.
"""

import argparse
import os
import sys

from kit import packages
from style import atomics, cancellation, cases, cases_folders, cases_pages, cases_prose, contracts, failures, figures, folders
from style import hops, layers, layout, locks, mutants, names, os_layer, picture, prefixes, readmes, sizes, spdx, spelling, words
from style.source import Tree

CHECKS = (sizes, names, layers, folders, prefixes, os_layer, atomics, locks, readmes, mutants, figures, words,
          hops, picture, cancellation)
BY_PROGRAMS = (layout, spelling)  # each names its PROGRAM, which is installed when it is missing
WHOLE_FILES = (contracts, failures, spdx)  # what the cases of the other rules, which are pieces of files, do not have
APART = BY_PROGRAMS + WHOLE_FILES
STRICT = ("word",)  # rules that do not hold everywhere yet
TEXTS = (".c", ".h", ".S", ".py", ".cmake", ".md", ".dot", ".svg", "CMakeLists.txt", "mutants.txt")


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


def findings(tree, checks=CHECKS + APART):
    """(path, line, rule, message) of each offence."""
    found = []
    for check in checks:
        check.check(tree, lambda *finding: found.append(finding))
    return sorted(found)


def show(found):
    for path, line, rule, message in found:
        print(f"{path}:{line}: {rule}: {message}")


def self_test():
    """The checks of APART are made for the cases of their own rules alone."""
    wrong = 0
    bad = cases.BAD + cases_folders.BAD + cases_prose.BAD + cases_pages.BAD
    good = cases.GOOD + cases_folders.GOOD + cases_prose.GOOD + cases_pages.GOOD
    rules = {rule for check in CHECKS + APART for rule in check.RULES}
    for rule, texts in bad:
        checks = CHECKS + tuple(check for check in APART if rule in check.RULES)
        found = {item[2] for item in findings(Tree(texts, strict=rule in STRICT), checks)}
        if found != {rule}:
            wrong += 1
            print(f"an offence against {rule} in {list(texts)} was reported as {sorted(found) or 'nothing'}")
    allowed = [(texts, False, CHECKS) for texts in good]
    allowed.append((cases_prose.CLEAN, True, CHECKS + BY_PROGRAMS + (contracts,)))
    for texts, strict, checks in allowed:
        found = findings(Tree(texts, strict=strict), checks)
        wrong += len(found)
        show(found)
    for rule in sorted(rules ^ {rule for rule, _ in bad}):
        wrong += 1
        print(f"{rule}: no case, or no such rule")
    print(f"{len(bad)} offences, {len(good) + 1} allowed trees, {wrong} wrong")
    return 1 if wrong else 0


def arguments():
    usage = "check_style.py [--graph | --self-test | --words PLACE...]"
    parser = argparse.ArgumentParser(usage=usage, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--graph", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--words", nargs="+", metavar="PLACE", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    chosen = arguments()
    if chosen.self_test:
        return self_test()
    tree = read_tree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if chosen.graph:
        return 1 if folders.print_graph(tree) else 0
    if chosen.words:
        tree.strict = True
        found = [item for item in findings(tree, (words,)) if words.is_in(item[0], chosen.words)]
    else:
        packages.install_missing_programs(check.PROGRAM for check in BY_PROGRAMS)
        found = findings(tree)
        for warning in sizes.warnings(tree):
            print(warning)
    show(found)
    print(f"{len(tree.texts)} files, {len(found)} offences")
    return 1 if found or not tree.texts else 0


if __name__ == "__main__":
    sys.exit(main())
