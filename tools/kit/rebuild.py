# SPDX-License-Identifier: MIT
"""Compiles a changed file of the library, and links a program with it, by the commands of a build folder that is up to date.

So a change costs one object and one link for each program that is tried, and the build folder stays as it is.
"""
import json
import os
import re
import shlex
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY, SIMULATOR = "tournant_objects.dir", "tournant_sim_objects.dir"
OF_PART = {LIBRARY: (LIBRARY, "tournant_tls_objects.dir", "tournant_admin_objects.dir"), SIMULATOR: (SIMULATOR,)}


class CannotBuild(Exception):
    """A compiler or a linker has failed; the text is what it said."""


def run(line, folder):
    done = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(line)}\n{done.stdout}")
    return done.stdout


def make(path, *targets):
    """Brings a build folder up to date, or these targets of it; makes it by the preset of its name if there is none."""
    if not os.path.exists(os.path.join(path, "build.ninja")):
        run(["cmake", "--preset", os.path.basename(os.path.abspath(path))], ROOT)
    run(["ninja", "-j", str(os.cpu_count()), *targets], path)


class Build:
    """`scratch`: a folder of its own, which is emptied now and then."""

    def __init__(self, path, scratch):
        self.path, self.scratch = os.path.abspath(path), os.path.abspath(scratch)
        with open(os.path.join(self.path, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
        self.commands = {
            part: {e["file"]: e for e in entries if any(f"/{each}/" in e["command"] for each in OF_PART[part])}
            for part in (LIBRARY, SIMULATOR)
        }
        self.deps = None
        self.replaced = {}  # {OBJECT: that of the build in whose place it is linked}

    # --- Objects ----------------------------------------------------------------------------------------------------------------

    def sources_of(self, file, part):
        """The file itself, or the sources that include it. `file`: below ROOT."""
        path = os.path.join(ROOT, file)
        if path in self.commands[part]:
            return [path]
        if self.deps is None:
            self.deps = run(["ninja", "-t", "deps"], self.path).split("\n\n")
        found = set()
        for block in self.deps:
            head, *lines = block.split("\n")
            names = [os.path.normpath(os.path.join(self.path, line.strip())) for line in lines]
            if any(f"/{each}/" in head for each in OF_PART[part]) and path in names:
                found.update(name for name in names if name in self.commands[part])
        return sorted(found)

    def compile(self, file, text, part, flags=()):
        """The objects of the library with `text` in place of the contents of `file`, a source or a header."""
        folder = os.path.join(self.scratch, part)
        shutil.rmtree(folder, ignore_errors=True)
        inside = os.path.join(folder, "include", *file.split("/")[1:])
        os.makedirs(os.path.dirname(inside))
        with open(inside, "w", encoding="utf-8") as new:
            new.write(text)
        return [
            self.compile_source(source, inside if source.endswith("/" + file) else source, folder, flags,
                                [os.path.join(folder, "include"), os.path.dirname(inside), os.path.dirname(source)], part)
            for source in self.sources_of(file, part)
        ]

    def compile_source(self, source, contents, folder, flags, quoted, part):
        """The object of a source: as in the build, but with `contents`, a file, and with more folders for its includes."""
        entry = self.commands[part][source]
        copy = os.path.join(folder, os.path.relpath(source, ROOT).replace("/", "_"))
        shutil.copy(contents, copy)
        line = [copy if word == source else word for word in shlex.split(entry["command"])]
        output = line.index("-o") + 1
        self.replaced[copy + ".o"] = line[output]
        line[output] = copy + ".o"
        at = next(i for i, word in enumerate(line) if re.search(r"(cc|clang)(-\d+)?$", word) and not word.endswith("ccache")) + 1
        line[at:at] = [word for name in quoted for word in ("-iquote", name)]
        run([*line, "-w", *flags], entry["directory"])
        return copy + ".o"

    # --- Programs ---------------------------------------------------------------------------------------------------------------

    def link(self, target, objects, flags=()):
        """The program `target` of the build, with these objects instead of its own and the archive's. Those of libraries that
        the program does not use are left out."""
        line = run(["ninja", "-t", "commands", "-s", target], self.path).strip().splitlines()[-1]
        line = line[line.index("&& ") + 3 : line.rindex(" &&")] if line.startswith(": &&") else line
        words = shlex.split(line)
        output = os.path.join(self.scratch, os.path.basename(target))
        words[words.index("-o") + 1] = output
        at = words.index("-o") + 2
        words[at:at] = flags
        for each in objects:
            old = self.replaced[each]
            if old in words:
                words[words.index(old)] = each
            elif f"/{LIBRARY}/" in old or f"/{SIMULATOR}/" in old:  # in the archive
                words.insert(at, each)
        run(words, self.path)
        return output

    def tests(self):
        """{NAME: entry} of the tests that ctest knows, with their command, WORKING_DIRECTORY and ENVIRONMENT. ctest does not know
        the command of a program that was never built, so all are built in that case."""
        listed = json.loads(run(["ctest", "--show-only=json-v1"], self.path))["tests"]
        if any(not test.get("command") for test in listed):
            make(self.path)
            listed = json.loads(run(["ctest", "--show-only=json-v1"], self.path))["tests"]
        return {test["name"]: Test(self, test) for test in listed if test.get("command")}


class Test:
    def __init__(self, build, entry):
        properties = {each["name"]: each["value"] for each in entry["properties"]}
        self.name, self.command = entry["name"], entry["command"]
        self.target = os.path.relpath(entry["command"][0], build.path)
        self.folder = properties.get("WORKING_DIRECTORY", build.path)
        self.environment = dict(each.split("=", 1) for each in properties.get("ENVIRONMENT", []))

    def run(self, program, limit_s, **environment):
        """Its exit status with another program; None: it has taken longer."""
        child = subprocess.Popen(
            [program, *self.command[1:]], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **self.environment, **environment},
        )
        try:
            return child.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            end_session(child)


def end_session(child):
    """Ends a test and the processes that it has started; those are in its session."""
    try:
        os.killpg(child.pid, 9)
    except ProcessLookupError:
        pass
    child.wait()
