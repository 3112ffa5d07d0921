# SPDX-License-Identifier: MIT
"""The prose of the tree: comments, READMEs, messages, names of tests; without names of code."""

import ast
import io
import os
import re
import tokenize

from style.source import plain

NAME = re.compile(r"`[^`\n]*`|\b\w*(?:_\w+|\w\(\))|\b[\w/*.-]*\w\.(?:c|h|py|S|md|txt|svg|json)\b|\bhttps?:\S+|\b[A-Z]{3,}\b")
CRITERION = re.compile(r"^Test\((\w+), (\w+)", re.M)


def pieces(tree, path):
    """(first line, text) of each piece of prose in a file; texts keep their line breaks."""
    text = tree.texts[path]
    extension = os.path.splitext(path)[1]
    if path in tree.sources:
        source = tree.sources[path]
        yield from ((line, plain(comment.removesuffix("*/"))) for line, comment in source.comments)
        yield from ((line, literal.replace("\\n", "  ")) for line, literal in source.strings)
        for match in CRITERION.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, " ".join(match.groups()).replace("_", " ")
    elif extension == ".py":
        yield from python(text)
    elif path.endswith("mutants.txt"):
        yield from ((number, line[1:]) for number, line in enumerate(text.split("\n"), 1) if line.startswith("#"))
    elif path.endswith((".cmake", "CMakeLists.txt")):
        yield from ((number, "#".join(line.split("#")[1:])) for number, line in enumerate(text.split("\n"), 1) if "#" in line)
    else:
        yield 1, text


def python(text):
    """Comments, and all texts of more than a word: docstrings, messages."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#! ")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def without_names(text):
    """A text with the names of code blanked, so that what is left is prose; positions are kept."""
    return NAME.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)
