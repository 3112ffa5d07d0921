#!/usr/bin/env python3
"""Checks the rules of this project that no compiler knows.

    check_style.py               checks the tree it lies in; `file:line: rule: message`; status 1 when anything was found
    check_style.py --self-test   shows each rule an offence (style_cases.py) and fails when one goes unreported

The rules are the functions check_*; what they allow where stands in the tables on top.
"""

import ast
import os
import re
import sys

LINE_COLUMNS = 130
FUNCTION_LINES = 70
FILE_LINES_WARNING = 600
FILE_LINES_ERROR = 800
REASON_LINES = 4  # a comment this far above an atomic access is about it

# Which layers' headers a layer may include.
LAYERS = {
    "runtime": {"runtime"},
    "sync": {"sync", "runtime"},
    "blocking_pool": {"blocking_pool", "runtime"},
    "net": {"net", "sync", "blocking_pool", "runtime"},
}
UMBRELLA = "runtime/tn.h"  # includes every public header, of all layers
PUBLIC_ONLY = ("examples/", "bench/", "test/examples/", "test/install/")

# A call by its own name, not a member's (x.read, ops->poll) nor part of a longer name.
def calls(names):
    return re.compile(r"(?<![\w.>])(?<!->)(" + names + r")\s*\(")


BANNED = calls(
    r"strcpy|strcat|v?sprintf|gets|strtok|rand|srand|atoi|atol|atoll|atof|signal|alloca|usleep|select|gethostbyname|"
    r"_?setjmp|sigsetjmp|_?longjmp|siglongjmp"
)

# The doors: what may be named only in the files that match the last expression. Of the layers alone.
DOORS = [
    (
        "door-threads",
        re.compile(
            r"#\s*include\s*<(stdatomic|pthread|threads|time|sys/time|semaphore|linux/futex|linux/membarrier|sys/random)\.h>"
        ),
        r"runtime/prim(_\w+)?\.[ch]",
    ),
    (
        "door-threads",
        re.compile(
            r"(?<![\w.>])((pthread|atomic|__atomic|__sync|sem|mtx|thrd|cnd)_\w+|_Atomic|clock_\w+|gettimeofday|time|nanosleep|"
            r"getrandom|membarrier)\s*\(|\bSYS_(futex|membarrier)\b|\b_Atomic\b"
        ),
        r"runtime/prim(_\w+)?\.[ch]",
    ),
    (
        "door-system",
        re.compile(
            r"#\s*include\s*<(uv|sys/(socket|mman|epoll|eventfd|stat|sendfile|ioctl|un|syscall)|netinet/\w+|arpa/inet|netdb|poll|"
            r"fcntl|unistd)\.h>"
        ),
        r"runtime/(os_\w+\.[ch]|prim\.c|overflow\.c|cpus\.c)",
    ),
    (
        "door-system",
        calls(
            r"uv_\w+|socket|socketpair|bind|listen|accept4?|connect|shutdown|[gs]etsockopt|getsockname|getpeername|sendfile|"
            r"recv(from|msg)?|send(to|msg)?|(pre?|pw)?(read|write)v?|pread|pwrite|splice|openat?|close|dup[23]?|pipe2?|eventfd|"
            r"epoll_\w+|poll|ppoll|fcntl|ioctl|unlink(at)?|f?stat|mmap|munmap|mremap|mprotect|madvise"
        ),
        r"runtime/(os_\w+\.[ch]|overflow\.c)",
    ),
    ("door-system", calls(r"syscall|sysconf"), r"runtime/(os_\w+\.[ch]|prim\.c|overflow\.c|cpus\.c)"),
    ("door-files", calls(r"fopen|fdopen|fclose|fgets|fgetc|getline|fread|fwrite|sched_\w+"), r"runtime/(os_\w+|cpus|prim)\.[ch]"),
    (
        "door-signals",
        re.compile(r"#\s*include\s*<signal\.h>|(?<![\w.>])(sigaction|sigaltstack|sigprocmask|pthread_sigmask|raise|kill)\s*\("),
        r"runtime/(overflow|prim|os_\w+)\.[ch]",
    ),
    (
        "door-memory",
        calls(r"malloc|calloc|realloc|reallocarray|free|posix_memalign|aligned_alloc|memalign|strn?dup|v?asprintf"),
        r"runtime/(alloc|cpus)\.c",  # cpus.c: the line that getline(3) reads into
    ),
    (
        "door-messages",
        re.compile(r"\b(stderr|stdout)\b|(?<![\w.>])(v?f?printf|v?dprintf|f?puts|f?putc|putchar|perror|syslog)\s*\("),
        r"runtime/(log|overflow)\.c",
    ),
    ("door-ck", re.compile(r"#\s*include\s*<ck_\w+\.h>"), r"runtime/ck\.h"),
    ("errno", re.compile(r"\berrno\b(?!\.h)"), r"runtime/(os_\w+|prim|overflow)\.[ch]"),
]

RULES = (
    "line-length file-length function-length if-in-body prefix visibility typedef layers own-header guard banned reason slots"
).split()  # beside those of the doors

ATOMIC = re.compile(r"(?<!\w)(tni_(?:a32|a64|aptr|fence)_\w+)\s*\(")
IDENTIFIER = r"[A-Za-z_]\w*"


class Source:
    """One C file: its text, its code (comments and texts blanked, lines kept), its comments by line, its functions."""

    def __init__(self, path, text):
        self.path = path
        self.folder = path.split("/")[0]
        self.name = os.path.basename(path)
        self.text = text
        self.lines = text.split("\n")
        self.commented = set()  # numbers of lines with a comment on them
        self.code = self.blank(text)
        self.code_lines = self.code.split("\n")
        self.functions = []
        self.declarations = []
        if not path.endswith(".S"):
            self.parse()

    @property
    def is_header(self):
        return self.name.endswith(".h")

    @property
    def is_public_header(self):
        return self.folder in LAYERS and bool(re.fullmatch(r"tn(_\w+)?\.h", self.name))

    def includes(self):
        """(line, name, quoted) of each include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*(<([^>]+)>|"([^"]+)")', line)
            if match and self.code_lines[number - 1].strip():
                yield number, match.group(2) or match.group(3), match.group(3) is not None

    def blank(self, text):
        pattern = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)

        def replace(match):
            found = match.group(0)
            if found[0] == "/":
                first = text.count("\n", 0, match.start()) + 1
                self.commented.update(range(first, first + found.count("\n") + 1))
                return re.sub(r"[^\n]", " ", found)
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            return found if re.match(r"\s*#\s*include\s*$", before) else found[0] + " " * (len(found) - 2) + found[-1]

        return pattern.sub(replace, text)

    def parse(self):
        """Fills functions with (name, is_static, line, brace, end, head), declarations with (text, first line, last line)."""
        for_cplusplus = r"^[ \t]*#[ \t]*if(?:def[ \t]+|[ \t]+defined\W*)__cplusplus.*?^[ \t]*#[ \t]*endif"
        code = re.sub(for_cplusplus, self.blanked, self.code, flags=re.S | re.M)
        code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", self.blanked, code, flags=re.M)
        depth, start, opened, line = 0, 0, None, 1
        for position, char in enumerate(code):
            if char == "\n":
                line += 1
            elif char == "{":
                if depth == 0:
                    opened = (self.function_head(code[start:position]), line)
                depth += 1
            elif char == "}":
                depth -= 1
                if depth == 0 and opened and opened[0]:
                    name, is_static, head = opened[0]
                    self.functions.append((name, is_static, opened[1], line, head))
                    start = position + 1
            elif char == ";" and depth == 0:
                text = code[start:position]
                first = line - text.lstrip().count("\n")
                self.declarations.append((" ".join(text.split()), first, line))
                start = position + 1

    @staticmethod
    def blanked(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    @staticmethod
    def function_head(head):
        """(name, is_static, head) when `head`, the text before an opening brace, is a function's; else None."""
        head = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|_Alignas\s*\([^()]*\)", " ", head)
        head = head.rstrip()
        if not head.endswith(")"):
            return None
        depth, position = 0, len(head) - 1
        while position >= 0:
            depth += {")": 1, "(": -1}.get(head[position], 0)
            if depth == 0:
                break
            position -= 1
        match = re.search(rf"({IDENTIFIER})\s*$", head[:position])
        if not match:
            return None
        before = head[: match.start()]
        if "=" in before:
            return None
        before = before[before.rfind(")") + 1 :]
        return match.group(1), bool(re.search(r"\bstatic\b|\b\w+_INLINE\b", before)), before


class Checker:
    """Runs every rule over a tree, given as {path: text}."""

    def __init__(self, tree):
        self.tree = tree
        self.found = []
        self.warnings = []
        self.sources = {path: Source(path, text) for path, text in sorted(tree.items()) if path.endswith((".c", ".h", ".S"))}
        self.layer_of_header = {s.name: s.folder for s in self.sources.values() if s.is_header and s.folder in LAYERS}
        self.declared = {True: "", False: ""}  # the code of the public, of the private headers
        for source in self.sources.values():
            if source.is_header and source.folder in LAYERS:
                self.declared[source.is_public_header] += source.code

    def report(self, path, line, rule, message):
        self.found.append((path, line, rule, message))

    def run(self):
        for path, text in sorted(self.tree.items()):
            self.check_size(path, text)
            if path.endswith(".py"):
                self.check_python(path, text)
        for source in self.sources.values():
            if source.name.endswith(".S"):
                continue
            self.check_functions(source)
            self.check_typedefs(source)
            self.check_includes(source)
            self.check_guard(source)
            self.check_banned(source)
            if source.folder in LAYERS:
                self.check_names(source)
                self.check_doors(source)
                self.check_reasons(source)
            if source.is_public_header:
                self.check_slots(source)
        return self.found

    def check_size(self, path, text):
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS:
                self.report(path, number, "line-length", f"{len(line)} columns, at most {LINE_COLUMNS}")
        if len(lines) - 1 > FILE_LINES_ERROR:
            self.report(path, len(lines) - 1, "file-length", f"{len(lines) - 1} lines, at most {FILE_LINES_ERROR}")
        elif len(lines) - 1 > FILE_LINES_WARNING:
            self.warnings.append(f"{path}: warning: {len(lines) - 1} lines, better at most {FILE_LINES_WARNING}")

    def check_python(self, path, text):
        for node in ast.walk(ast.parse(text, path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES:
                    self.report(path, node.lineno, "function-length", f"{node.name}: {lines} lines, at most {FUNCTION_LINES}")

    def check_functions(self, source):
        for name, _, brace, end, _ in source.functions:
            if end - brace + 1 > FUNCTION_LINES:
                self.report(source.path, brace, "function-length", f"{name}: {end - brace + 1} lines, at most {FUNCTION_LINES}")
            for number in range(brace + 1, end):
                if re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", source.code_lines[number - 1]):
                    self.report(source.path, number, "if-in-body", f"{name}: variants are functions of their own, or files")

    def check_names(self, source):
        for name, is_static, brace, _, _ in source.functions:
            prefix = "tni_" if name.startswith("tni_") else "tn_" if name.startswith("tn_") else ""
            if source.is_header:
                wanted = "tn_" if source.is_public_header else "tni_"
                if prefix != wanted:
                    self.report(source.path, brace, "prefix", f"{name}: functions of this header begin with {wanted}")
            elif is_static and prefix:
                self.report(source.path, brace, "prefix", f"{name}: a static function has no prefix")
            elif not is_static and not prefix:
                self.report(source.path, brace, "prefix", f"{name}: is neither static nor tn_ nor tni_")
            elif not is_static and not re.search(rf"\b{name}\s*\(", self.declared[prefix == "tn_"]):
                where = "a public" if prefix == "tn_" else "a private"
                self.report(source.path, brace, "visibility", f"{name}: is not declared in {where} header")
        for text, _, line in source.declarations:
            if "TN_API" not in text.split():
                continue
            if not source.is_public_header:
                self.report(source.path, line, "visibility", "TN_API outside the public headers")
            elif not re.search(r"\btn_\w+\s*(\(|$)", text):
                self.report(source.path, line, "prefix", "TN_API on a name without tn_")

    def check_typedefs(self, source):
        for number, line in enumerate(source.code_lines, 1):
            for name in re.findall(r"(?:\btypedef\b[^;(]*\b|^\}\s*|\b(?:struct|union|enum)\s+)(\w+_t)\s*[;{]", line):
                self.report(source.path, number, "typedef", f"{name}: POSIX keeps names that end in _t to itself")

    def check_includes(self, source):
        first = True
        for number, name, quoted in source.includes():
            base = os.path.basename(name)
            layer = self.layer_of_header.get(base)
            if source.folder in LAYERS and quoted:
                if layer and layer not in LAYERS[source.folder] and source.path != UMBRELLA:
                    self.report(source.path, number, "layers", f"{source.folder} may not include {layer}'s {base}")
            elif quoted and source.path.startswith(PUBLIC_ONLY) and layer and not re.fullmatch(r"tn(_\w+)?\.h", base):
                self.report(source.path, number, "layers", f"{base} is private: what stands on top uses public headers")
            own = [stem + source.name[:-2] + ".h" for stem in ("", "tn_")]
            own = [header for header in own if self.layer_of_header.get(header) == source.folder]
            if first and source.folder in LAYERS and not source.is_header and own and base not in own:
                self.report(source.path, number, "own-header", f"{own[0]} has to be the first include: it must stand alone")
            first = False

    def check_guard(self, source):
        if not source.is_header:
            return
        stem = re.sub(r"\W", "_", source.name[:-2]).upper()
        if source.folder not in LAYERS:
            wanted = rf"\w*{stem}_H"
        else:
            wanted = f"{stem}_H" if source.is_public_header else f"TNI_{stem}_H"
        match = re.search(r"^#ifndef (\w+)\n#define (\w+)$", source.code, re.M)
        if not match or match.group(1) != match.group(2) or not re.fullmatch(wanted, match.group(1)):
            self.report(source.path, 1, "guard", f"the header guard has to be {wanted}")

    def check_banned(self, source):
        for number, line in enumerate(source.code_lines, 1):
            for match in BANNED.finditer(line):
                self.report(source.path, number, "banned", f"{match.group(1)}() is not used here")

    def check_doors(self, source):
        for rule, expression, allowed in DOORS:
            if re.fullmatch(allowed, source.path):
                continue
            for number, line in enumerate(source.code_lines, 1):
                match = expression.search(line)
                if match:
                    self.report(source.path, number, rule, f"`{match.group(0).strip()}` goes past its door, {allowed}")

    def check_reasons(self, source):
        if re.fullmatch(r"runtime/prim(_\w+)?\.[ch]", source.path):
            return
        covered = None  # the last access that has a reason
        for number, line in enumerate(source.code_lines, 1):
            accesses = [name for name in ATOMIC.findall(line) if not name.endswith("_init")]
            if not accesses:
                continue
            near = range(max(1, number - REASON_LINES), number + 1)
            if any(other in source.commented for other in near) or (covered and number - covered <= 2):
                covered = number
            else:
                self.report(source.path, number, "reason", f"{accesses[0]}: what does it publish or observe, for whom, why so?")

    def check_slots(self, source):
        """The comment above each public function, or above the run of declarations that it stands in."""
        previous, comment = -1, ""
        for text, first, last in source.declarations:
            match = re.search(rf"\bTN_API\b.*?\b({IDENTIFIER})\s*\(", text)
            if not match:
                continue
            if first != previous + 1:
                comment = self.comment_above(source, first)
            previous = last
            other = re.search(r"\b[Aa]s (tn_\w+)", comment)
            if "Suspends:" not in comment and not (other and re.search(rf"\b{other.group(1)}\s*\(", self.declared[True])):
                self.report(source.path, first, "slots", f"{match.group(1)}: its comment does not say `Suspends:` nor `as tn_…`")

    @staticmethod
    def comment_above(source, line):
        first = line - 1
        while first >= 1 and first in source.commented and not source.code_lines[first - 1].strip():
            first -= 1
        return "\n".join(source.lines[first : line - 1])


FOLDERS = (*LAYERS, "test", "examples", "bench", "tools", "cmake", ".ci")


def read_tree(root):
    tree = {}
    for folder in FOLDERS:
        for here, folders, files in os.walk(os.path.join(root, folder)):
            folders[:] = [name for name in folders if not name.startswith((".", "__")) and name not in ("build", "target")]
            for name in files:
                path = os.path.join(here, name)
                if name.endswith((".c", ".h", ".S", ".py", ".cmake", "CMakeLists.txt")) or os.access(path, os.X_OK):
                    with open(path, encoding="utf-8", errors="replace") as file:
                        tree[os.path.relpath(path, root)] = file.read()
    return tree


def self_test():
    from style_cases import BAD, GOOD  # pylint: disable=import-outside-toplevel

    wrong = 0
    rules = {rule for rule, _, _ in DOORS} | set(RULES)
    for rule, tree in BAD:
        found = {item[2] for item in Checker(tree).run()}
        if found != {rule}:
            wrong += 1
            print(f"an offence against {rule} in {list(tree)} was reported as {sorted(found) or 'nothing'}")
    for tree in GOOD:
        for path, line, rule, message in Checker(tree).run():
            wrong += 1
            print(f"{path}:{line}: {rule}: {message}: this one is allowed")
    for rule in sorted(rules ^ {rule for rule, _ in BAD}):
        wrong += 1
        print(f"{rule}: no case, or no such rule")
    print(f"{len(BAD)} offences, {len(GOOD)} allowed, {wrong} wrong")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__)
        return 2
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tree = read_tree(root)
    checker = Checker(tree)
    found = checker.run()
    for warning in checker.warnings:
        print(warning)
    for path, line, rule, message in found:
        print(f"{path}:{line}: {rule}: {message}")
    print(f"{len(tree)} files, {len(found)} offences")
    return 1 if found or not tree else 0


if __name__ == "__main__":
    sys.exit(main())
