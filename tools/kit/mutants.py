# SPDX-License-Identifier: MIT
"""Lists of mutants: changes of the library that a test must notice, as test/model/mutants.txt and test/sim/mutants.txt have them.

    [NAME] FILE WORD...     WORD: what the reader of the list wants to know
    - old line              must occur exactly once in FILE (several lines: a `-` each)
    + new line              `-` and `+` alone: an empty line

Lines that begin with `#` are comments. The last of them above an entry, without an empty line between, belong to it.
"""
import os
import re

HEAD = re.compile(r"\[([\w-]+)\] (\S+)((?: \S+)*)")


class Mutant:
    def __init__(self, line, name, file, words):
        self.line, self.name, self.file, self.words = line, name, file, words
        self.old, self.new, self.comment = [], [], []

    def count_in(self, text):
        return text.count("\n".join(self.old))

    def apply(self, text):
        if self.count_in(text) != 1 or not self.old:
            raise ValueError(f"{self.name}: the old text is found {self.count_in(text)} times in {self.file}")
        return text.replace("\n".join(self.old), "\n".join(self.new))


def parse(text):
    """The mutants of a list. ValueError: a line that is no part of an entry."""
    found, comment = [], []
    for number, line in enumerate(text.split("\n"), 1):
        head = HEAD.fullmatch(line)
        if head:
            found.append(Mutant(number, head.group(1), head.group(2), head.group(3).split()))
            found[-1].comment = comment
        elif found and re.match(r"[-+]( |$)", line):
            (found[-1].old if line[0] == "-" else found[-1].new).append(line[2:])
        elif line and not line.startswith("#"):
            raise ValueError(f"line {number}: `{line}` is no part of an entry")
        comment = [*comment, line] if line.startswith("#") else []
    names = [mutant.name for mutant in found]
    if len(set(names)) != len(names):
        raise ValueError(f"two entries of one name: {max(names, key=names.count)}")
    return found


def read(path):
    with open(path, encoding="utf-8") as file:
        return parse(file.read())


def change(root, mutant, path):
    """Writes the changed text of the mutant's file to `path`."""
    with open(os.path.join(root, mutant.file), encoding="utf-8") as file:
        text = mutant.apply(file.read())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
