#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the code of the library's release objects in two commits: a commit that only moves or renames must leave it identical.

    compare_objects.py OLD NEW [--rename FILE] [--lines N]    OLD, NEW: commits; `.` is the working tree as it lies
    compare_objects.py --objects OLD NEW [...]                OLD, NEW: folders of objects that have been built

Functions and data objects are compared by name, whichever object they are in. FILE maps names: a line `OLD_NAME NEW_NAME` each.
Exit status 0 when all is identical, 1 when anything differs, 2 when nothing could be compared. tools/README.md says what is
built and what is left out of the comparison.
"""

import argparse
import difflib
import os
import re
import struct
import subprocess
import sys
from collections import defaultdict

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "compare")
# A section for each function and object: so where they lie in their file does not show. __FILE__ and __LINE__ are constants.
FLAGS = "-w -g0 -ffunction-sections -fdata-sections -D__FILE__=0 -D__LINE__=0"
SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS = 2, 4, 16, 32
SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 2, 4, 8
STT_SECTION = 3
IDENTIFIER = re.compile(r"[A-Za-z_$]\w*")
# The compiler's numbers for copies, parts and local statics: name.constprop.0, name.3
NUMBER = re.compile(r"\.\d+\b")


class Names:
    """The map of names, and what is left of a symbol's name."""

    def __init__(self, path=None):
        self.map = {}
        if path:
            with open(path, encoding="utf-8") as file:
                self.map = dict(line.split()[:2] for line in file if line.strip() and not line.startswith("#"))

    def __call__(self, text):
        return NUMBER.sub("", IDENTIFIER.sub(lambda match: self.map.get(match.group(0), match.group(0)), text))


class Section:
    def __init__(self, name, kind, flags, data, entsize):
        self.name, self.kind, self.flags, self.data, self.entsize = name, kind, flags, data, entsize
        self.relocations = []  # (offset, symbol, addend, type)
        self.symbols = []  # (value, size, name)


class Object:
    """One ELF64 relocatable file, little-endian."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.image = file.read()
        if self.image[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path}: not a 64-bit little-endian ELF object")
        self.sections = []
        self.symbols = []  # (name, section index, value, size, type)
        self.read()

    def read(self):
        offset, entries, count, names = struct.unpack_from("<Q10xHHH", self.image, 40)
        heads = [struct.unpack_from("<IIQQQQIIQQ", self.image, offset + i * entries) for i in range(count)]
        table = self.image[heads[names][4] : heads[names][4] + heads[names][5]]
        for head in heads:
            data = b"\0" * head[5] if head[1] == SHT_NOBITS else self.image[head[4] : head[4] + head[5]]
            self.sections.append(Section(text_at(table, head[0]), head[1], head[2], data, head[9]))
        for head, section in zip(heads, self.sections):
            if section.kind == SHT_SYMTAB:
                self.read_symbols(section.data, self.sections[head[6]].data)
        for head, section in zip(heads, self.sections):
            if section.kind == SHT_RELA:
                found = struct.iter_unpack("<QQq", section.data)
                self.sections[head[7]].relocations = sorted((at, info >> 32, add, info & 0xFFFFFFFF) for at, info, add in found)

    def read_symbols(self, data, table):
        for name, info, _, index, value, size in struct.iter_unpack("<IBBHQQ", data):
            is_section = info & 15 == STT_SECTION
            text = self.sections[index].name if is_section else text_at(table, name)
            self.symbols.append((text, index, value, size, info & 15))
            if 0 < index < len(self.sections) and not is_section and text:
                self.sections[index].symbols.append((value, size, text))
        for section in self.sections:
            section.symbols.sort()

    def target(self, symbol, addend, names):
        """What symbol + addend stands for: a text, a constant, or a name and the distance from it."""
        name, index, value, _, _ = self.symbols[symbol]
        if not 0 < index < len(self.sections):
            return names(name) + distance(addend)
        section, offset = self.sections[index], value + addend
        if section.flags & SHF_STRINGS:
            return '"' + text_at(section.data, offset) + '"'
        if section.flags & SHF_MERGE:
            return "constant " + section.data[offset : offset + section.entsize].hex()
        owner = [item for item in section.symbols if item[0] <= offset and not item[2].startswith(".L")]
        if not owner:
            return names(section.name) + distance(offset)
        value, _, name = owner[-1]
        if name.startswith("__func__"):
            return '__func__ "' + names(text_at(section.data, value)) + '"'
        return names(name) + distance(offset - value)


def text_at(table, offset):
    return table[offset : table.index(b"\0", offset)].decode("utf-8", "replace")


def distance(offset):
    return f"{offset:+#x}" if offset else ""


def disassemble(path):
    """{section name: {offset: (instruction, offset of the next)}} of the sections with code."""
    command = ["objdump", "-d", "-w", "-z", "--no-show-raw-insn", path]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found, at, last = {}, None, None
    for line in text.split("\n"):
        section = re.fullmatch(r"Disassembly of section (.*):", line)
        instruction = re.match(r"\s*([0-9a-f]+):\t(.*)", line)
        if section:
            at, last = found.setdefault(section.group(1), {}), None
        elif instruction:
            offset = int(instruction.group(1), 16)
            if last is not None:
                at[last] = (at[last][0], offset)
            at[offset], last = (instruction.group(2).strip(), None), offset
    return found


def function_text(obj, section, listing, begin, end, names):
    """The lines of one function: addresses relative to it, relocations by what they lead to."""
    relocations = {at: (symbol, addend, kind) for at, symbol, addend, kind in section.relocations}
    lines = []
    for offset in sorted(at for at in listing if begin <= at < end):
        instruction, after = listing[offset]
        after = after or len(section.data)
        instruction = names(re.sub(r"\b[0-9a-f]+ (<[^>]*>)", r"\1", instruction))
        for at in range(offset, after):
            if at in relocations:
                symbol, addend, kind = relocations[at]
                relative = after - at if kind in (2, 4, 9, 22, 41, 42) else 0  # x86-64: relative to the next instruction
                instruction = re.sub(r"\s*(#\s*)?<[^>]*>$", "", instruction)
                instruction += f"  [{kind}] {obj.target(symbol, addend + relative, names)}"
        lines.append(instruction)
    while lines and re.match(r"(cs |data16 )*(nop|xchg\s+%ax,%ax)", lines[-1]):
        lines.pop()  # what fills up to the next function
    return lines


def data_text(obj, section, begin, end, names):
    lines = ["bytes " + section.data[begin:end].hex()] if section.data[begin:end].strip(b"\0") else [f"{end - begin} zeros"]
    for at, symbol, addend, kind in section.relocations:
        if begin <= at < end:
            # A jump table: each entry is counted from the table's beginning, which the addend takes back.
            addend -= at - begin if kind == 2 else 0
            lines.append(f"{at - begin:#x} [{kind}] {obj.target(symbol, addend, names)}")
    return lines


def read_object(path, names, found):
    """Adds {name: [lines, …]} of an object's functions and data."""
    obj = Object(path)
    listings = disassemble(path)
    for section in obj.sections:
        if not section.flags & SHF_ALLOC or section.flags & SHF_MERGE or not section.data:
            continue
        is_code = bool(section.flags & SHF_EXECINSTR)
        if not is_code and not re.match(r"\.(ro)?data|\.t?bss|\.tdata|\.(init|fini)_array", section.name):
            continue  # tables for unwinding, notes
        marks = {}
        for value, _, name in section.symbols:
            if not name.startswith(".L"):
                marks.setdefault(value, name)
        marks.setdefault(0, section.name)
        places = sorted(marks)
        for begin, end in zip(places, [*places[1:], len(section.data)]):
            if marks[begin].startswith("__func__"):
                continue  # compared where it is used
            if is_code:
                lines = function_text(obj, section, listings.get(section.name, {}), begin, end, names)
            else:
                lines = data_text(obj, section, begin, end, names)
            if lines:
                found[names(marks[begin])].append(tuple(lines))


def read_folder(folder, names):
    found = defaultdict(list)
    count = 0
    for here, _, files in os.walk(folder):
        for name in sorted(files):
            if name.endswith(".o"):
                read_object(os.path.join(here, name), names, found)
                count += 1
    return found, count


def git(*arguments, **environment):
    done = subprocess.run(
        ["git", "-C", ROOT, *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def tree_of(commit):
    """The tree object of a commit, or of the working tree with what is not ignored in it."""
    if commit != ".":
        return git("rev-parse", "--verify", commit + "^{tree}")
    index = os.path.join(WORK, "index.working")
    git("read-tree", "HEAD", GIT_INDEX_FILE=index)
    git("add", "--all", GIT_INDEX_FILE=index)
    return git("write-tree", GIT_INDEX_FILE=index)


def build(commit, folder):
    """Builds the release objects of a commit, in a tree of their own that is kept: only what differs is built again."""
    source = os.path.join(WORK, folder)
    os.makedirs(source, exist_ok=True)
    git("read-tree", "--reset", "-u", tree_of(commit), GIT_INDEX_FILE=os.path.join(WORK, "index." + folder), GIT_WORK_TREE=source)
    switches = [f"-DTN_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "BENCH")]
    for command in (
        ["cmake", "--preset", "release", *switches, f"-DCMAKE_C_FLAGS={FLAGS}"],
        ["cmake", "--build", "--preset", "release", "--target", "tournant_objects"],
    ):
        done = subprocess.run(command, cwd=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            print(done.stdout)
            sys.exit(2)
    objects = os.path.join(source, "build", "release", "CMakeFiles", "tournant_objects.dir")
    remove_stale(objects, source)
    return objects


def remove_stale(objects, source):
    """Objects are kept from build to build, also those whose source is no longer in the tree."""
    for here, _, files in os.walk(objects):
        for name in files:
            path = os.path.join(here, name)
            if name.endswith(".o") and not os.path.exists(os.path.join(source, os.path.relpath(path, objects)[: -len(".o")])):
                os.remove(path)


def compare(old, new, limit):
    """Prints what differs; the number of names that do."""
    different = 0
    for name in sorted(set(old) | set(new)):
        before, after = sorted(old.get(name, [])), sorted(new.get(name, []))
        if before == after:
            continue
        different += 1
        for text in [text for text in before if text in after]:
            if text in after:
                before.remove(text)
                after.remove(text)
        verb = "differs" if before and after else "is gone" if before else "is new"
        print(f"{name}: {verb} ({sum(map(len, before))} lines before, {sum(map(len, after))} after)")
        if before and after:
            lines = difflib.unified_diff(before[0], after[0], lineterm="", n=1)
            for line in [line for line in lines if not line.startswith(("---", "+++"))][:limit]:
                print("    " + line.replace("\t", " "))
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--objects", action="store_true", help="OLD and NEW are folders of objects")
    parser.add_argument("--rename", metavar="FILE", help="names of OLD and what they are called in NEW")
    parser.add_argument("--lines", type=int, default=20, metavar="N", help="of each difference at most so many lines (20)")
    arguments = parser.parse_args()
    folders = [arguments.old, arguments.new]
    if not arguments.objects:
        os.makedirs(WORK, exist_ok=True)
        folders = [build(arguments.old, "old"), build(arguments.new, "new")]
    old, old_count = read_folder(folders[0], Names(arguments.rename))
    new, new_count = read_folder(folders[1], Names())
    if not old or not new:
        print("no objects to compare")
        return 2
    different = compare(old, new, arguments.lines)
    print(f"{old_count} and {new_count} objects, {len(old)} and {len(new)} names, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
