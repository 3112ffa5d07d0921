# SPDX-License-Identifier: MIT
"""Sections of READMEs that comments cite, links in READMEs, and that the README of its folder names every module."""

import os
import re

from style.source import plain

TITLE = r'"[^"\n]{1,80}"'
# README.md ("Idle"), README.md ("Files", "Shutdown"), "README.md, Idle", README.md, "Idle"
TITLES = rf"{TITLE}(?:(?:,\s+|\s+and\s+){TITLE})*"
CITATION = re.compile(rf"((?:[\w.]+/)*)README\.md`?(?:\s+\(({TITLES})\)|,\s+({TITLE})|,\s+([A-Z][\w' ]*))?")
LINK = re.compile(r"\]\(([^()\s]+)\)")
LISTED = ("examples", "bench", "tools")  # beside the layers: folders whose README lists their files
MODULES = (".c", ".h", ".S", ".py")

RULES = ("citation", "link", "module")


def check(tree, report):
    for path, text in sorted(tree.texts.items()):
        if path.startswith("tools/style/"):
            continue
        check_citations(tree, path, text, report)
        if path.endswith(".md"):
            check_links(tree, path, text, report)
    check_modules(tree, report)


def titles(text):
    """The section titles of a README, outside of its blocks of code."""
    text = re.sub(r"(?ms)^```.*?^```", "", text)
    return {title.strip().replace("`", "") for title in re.findall(r"(?m)^#+ (.*)$", text)}


def readme_of(tree, path, folder):
    """The README that a citation in the file `path` means; without a folder, the nearest in or above the file's."""
    here = os.path.dirname(path)
    if folder:
        found = [os.path.normpath(os.path.join(base, folder, "README.md")) for base in ("", here)]
        return next((name for name in found if name in tree.texts), None)
    while True:
        name = os.path.join(here, "README.md")
        if name in tree.texts or not here:
            return name if name in tree.texts else None
        here = os.path.dirname(here)


def check_citations(tree, path, text, report):
    for match in CITATION.finditer(text if path.endswith(".md") else plain(text)):
        folder, listed, one, bare = match.groups()
        quoted = listed or one or ""
        if not quoted and not bare:
            continue
        line = text.count("\n", 0, match.start()) + 1
        readme = readme_of(tree, path, folder)
        if readme is None:
            report(path, line, "citation", f"{folder}README.md does not exist")
            continue
        for title in re.findall(r'"([^"]+)"', " ".join(quoted.split())) or [" ".join(bare.split())]:
            known = titles(tree.texts[readme])
            if title not in known and not (bare and any(re.match(rf"{re.escape(other)}\b", bare) for other in known)):
                report(path, line, "citation", f'{readme} has no section "{title}"')


def anchor(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def check_links(tree, path, text, report):
    for match in LINK.finditer(re.sub(r"(?ms)^```.*?^```", lambda block: re.sub(r"[^\n]", " ", block.group(0)), text)):
        target, _, section = match.group(1).partition("#")
        line = text.count("\n", 0, match.start()) + 1
        if re.match(r"\w+:", target):
            continue
        name = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if name not in tree.paths:
            report(path, line, "link", f"{name} does not exist")
        elif section and section not in {anchor(title) for title in titles(tree.texts.get(name, ""))}:
            report(path, line, "link", f"{name} has no section #{section}")


def check_modules(tree, report):
    """The name of each module is in back quotes in the README of its folder, or in the nearest above it."""
    for path in sorted(tree.texts):
        layer = path.split("/")[0]
        inside = "/" in path and (tree.is_layer(layer) or os.path.dirname(path) in LISTED)
        stem, extension = os.path.splitext(os.path.basename(path))
        if not inside or extension not in MODULES or "/include/" in path or stem in ("__init__", "tn"):
            continue
        readme = readme_of(tree, path, "")
        if readme and os.path.dirname(readme) and stem not in named(tree.texts[readme]):
            report(path, 1, "module", f"{readme} does not name {stem}")


def named(text):
    """What is in back quotes, without folders and extensions; `micro_*.c` is a pattern for names."""
    found = {re.sub(r"\.\w+$", "", word.split("/")[-1]) for quoted in re.findall(r"`([^`\n]+)`", text) for word in quoted.split()}
    return Names(found)


class Names:
    def __init__(self, names):
        self.names = names
        self.patterns = [re.compile(re.escape(name).replace(r"\*", r"\w*")) for name in names if "*" in name]

    def __contains__(self, name):
        return name in self.names or any(pattern.fullmatch(name) for pattern in self.patterns)
