# SPDX-License-Identifier: MIT
"""Doxygen's input: the public headers with their comments turned into Doxygen's.

A comment above a declaration, or behind it on its line, documents it. Slots (`Suspends:` …) become paragraphs, names of the
library become links. What is no documentation (license, section lines, clang-format) is left out.
"""

import re

from style.contracts import SLOT, public_functions
from style.source import IDENTIFIER

ORDINARY = re.compile(r"/\*\s*(SPDX-|clang-format|---)")
TITLE = re.compile(r"/\*\s*tournant: ")
NAME = re.compile(r"`[^`\n]*`|\btn/\w+\.h\b|\b(?:tn|TN)_\w*(?:\.\w+)?(?:…|\*)?|[\\@<>&#%]")
BODY = re.compile(r"\b(struct|enum|union)\s+\w*\s*\{((?:[^{}]|\{[^{}]*\})*)\}\s*(\w*)")
OPAQUE = re.compile(r"(?m)^ *union \{[^{}]*\} opaque;|^ *uint64_t opaque\[\d+\];")


class Names:
    """What the public headers declare, and what was named and is none of it."""

    def __init__(self, headers):
        self.functions, self.all, self.members = set(), set(), {}
        self.headers = {header.path.partition("/include/")[2] for header in headers}
        self.unknown = []  # (path, name)
        for header in headers:
            self.functions.update(name for name, _, _ in public_functions(header))
            self.all.update(name for name in header.names() if re.match(r"tn_|TN_", name) and not name.endswith("_H"))
            for kind, body, name in BODY.findall(header.code):
                fields = set(re.findall(rf"({IDENTIFIER})\s*(?:[,;=\[]|\)\s*\(|$)", body))
                self.members[name] = fields if kind == "struct" else set()
            self.all.update(re.findall(r"\btypedef\b[^;]*?\b(tn_\w+)\s*;", header.code))
            self.all.update(re.findall(r"\(\*(tn_\w+)\)", header.code))
        self.all |= self.functions | set(filter(None, self.members))

    def link(self, path, word):
        """A name as a link; one that is unknown is noted."""
        name, _, member = word.partition(".")
        family = word.rstrip("*…")
        if word in self.headers:
            return f'@ref {word.partition("/")[2]} "{word}"'
        if word in self.functions:
            return f'@ref {word} "{word}()"'
        if word in self.all:
            return f'@ref {word} "{word}"'
        if member and member in self.members.get(name, ()):
            return f'@ref {name}::{member} "{word}"'
        is_family = (family != word or word.endswith("_")) and any(other.startswith(family) for other in self.all)
        if not is_family:
            self.unknown.append((path, word))
        return word


def escaped(text):
    return re.sub(r"[\\@<>&#%]", lambda match: "\\" + match.group(0), text)


def linked(text, path, names):
    """A piece of prose for Doxygen."""

    def replace(match):
        found = match.group(0)
        if found[0] == "`":
            return f"<code>{escaped(found[1:-1])}</code>"
        if found.startswith(("tn", "TN")):
            return names.link(path, found)
        return "\\" + found

    return NAME.sub(replace, text)


def stripped(comment):
    """The lines of a comment without its frame."""
    inner = comment[2:-2].split("\n")
    return [inner[0].strip()] + [re.sub(r"^\s*\* ?", "", line).rstrip() for line in inner[1:]]


def paragraphs(lines, path, names):
    """Prose, with what is indented or a table as it is."""
    out, verbatim = [], False
    for line in lines:
        kept = bool(re.match(r" {4,}\S|\s*\|", line))
        if kept != verbatim:
            out.append("@verbatim" if kept else "@endverbatim")
        verbatim = kept
        out.append(line if kept else linked(line.strip() if line.lstrip().startswith("- ") else line, path, names))
    return out + ["@endverbatim"] * verbatim


def documentation(comment, path, names, summary=True):
    """The text of a comment as Doxygen wants it: the first sentence, the rest, the slots."""
    pieces = SLOT.split("\n".join(stripped(comment)))
    first, _, rest = pieces[0].strip().partition("\n\n")
    sentence = re.match(r".*?(?:[.!?](?=\s|$)|$)", first, re.S).group(0) if summary else ""
    out = []
    if sentence:
        out.append("@brief " + linked(" ".join(sentence.split()), path, names))
    more = (first[len(sentence) :].strip() + "\n\n" + rest).strip()
    if more:
        out += ["", *paragraphs(more.split("\n"), path, names)]
    behind = []  # paragraphs that follow the slots
    for slot, text in zip(pieces[1::2], pieces[2::2]):
        said, _, more = text.strip().partition("\n\n")
        said = " ".join(said.split())
        out += ["", f"@par {slot}", linked(said[:1].upper() + said[1:] if said[:3] != "tn_" else said, path, names)]
        behind += [more] if more.strip() else []
    for more in behind:
        out += ["", "@par", *paragraphs(more.strip().split("\n"), path, names)]
    return "\n".join(out).strip()


def converted(header, names):
    """A header for Doxygen."""
    text, path = header.text, header.path
    name = path.partition("/include/")[2]

    def replace(match):
        comment = match.group(0)
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if ORDINARY.match(comment) or (not before.strip() and text[match.end() : match.end() + 2] in ("\n\n", "")
                                       and not TITLE.match(comment)):
            return ""
        if before.strip():
            return "/**< " + documentation(comment, path, names, summary=False) + " */"
        if TITLE.match(comment):
            said = re.sub(TITLE, "/* ", comment)
            return f"/** @file {name}\n" + documentation(said[:3] + said[3].upper() + said[4:], path, names) + " */"
        return "/** " + documentation(comment, path, names) + " */"

    lines = text.split("\n")
    for other, first, line in runs(header):
        lines[line - 1] = f"/** @copydoc {first} */ {lines[line - 1]}" if other else lines[line - 1]
    text = OPAQUE.sub(lambda match: f"/** @cond */\n{match.group(0)}\n/** @endcond */", "\n".join(lines))
    return re.sub(r"/\*(?!\*).*?\*/", replace, text, flags=re.S)


def runs(header):
    """(name, first of its run, line) of each declaration that shares the comment of the one before it."""
    first, before = None, None
    for name, line, comment in public_functions(header):
        if before == comment and comment and first:
            yield name, first, line
        else:
            first = name
        before = comment
