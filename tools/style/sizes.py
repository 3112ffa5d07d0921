# SPDX-License-Identifier: MIT
"""How long lines, functions and files may be, and that no function body has variants."""

import ast
import re

LINE_COLUMNS = 130
FUNCTION_LINES = 70
FILE_LINES_WARNING = 600
FILE_LINES_ERROR = 800
PROSE = (".md", ".dot", ".svg", "mutants.txt")  # and drawings

RULES = ("line-length", "file-length", "function-length", "if-in-body")


def check(tree, report):
    for path, text in sorted(tree.texts.items()):
        if not path.endswith(PROSE):
            check_size(path, text, report)
        if path.endswith(".py"):
            check_python(path, text, report)
    for source in tree.sources.values():
        check_functions(source, report)


def warnings(tree):
    """Files that are longer than they should be and shorter than they must."""
    for path, text in sorted(tree.texts.items()):
        lines = text.count("\n")
        if not path.endswith(PROSE) and FILE_LINES_WARNING < lines <= FILE_LINES_ERROR:
            yield f"{path}: warning: {lines} lines, better at most {FILE_LINES_WARNING}"


def check_size(path, text, report):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LINE_COLUMNS:
            report(path, number, "line-length", f"{len(line)} columns, at most {LINE_COLUMNS}")
    lines = text.count("\n")
    if lines > FILE_LINES_ERROR:
        report(path, lines, "file-length", f"{lines} lines, at most {FILE_LINES_ERROR}")


def check_python(path, text, report):
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                report(path, node.lineno, "function-length", f"{node.name}: {lines} lines, at most {FUNCTION_LINES}")


def check_functions(source, report):
    for name, _, brace, end, _ in source.functions:
        if end - brace + 1 > FUNCTION_LINES:
            report(source.path, brace, "function-length", f"{name}: {end - brace + 1} lines, at most {FUNCTION_LINES}")
        for number in range(brace + 1, end):
            if re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", source.code_lines[number - 1]):
                report(source.path, number, "if-in-body", f"{name}: variants are functions of their own, or files")
