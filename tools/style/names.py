# SPDX-License-Identifier: MIT
"""Prefixes and visibility of functions, names of types, guards of headers."""

import re

RULES = ("prefix", "visibility", "typedef", "guard")


def check(tree, report):
    for source in tree.sources.values():
        if source.name.endswith(".S"):
            continue
        if source.in_layer:
            check_functions(tree, source, report)
            check_exports(source, report)
        check_types(source, report)
        check_guard(source, report)


def check_functions(tree, source, report):
    for name, is_static, brace, _, _ in source.functions:
        prefix = "tni_" if name.startswith("tni_") else "tn_" if name.startswith("tn_") else ""
        if source.is_header:
            wanted = "tn_" if source.is_public_header else "tni_"
            if prefix != wanted:
                report(source.path, brace, "prefix", f"{name}: functions of this header begin with {wanted}")
        elif is_static and prefix:
            report(source.path, brace, "prefix", f"{name}: a static function has no prefix")
        elif not is_static and not prefix:
            report(source.path, brace, "prefix", f"{name}: is neither static nor tn_ nor tni_")
        elif not is_static and not re.search(rf"\b{name}\s*\(", tree.public_code if prefix == "tn_" else tree.private_code):
            where = "a public" if prefix == "tn_" else "a private"
            report(source.path, brace, "visibility", f"{name}: is not declared in {where} header")


def check_exports(source, report):
    for text, _, line in source.declarations:
        if "TN_API" not in text.split():
            continue
        if not source.is_public_header:
            report(source.path, line, "visibility", "TN_API outside the public headers")
        elif not re.search(r"\btn_\w+\s*(\(|$)", text):
            report(source.path, line, "prefix", "TN_API on a name without tn_")


def check_types(source, report):
    for number, line in enumerate(source.code_lines, 1):
        for name in re.findall(r"(?:\btypedef\b[^;(]*\b|^\}\s*|\b(?:struct|union|enum)\s+)(\w+_t)\s*[;{]", line):
            report(source.path, number, "typedef", f"{name}: names that end in _t are reserved by POSIX")


def check_guard(source, report):
    if not source.is_header:
        return
    stem = re.sub(r"\W", "_", source.name[:-2]).upper()
    if not source.in_layer:
        wanted = rf"\w*{stem}_H"
    elif source.is_public_header:
        wanted = f"{stem}_H" if re.match(r"TN(_|$)", stem) else f"TN_{stem}_H"
    else:
        wanted = f"TNI_{stem}_H"
    match = re.search(r"^#ifndef (\w+)\n#define (\w+)$", source.code, re.M)
    if not match or match.group(1) != match.group(2) or not re.fullmatch(wanted, match.group(1)):
        report(source.path, 1, "guard", f"the header guard must be {wanted}")
