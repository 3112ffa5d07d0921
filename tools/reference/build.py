# SPDX-License-Identifier: MIT
"""Builds the reference: converts the headers, runs Doxygen, writes the man pages."""

import os
import re
import shutil

from kit.packages import ROOT
from kit.processes import Failure, output_of
from reference import comments, man
from style import cancellation

LAYERS = (("runtime", "Tasks"), ("sync", "Between tasks"), ("blocking_pool", "Calls that block"), ("net", "Network"))
DOXYGEN_S = 120
INTRODUCTION = """
@mainpage tournant

A work-stealing task runtime for C. Each header is listed below; `tn.h` includes all. Functions are found by the search field.

The contract of each function says:

<table>
<tr><td><b>Suspends</b></td><td>whether, and when, it lets other tasks run; a plain thread is blocked</td></tr>
<tr><td><b>Callable from</b></td><td>a fiber, a stackless task (its poll function), a plain thread, a signal handler</td></tr>
<tr><td><b>Ownership</b></td><td>what is borrowed, what is consumed, what the caller has to give back</td></tr>
<tr><td><b>Errors</b></td><td>the negative errno values that are not a cancellation</td></tr>
<tr><td><b>Cancellation</b></td><td>whether it is a @ref cancellation_points "cancellation point", and what is left then</td></tr>
</table>
"""


def build(tree, output):
    """Everything in `output`, which is made anew."""
    headers = [header for header in tree.headers.values() if header.is_public_header]
    if not headers:
        raise Failure("there are no public headers")
    names = comments.Names(headers)
    shutil.rmtree(output, ignore_errors=True)
    texts = {header.path.partition("/include/")[2]: comments.converted(header, names) for header in headers}
    texts["pages.dox"] = f"/** {main_page(headers, names)}\n*/\n/** {cancellation_page(tree, names)}\n*/\n"
    if names.unknown:
        lines = (f"{path}: a comment names {name}, which no public header declares" for path, name in names.unknown)
        raise Failure("\n".join(lines))
    for name, text in texts.items():
        path = os.path.join(output, "input", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    run_doxygen(output, version(tree))
    man.write(os.path.join(output, "xml"), os.path.join(output, "man"), version(tree))


def version(tree):
    numbers = re.findall(r"(?m)^#define TN_VERSION_\w+ (\d+)", tree.texts.get("runtime/include/tn/base.h", ""))
    return ".".join(numbers) or "0"


def main_page(headers, names):
    lines = [INTRODUCTION.replace("`tn.h`", "<code>tn.h</code>")]
    for layer, title in LAYERS:
        if not any(header.layer == layer for header in headers):
            continue
        lines += [f"<h2>{title}</h2>", "<table>"]
        for header in headers:
            name = header.path.partition("/include/tn/")[2]
            about = next((text for _, text in header.comments if comments.TITLE.match(text)), None)
            if header.layer == layer and name and about:
                said = " ".join(comments.stripped(re.sub(comments.TITLE, "/* ", about))).partition(". ")[0].rstrip(".")
                said = comments.linked(said, header.path, names)
                lines.append(f'<tr><td>@ref {name} "tn/{name}"</td><td>{said}</td></tr>')
        lines.append("</table>")
    return "\n".join(lines)


def cancellation_page(tree, names):
    """The table that is in the tree as Markdown."""
    out, inside = ["@page cancellation_points Cancellation points", ""], False
    for line in cancellation.table(tree).split("\n")[4:]:
        is_row = line.startswith("|")
        if is_row != inside:
            out.append("<table>" if is_row else "</table>")
        inside = is_row
        if is_row and not line.startswith("|---"):
            cells = re.split(r"(?<!\\)\|", re.sub(r"\[(.*?)\]\(.*?\)|`(\w+)`", r"\1\2", line))[1:-1]
            cells = [comments.linked(cell.strip(), cancellation.TABLE, names) for cell in cells]
            out.append("<tr><td>" + "</td><td>".join(cells) + "</td></tr>")
        elif not is_row:
            out.append(f"<h2>{line[3:]}</h2>" if line.startswith("## ") else comments.linked(line, cancellation.TABLE, names))
    return "\n".join(out)


def run_doxygen(output, number):
    folder = os.path.join(output, "input")
    with open(os.path.join(ROOT, "docs", "Doxyfile"), encoding="utf-8") as file:
        options = file.read()
    options += f'PROJECT_NUMBER = {number}\nOUTPUT_DIRECTORY = "{output}"\n'
    options += "".join(f'{option} = "{folder}"\n' for option in ("INPUT", "STRIP_FROM_PATH", "STRIP_FROM_INC_PATH"))
    path = os.path.join(output, "Doxyfile")
    with open(path, "w", encoding="utf-8") as file:
        file.write(options)
    output_of(["doxygen", path], DOXYGEN_S, "doxygen")
