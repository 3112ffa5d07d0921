# SPDX-License-Identifier: MIT
"""tools/docs: what is built from the sources for readers.

    docs --picture   draws docs/*.dot again: docs/*.svg
"""

import argparse
import os
import shutil
import sys

from kit import processes
from kit.packages import ROOT, install_missing
from kit.processes import output_of
from style import picture

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


def arguments():
    parser = argparse.ArgumentParser(prog="docs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    chosen = arguments()
    if chosen.picture:
        draw()


if __name__ == "__main__":
    sys.exit(processes.main("docs", main))
