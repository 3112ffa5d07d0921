# SPDX-License-Identifier: MIT
"""Pictures that are drawn from a text: the drawing that is in the tree is that of the text, and the text names all folders."""

import hashlib
import re

from style.folders import FOLDERS

# (text, drawing) of each; `tools/docs --picture` draws them.
PICTURES = [("docs/architecture.dot", "docs/architecture.svg")]

RULES = ("picture",)


def stamp(text):
    """The comment in a drawing that says which text it is of."""
    return f"<!-- drawn from {hashlib.sha256(text.encode()).hexdigest()} -->"


def check(tree, report):
    for text, drawing in PICTURES:
        if text not in tree.texts:
            continue
        if stamp(tree.texts[text]) not in tree.texts.get(drawing, ""):
            report(text, 1, "picture", f"{drawing} is of another text: run `tools/docs --picture`")
        for layer, folders in FOLDERS.items():
            for name in (f"{layer}/", *folders):
                if name not in ("", "include") and not re.search(rf">{re.escape(name)}<", tree.texts[text]):
                    report(text, 1, "picture", f"the folder {layer}/{name.rstrip('/')} is missing")
