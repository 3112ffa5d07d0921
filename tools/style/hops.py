# SPDX-License-Identifier: MIT
"""The journeys of ARCHITECTURE.md: each hop is a function that is there, and that the hop before it reaches.

A hop is a numbered item that begins with `FILE:FUNCTION`, with its relations in parentheses behind it:
  (from `F`)            called by F, an earlier hop of the same journey; without it, by the hop before
  (through `NAME`)      called by the pointer NAME, which that hop names; some file names FUNCTION as a value
  (meets `F` at `NAME`) shares the word NAME with F, an earlier hop in another task or thread
The first hop of a list is not called by one. Each list but the first of a journey has a hop that meets an earlier one.
"""

import re

from style.source import IDENTIFIER

PAGE = "ARCHITECTURE.md"
JOURNEYS = ("A wake", "An accept", "A blocking call", "A cancellation")
HOP = re.compile(rf"\d+\. +`([\w./]+):({IDENTIFIER})`(?: \(([^()]*)\))?")
RELATION = re.compile(rf"from `({IDENTIFIER})`|through `({IDENTIFIER})`|meets `({IDENTIFIER})` at `({IDENTIFIER})`")

RULES = ("hop",)


def check(tree, report):
    if PAGE not in tree.texts:
        return
    sections = journeys(tree.texts[PAGE])
    for title in JOURNEYS:
        if not sections.get(title):
            report(PAGE, 1, "hop", f'no journey "{title}" with hops')
    for lists in sections.values():
        check_journey(tree, lists, report)


def journeys(text):
    """{title: lists of (line, file, function, relations)} of each section that has numbered items."""
    found, title, apart = {}, "", True
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("## "):
            title, apart = line[3:].strip(), True
        elif re.match(r"\d+\. ", line):
            match = HOP.match(line)
            file, function, relations = match.groups() if match else ("", "", "")
            lists = found.setdefault(title, [])
            if apart:
                lists.append([])
            lists[-1].append((number, file, function, relations or ""))
            apart = False
        elif line.strip() and not line.startswith(" "):
            apart = True
    return {title: lists for title, lists in found.items() if title in JOURNEYS}


def body(tree, file, function):
    """The code of a function, from its brace on; None: the file does not define it."""
    source = tree.sources.get(file)
    for name, _, brace, end, _ in source.functions if source else ():
        if name == function:
            return "\n".join(source.code_lines[brace - 1 : end])
    return None


def is_named_in(name, code):
    return re.search(rf"\b{name}\b", code) is not None


def is_value(name, code):
    """Named and not called: its address is taken."""
    return re.search(rf"\b{name}\b(?!\s*\()", code) is not None


def check_journey(tree, lists, report):
    bodies = {}  # of the hops so far, by function
    for position, hops in enumerate(lists):
        before, meets = None, False
        for line, file, function, text in hops:
            code = body(tree, file, function)
            if code is None:
                report(PAGE, line, "hop", f"{file or 'the item'} does not define {function or 'a hop: `FILE:FUNCTION`'}")
                continue
            relations = RELATION.findall(text)
            if text and len(relations) != len(text.split(";")):
                report(PAGE, line, "hop", f"({text}) is not from, through or meets")
            meets = check_meetings(line, function, code, relations, bodies, report) or meets
            caller = next((start for start, _, _, _ in relations if start), before)
            if before is not None:
                check_call(tree, (line, function), caller, relations, bodies, report)
            bodies[function] = code
            before = function
        if position > 0 and hops and not meets:
            report(PAGE, hops[0][0], "hop", "no hop of this list meets an earlier one")


def check_meetings(line, function, code, relations, bodies, report):
    """Whether a hop meets an earlier one."""
    met = [(other, word) for _, _, other, word in relations if other]
    for other, word in met:
        if other not in bodies:
            report(PAGE, line, "hop", f"{other} is no earlier hop of this journey")
        elif not is_named_in(word, bodies[other]) or not is_named_in(word, code):
            report(PAGE, line, "hop", f"{other} and {function} do not both name {word}")
    return bool(met)


def check_call(tree, hop, caller, relations, bodies, report):
    line, function = hop
    pointer = next((name for _, name, _, _ in relations if name), None)
    if caller not in bodies:
        report(PAGE, line, "hop", f"{caller} is no earlier hop of this journey")
    elif not is_named_in(pointer or function, bodies[caller]):
        report(PAGE, line, "hop", f"{caller} does not name {pointer or function}")
    elif pointer and not any(is_value(function, source.code) for source in tree.sources.values() if source.in_layer):
        report(PAGE, line, "hop", f"no file names {function} as a value, so no pointer leads to it")
