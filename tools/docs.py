# SPDX-License-Identifier: MIT
"""Builds what readers get from the sources.

    docs [--output FOLDER]   the reference: FOLDER/html (with search), FOLDER/man; FOLDER is build/docs if not named
    docs --tables            docs/cancellation_points.md, from the contracts in the public headers
    docs --picture           docs/*.svg, from docs/*.dot

The reference is checked when it has been built: every public function is in it, and no link is dead. Needs doxygen; --picture
needs graphviz. Both are Debian packages, which are installed when they are missing.
"""

import argparse
import os
import shutil
import sys

from kit import processes
from kit.packages import ROOT, install_missing
from kit.processes import Failure, output_of, say
from reference import build, check
from style import cancellation, picture
from style.source import read_headers

DRAW_S = 60  # limit of one drawing


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
        file.write(text)


def draw():
    """Each drawing says which text it is of."""
    if shutil.which("dot") is None:
        install_missing(["graphviz"])
    for text, drawing in picture.PICTURES:
        drawn = output_of(["dot", "-Tsvg", os.path.join(ROOT, text)], DRAW_S)
        write(drawing, drawn.rstrip("\n") + "\n" + picture.stamp(read(text)) + "\n")


def reference(root, output):
    """Builds it in an empty folder; Failure when something is missing in it, or a link is dead."""
    if shutil.which("doxygen") is None:
        install_missing(["doxygen"])
    tree = read_headers(root)
    build.build(tree, output)
    found = check.findings(tree, output)
    for finding in found:
        say(finding)
    if found:
        raise Failure(f"the reference has {len(found)} faults")


def arguments():
    parser = argparse.ArgumentParser(
        prog="docs", usage="docs [--output FOLDER | --tables | --picture]", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", default=os.path.join(ROOT, "build", "docs"), help=argparse.SUPPRESS)
    parser.add_argument("--root", default=ROOT, help=argparse.SUPPRESS)  # for the test: whose headers
    parser.add_argument("--tables", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--picture", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    chosen = arguments()
    if chosen.picture:
        draw()
    if chosen.tables:
        write(cancellation.TABLE, cancellation.table(read_headers(ROOT)))
    if not (chosen.picture or chosen.tables):
        reference(chosen.root, os.path.abspath(chosen.output))


if __name__ == "__main__":
    sys.exit(processes.main("docs", main))
