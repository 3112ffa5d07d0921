# SPDX-License-Identifier: MIT
"""Each public function that may lack memory, a file, a thread or another resource is called where its calls fail in turn."""
import re

from style.contracts import SLOT, plain, public_functions

RULES = ("failure",)

# Programs in which allocations, system calls and starts of threads fail.
CASES = re.compile(r"test/\w+/(each_\w*failure_test|create_test)\.c")
RESOURCE = re.compile(r"TN_ENOMEM|TN_EMFILE|of the kernel|file errors|system calls|no thread|those of the kind")
THOSE_OF = re.compile(r"(?:[Tt]hose|that) of (tn_\w+)(?:,? and (tn_\w+))?")

# Functions that are not called there, with the reason.
ELSEWHERE = {
    "tn_writer_vprintf": "tn_writer_printf calls it",
}


def errors_of(comment):
    pieces = SLOT.split("\n".join(part.strip() for part in plain(comment.removesuffix("*/")).split("\n")))
    slots = dict(zip(pieces[1::2], pieces[2::2]))
    return " ".join(slots.get("Errors", "").split("\n\n")[0].split())


def may_lack(tree):
    """{function: (path, line)} of those whose errors name a resource, or are those of another one that may."""
    errors, places = {}, {}
    for source in tree.headers.values():
        if source.is_public_header and source.library != "runtime/sim/":
            for name, line, comment in public_functions(source):
                errors[name], places[name] = errors_of(comment), (source.path, line)
    found = {name for name, text in errors.items() if RESOURCE.search(text)}
    while True:
        more = {name for name, text in errors.items() if found & {each for pair in THOSE_OF.findall(text) for each in pair}}
        if more <= found:
            return {name: places[name] for name in found}
        found |= more


def check(tree, report):
    tried = " ".join(text for path, text in tree.texts.items() if CASES.fullmatch(path))
    called = set(re.findall(r"\b(tn_\w+)\(", tried))
    for name, (path, line) in sorted(may_lack(tree).items()):
        if name not in called and name not in ELSEWHERE:
            report(path, line, "failure", f"{name} may lack a resource, and no test/FOLDER/each_failure_test.c calls it")
