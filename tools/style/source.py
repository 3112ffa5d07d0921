# SPDX-License-Identifier: MIT
"""What the checks read: C files as code, comments and functions, and the tree that they make up."""

import os
import re

LAYERS = ("runtime", "sync", "blocking_pool", "net")
# Libraries of their own, no folders of the layer: {folder: name}. Their public headers are checked as those of the layers.
LIBRARIES = {"runtime/sim/": "sim", "net/tls/": "tls", "net/admin/": "admin"}
IDENTIFIER = r"[A-Za-z_]\w*"


def plain(text):
    """A text with the frames of comments removed at the beginnings of lines; all positions are kept."""
    return re.sub(r"(?m)^\s*(?:/?\*(?!\*)/?|//|#+|--)", lambda match: " " * len(match.group(0)), text)


class Source:
    """One C file: its text, its code (comments and texts blanked, lines kept), its comments by line, its functions."""

    def __init__(self, path, text):
        self.path = path
        self.library = next((folder for folder in LIBRARIES if path.startswith(folder)), None)  # its folder
        self.layer = LIBRARIES[self.library] if self.library else path.split("/")[0]
        self.name = os.path.basename(path)
        self.text = text
        self.lines = text.split("\n")
        self.commented = set()  # numbers of lines with a comment on them
        self.comments = []  # (first line, text) of each
        self.strings = []  # (line, text) of each literal
        self.code = self.blank(text)
        self.code_lines = self.code.split("\n")
        self.functions = []
        self.declarations = []
        if not path.endswith(".S"):
            self.parse()

    @property
    def in_layer(self):
        return self.layer in LAYERS

    @property
    def is_header(self):
        return self.name.endswith(".h")

    @property
    def is_public_header(self):
        if self.library:
            return self.path.startswith(self.library + "include/")
        return self.in_layer and self.is_header and bool(re.fullmatch(r"\w+/(include/(tn/)?\w+|tn(_\w+)?)\.h", self.path))

    def names(self):
        """Functions, macros, types, fields and constants that this file defines or declares."""
        found = {function[0] for function in self.functions}
        found.update(re.findall(rf"(?m)^\s*#\s*define\s+({IDENTIFIER})", self.code))
        for text, _, _ in self.declarations:
            found.update(re.findall(rf"({IDENTIFIER})\s*(?:\(|\[|$)", re.sub(r"\{.*\}", " ", text)))
        for body in re.findall(r"\b(?:struct|union|enum)\b[^;(){}]*\{((?:[^{}]|\{[^{}]*\})*)\}", self.code):
            found.update(re.findall(rf"({IDENTIFIER})\s*(?:[,;=:\[]|\)\s*\(|$)", body))
        return found

    def includes(self):
        """(line, name, quoted) of each include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*(<([^>]+)>|"([^"]+)")', line)
            if match and self.code_lines[number - 1].strip():
                yield number, match.group(2) or match.group(3), match.group(3) is not None

    def blank(self, text):
        pattern = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)

        def replace(match):
            found = match.group(0)
            first = text.count("\n", 0, match.start()) + 1
            if found[0] == "/":
                self.comments.append((first, found))
                self.commented.update(range(first, first + found.count("\n") + 1))
                return re.sub(r"[^\n]", " ", found)
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if re.match(r"\s*#\s*include\s*$", before):
                return found
            self.strings.append((first, found[1:-1]))
            return found[0] + " " * (len(found) - 2) + found[-1]

        return pattern.sub(replace, text)

    def parse(self):
        """Fills functions with (name, is_static, line, brace, end, head), declarations with (text, first line, last line)."""
        for_cplusplus = r"^[ \t]*#[ \t]*if(?:def[ \t]+|[ \t]+defined\W*)__cplusplus.*?^[ \t]*#[ \t]*endif"
        code = re.sub(for_cplusplus, self.blanked, self.code, flags=re.S | re.M)
        code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", self.blanked, code, flags=re.M)
        depth, start, opened, line = 0, 0, None, 1
        for position, char in enumerate(code):
            if char == "\n":
                line += 1
            elif char == "{":
                if depth == 0:
                    opened = (self.function_head(code[start:position]), line)
                depth += 1
            elif char == "}":
                depth -= 1
                if depth == 0 and opened and opened[0]:
                    name, is_static, head = opened[0]
                    self.functions.append((name, is_static, opened[1], line, head))
                    start = position + 1
            elif char == ";" and depth == 0:
                text = code[start:position]
                first = line - text.lstrip().count("\n")
                self.declarations.append((" ".join(text.split()), first, line))
                start = position + 1

    @staticmethod
    def blanked(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    @staticmethod
    def function_head(head):
        """(name, is_static, head) when `head`, the text before an opening brace, is a function's; else None."""
        head = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|_Alignas\s*\([^()]*\)", " ", head)
        head = head.rstrip()
        if not head.endswith(")"):
            return None
        depth, position = 0, len(head) - 1
        while position >= 0:
            depth += {")": 1, "(": -1}.get(head[position], 0)
            if depth == 0:
                break
            position -= 1
        match = re.search(rf"({IDENTIFIER})\s*$", head[:position])
        if not match:
            return None
        before = head[: match.start()]
        if "=" in before:
            return None
        before = before[before.rfind(")") + 1 :]
        return match.group(1), bool(re.search(r"\bstatic\b|\b\w+_INLINE\b", before)), before


class Tree:
    """Every file that is checked, {path: text}, and the C files among them as Source; the paths of all files, also of others.

    strict: the rules that hold for some folders alone, as long as the others are being rewritten, hold for all.
    """

    def __init__(self, texts, paths=(), strict=False):
        self.texts = texts
        self.strict = strict
        self.paths = set(texts) | set(paths) | {os.path.dirname(path) for path in texts}
        self.sources = {path: Source(path, text) for path, text in sorted(texts.items()) if path.endswith((".c", ".h", ".S"))}
        self.headers = {
            source.path: source
            for source in self.sources.values()
            if source.is_header and (source.in_layer or source.is_public_header)
        }
        self.public_code = "".join(source.code for source in self.headers.values() if source.is_public_header)
        self.private_code = "".join(source.code for source in self.headers.values() if not source.is_public_header)

    @staticmethod
    def is_layer(folder):
        return folder in LAYERS

    def header(self, name, layer):
        """The header of a layer that `#include name` in a file of `layer` means; None: it is none of ours."""
        name = re.sub(r"^(\.\./)+", "", name)
        found = [source for path, source in self.headers.items() if path == name or path.endswith("/" + name)]
        return next((source for source in found if source.layer == layer), found[0] if found else None)


def read_headers(root):
    """The public headers alone, as a tree."""
    texts = {}
    for layer in (*LAYERS, *LIBRARIES):
        for here, _, files in os.walk(os.path.join(root, layer, "include")):
            for name in filter(lambda name: name.endswith(".h"), files):
                path = os.path.join(here, name)
                with open(path, encoding="utf-8") as file:
                    texts[os.path.relpath(path, root)] = file.read()
    return Tree(texts)
