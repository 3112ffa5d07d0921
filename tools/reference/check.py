# SPDX-License-Identifier: MIT
"""Whether the reference has every public function, and no dead link."""

import html.parser
import os
import re
import urllib.parse

from reference import man
from style.contracts import public_functions


class Page(html.parser.HTMLParser):
    """The anchors of a page, and its links."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.update(filter(None, (attrs.get("id"), attrs.get("name"))))
        self.links += [attrs[key] for key in ("href", "src") if attrs.get(key)]


def findings(tree, output):
    """A text for each fault of the reference in a folder that build.build has filled."""
    functions = [
        (header.path, name, bool(comment)) for header in tree.headers.values() if header.is_public_header
        for name, _, comment in public_functions(header)
    ]
    if not functions:
        return ["there are no public functions"]
    return [*html_faults(functions, output), *man_faults(functions, output)]


def texts_in(folder, ending):
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            if name.endswith(ending):
                path = os.path.join(here, name)
                with open(path, encoding="utf-8", errors="replace") as file:
                    found[os.path.relpath(path, folder)] = file.read()
    return found


# --- HTML -------------------------------------------------------------------------------------------------------------


def html_faults(functions, output):
    folder = os.path.join(output, "html")
    pages = {path: Page(text) for path, text in texts_in(folder, ".html").items() if not path.startswith("search" + os.sep)}
    scripts = texts_in(folder, ".js")
    described = described_functions(os.path.join(output, "xml"))
    found = set(re.findall(r"\['(\w+)'", " ".join(text for path, text in scripts.items() if path.startswith("search"))))
    for path, name, has_comment in functions:
        anchor = described.get(name)
        if anchor is None or anchor[0] not in pages or anchor[1] not in pages[anchor[0]].anchors:
            yield f"{path}: {name} is not in the HTML reference"
        elif has_comment and not anchor[2]:
            yield f"{path}: {name} is in the HTML reference without its comment"
        if name not in found:
            yield f"{path}: {name} is not found by the search"
    yield from dead_links(folder, pages)
    for script, text in scripts.items():
        for target in re.findall(r"""["']([\w./]+\.html(?:#\w*)?)["']""", text):
            yield from dead_link(folder, pages, script, target)


def described_functions(xml):
    """{name: (page, anchor, is described)} of each function that Doxygen knows."""
    found = {}
    for compound in man.read(xml):
        for member in compound.iter("memberdef"):
            if member.get("kind") == "function":
                page, _, anchor = member.get("id").rpartition("_1")
                found[man.text_of(member, "name")] = page + ".html", anchor, man.said(member) != "|"
    return found


def dead_links(folder, pages):
    for path, page in pages.items():
        for link in page.links:
            yield from dead_link(folder, pages, path, link)


def dead_link(folder, pages, path, link):
    if re.match(r"\w+:", link):
        return
    target, _, anchor = urllib.parse.unquote(link).partition("#")
    name = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
    if not os.path.exists(os.path.join(folder, name)):
        yield f"html/{path}: the link to {link} is dead"
    elif anchor and name in pages and anchor not in pages[name].anchors:
        yield f"html/{path}: the link to {link} is dead"


# --- Man pages --------------------------------------------------------------------------------------------------------


def man_faults(functions, output):
    pages = texts_in(os.path.join(output, "man"), "")
    for path, name, _ in functions:
        page = pages.get(f"man3/{name}.3")
        target = re.fullmatch(r"\.so (\S+)\n", page or "")
        text = pages.get(target.group(1), "") if target else page
        if not text or not re.search(rf"(?m)^(.*, )?{name}(,| \\-)", text):
            yield f"{path}: {name} has no man page"
    for path, text in pages.items():
        for target in re.findall(r"(?m)^\.so (\S+)$", text):
            if target not in pages:
                yield f"man/{path}: {target} does not exist"
        for name, section in re.findall(r"(?m)^\.BR (\S+) \((\d)\),?$", text):
            if f"man{section}/{name}.{section}" not in pages:
                yield f"man/{path}: {name}({section}) does not exist"
