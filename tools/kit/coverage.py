# SPDX-License-Identifier: MIT
"""Which tests execute a line of the library, and how long each takes: measured once by gcc's --coverage, and kept in a file."""
import glob
import hashlib
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from kit import rebuild

LIMIT_S = 300
FLAGS = ["--coverage", "-fprofile-update=atomic"]


def version(root, files):
    """The hash of the sources: what is kept is of no use for others."""
    found = hashlib.sha256()
    for name in sorted(files):
        with open(os.path.join(root, name), "rb") as file:
            found.update(name.encode() + b"\n" + file.read())
    return found.hexdigest()[:12]


class Coverage:
    """`seconds`: {TEST: s}; `lines`: {FILE: {LINE: [TEST]}}."""

    def __init__(self, seconds, lines):
        self.seconds, self.lines = seconds, lines

    def tests_of(self, file, line):
        return self.lines.get(file, {}).get(str(line), [])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"seconds": self.seconds, "lines": self.lines}, file)


def load(path):
    with open(path, encoding="utf-8") as file:
        return Coverage(**json.load(file))


def measure(build, layer, tests, jobs=2):
    """For the lines of one layer. `tests`: those of rebuild.Build.tests(), by name."""
    objects_of = os.path.join(build.scratch, "coverage")
    shutil.rmtree(objects_of, ignore_errors=True)
    os.makedirs(objects_of)
    sources = sorted(each for each in build.commands[rebuild.LIBRARY] if relative(each).startswith(layer + "/"))
    SOURCES.update({relative(each).replace("/", "_"): relative(each) for each in sources})
    with ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(lambda source: compile_one(build, source, objects_of), sources))
    found = Coverage({}, {})
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda test: run_one(build, test, objects, objects_of), tests.values())
        for test, (seconds, lines) in zip(tests.values(), results):
            found.seconds[test.name] = seconds
            for file, numbers in lines.items():
                for number in numbers:
                    found.lines.setdefault(file, {}).setdefault(str(number), []).append(test.name)
    shutil.rmtree(objects_of, ignore_errors=True)
    return found


def compile_one(build, source, folder):
    return build.compile_source(source, source, folder, FLAGS, [os.path.dirname(source)], rebuild.LIBRARY)


def run_one(build, test, objects, objects_of):
    """(seconds, {file: lines}) of a test that passes. Lines of a process that ends by a signal are not known."""
    program = build.link(test.target, objects, ["--coverage"])
    counts = program + ".counts"
    shutil.rmtree(counts, ignore_errors=True)
    began = time.monotonic()
    status = test.run(program, LIMIT_S, GCOV_PREFIX=counts, GCOV_PREFIX_STRIP="99")
    seconds = time.monotonic() - began
    os.unlink(program)
    if status not in (0, 77):
        print(f"fails without a change, and is left out: {test.name}", flush=True)
        return 0, {}
    lines = lines_of(counts, objects_of)
    shutil.rmtree(counts, ignore_errors=True)
    return seconds, lines


def lines_of(counts, objects_of):
    found = {}
    files = glob.glob(os.path.join(counts, "*.gcda"))
    if not files:
        return found
    for path in files:
        note = os.path.basename(path)[: -len("gcda")] + "gcno"
        shutil.copy(os.path.join(objects_of, note), counts)
    said = subprocess.run(["gcov", "-t", "--json-format", *files], cwd=counts, capture_output=True, text=True, check=True).stdout
    for text in said.splitlines():
        for file in json.loads(text)["files"]:
            name = source_of(file["file"])
            numbers = {line["line_number"] for line in file["lines"] if line["count"] > 0}
            found[name] = found.get(name, set()) | numbers
    return found


def source_of(path):
    """The file below the root; a copy of a source has `_` for `/` in its name."""
    name = os.path.basename(path)
    return SOURCES.get(name) or relative(os.path.normpath(os.path.join(rebuild.ROOT, path)))


def relative(path):
    return os.path.relpath(path, rebuild.ROOT)


SOURCES = {}  # {NAME OF A COPY: FILE}
