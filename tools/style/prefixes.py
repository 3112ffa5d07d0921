# SPDX-License-Identifier: MIT
"""The prefix of a function names its file."""

import re

from style.folders import folder

# Prefixes of functions that a file has beside its name.
OTHERS = {
    "atomic": {"fence", "spin"},
    "thread": {"os", "futex", "clock", "random"},
    "alloc": {"free"},
    "driver": {"registration", "readiness"},
}

RULES = ("file-prefix",)


def check(tree, report):
    modules = {}  # by layer: the names of its private files, without their ends
    for source in tree.sources.values():
        if source.in_layer and folder(source) != "include":
            modules.setdefault(source.layer, set()).add(stem(source))
    for source in tree.sources.values():
        if source.in_layer and folder(source) != "include":
            check_prefixes(source, modules[source.layer], report)


def stem(source):
    return source.name.rsplit(".", 1)[0]


def owner(modules, words):
    """The file that a name begins with, the one with the most words; `waiter` and `waiters` are one. None: none."""
    for count in range(len(words), 0, -1):
        word = "_".join(words[:count])
        for module in (word, word + "s", word.removesuffix("s")):
            if module in modules:
                return module
    return None


def check_prefixes(source, modules, report):
    """tni_NAME_… and tn_NAME_… are in NAME.c, in NAME.h, or in a file NAME_…; a public name may be a plain verb."""
    here = stem(source)
    for name, is_static, brace, _, _ in source.functions:
        match = re.fullmatch(r"(tni?)_(\w+)", name)
        if not match or (is_static and not source.is_header):
            continue
        words = match.group(2).split("_")
        file = owner(modules, words)
        if file:
            good = here == file or here.startswith(file + "_")
        else:
            good = here.startswith(words[0] + "_")
        is_verb = match.group(1) == "tn" and (not file or len(words) == 1)
        if not good and not is_verb and words[0] not in OTHERS.get(here, ()):
            place = file or words[0]
            report(source.path, brace, "file-prefix", f"{name} is not in {place}.c, {place}.h or a file {place}_…")
