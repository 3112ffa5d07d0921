# SPDX-License-Identifier: MIT
"""The comment of each public function, and the sentences of public headers."""

import re

from style.source import IDENTIFIER, plain

SENTENCE_WORDS = 30
SLOTS = ("Suspends", "Callable from", "Ownership", "Errors", "Cancellation")
SLOT = re.compile(rf"(?:^|(?<=[.:] ))({'|'.join(SLOTS)}):", re.M)
FORMS = {
    "Suspends": (r"(no|yes|until|unless|if|when|while)\b", "`no`, `yes` or a condition (until, unless, if, when, while)"),
    "Cancellation": (r"no\.|yes; \S", "`no.` or `yes; ` and the state that is left when the call is cut short"),
}
RULES = ("contract", "sentence")


def check(tree, report):
    for source in tree.headers.values():
        if source.is_public_header:
            check_contracts(source, report)
            check_sentences(source, report)


def public_functions(source):
    """(name, line, comment) of each: the comment is above it, or above the run of declarations that it is in. A name that ends
    in _ is private: it is there for inline functions of the header."""
    found = [(text, first, last) for text, first, last in source.declarations if "TN_API" in text.split()]
    found += [(name + "(", line, end) for name, line, end in inline_functions(source)]
    previous, comment = -1, ""
    for text, first, last in sorted(found, key=lambda item: item[1]):
        match = re.search(rf"\b({IDENTIFIER})\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", text))
        if not match:
            continue
        if first != previous + 1:
            comment = comment_above(source, first)
        previous = last
        if not match.group(1).endswith("_"):
            yield match.group(1), first, comment


def inline_functions(source):
    """(name, first line, last line) of each function that a public header defines."""
    for name, _, brace, end, _ in source.functions:
        first = brace
        while first > 1 and re.search(r"[^;}\s]\s*$", source.code_lines[first - 2]):
            first -= 1
        yield name, first, end


def comment_above(source, line):
    first = line - 1
    while first >= 1 and first in source.commented and not source.code_lines[first - 1].strip():
        first -= 1
    return "\n".join(source.lines[first : line - 1])


def check_contracts(source, report):
    """All five slots in their order, each at the beginning of a line or of a sentence, none empty."""
    for name, line, comment in public_functions(source):
        text = "\n".join(part.strip() for part in plain(comment.removesuffix("*/")).split("\n"))
        pieces = SLOT.split(text)
        found, values = pieces[1::2], [" ".join(value.split("\n\n")[0].split()) for value in pieces[2::2]]
        if tuple(found) != SLOTS:
            given = ", ".join(found) or "no slot"
            report(source.path, line, "contract", f"{name}: its comment has {given}; all are {', '.join(SLOTS)}")
            continue
        for slot, value in zip(found, values):
            form, said = FORMS.get(slot, (r"\w|`", "something"))
            if not re.match(form, value) or not value.endswith("."):
                report(source.path, line, "contract", f"{name}: `{slot}:` must begin with {said} and end with a full stop")


def sentences(comment):
    """(offset of the line, sentence) of each in a comment; tables and examples, which are indented or framed, are left out."""
    lines = [re.sub(r"^\s*(/?\*+/?|//)", "", line) for line in comment.removesuffix("*/").split("\n")]
    text = "\n".join("" if re.match(r"\s{4,}\S|\s*\|", line) or not line.strip() else line.strip() for line in lines)
    text = SLOT.sub("\n\n", text)
    start = 0
    for end in [match.end() for match in re.finditer(r"[.!?](?=\s)|\n\n+|\Z", text)]:
        sentence = " ".join(text[start:end].split())
        if sentence:
            yield text[:start].count("\n") + len(re.match(r"\s*", text[start:end]).group(0).split("\n")) - 1, sentence
        start = end


def check_sentences(source, report):
    for first, comment in source.comments:
        for offset, sentence in sentences(comment):
            words = [word for word in sentence.split() if re.search(r"\w", word)]
            if len(words) > SENTENCE_WORDS:
                beginning = " ".join(words[:5])
                report(source.path, first + offset, "sentence", f"{len(words)} words, at most {SENTENCE_WORDS}: {beginning} …")
