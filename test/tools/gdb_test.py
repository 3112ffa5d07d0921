# SPDX-License-Identifier: MIT
"""The gdb commands, on a program that runs and on its core file: each must show what the program does.

gdb_test.py PROGRAM SCRIPT"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SCRIPT = sys.argv[1:3]
SECONDS = 60


def gdb(arguments, *commands):
    """What gdb prints for the commands, with the script loaded."""
    words = ["gdb", "-nx", "-q", "-batch", "-ex", "set pagination off", "-ex", "set width 0", *arguments, "-x", SCRIPT]
    for command in commands:
        words += ["-ex", command]
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False
    ).stdout


def sections(arguments, *commands):
    """What gdb prints for each command, by the command."""
    words = []
    for command in commands:
        words += [f"echo \\n== {command}\\n", command]
    parts = gdb(arguments, *words).split("\n== ")[1:]
    return dict(part.split("\n", 1) for part in parts)


class Views:
    """The tests of both kinds of program; `where()` is what gdb is given."""

    @classmethod
    def setUpClass(cls):
        cls.tasks = gdb(cls.where(), "tn tasks")
        cls.id = {name: number for number, name in re.findall(r'^task (\d+) "(\w+)"', cls.tasks, re.M)}
        cls.shown = sections(
            cls.where(),
            "thread",
            "tn tasks locker",
            f"tn bt {cls.id.get('sleeper')}",
            f"tn bt {cls.id.get('sleeper')} full",
            f"tn bt {cls.id.get('runner')}",
            f"tn bt {cls.id.get('future')}",
            "tn cores",
            "tn waits",
            "tn tree",
            "tn bt 999999",
            "tn bt",
            "tn bt x",
            "info threads",
        )

    def of(self, command):
        return self.shown[command]

    def stack_of(self, name, arguments=""):
        return self.of(f"tn bt {self.id[name]}{arguments}")

    def test_tasks(self):
        for line in (
            r'task \d+ "sleeper" \(fiber\) waits for sleep, spawned in spawn',
            r'task \d+ "locker" \(fiber\) waits for mutex, spawned in spawn',
            r'task \d+ "future" \(stackless\) waits for sleep, spawned in entry',
            r'task \d+ "runner" \(fiber\) runs on looked-\d',
            r"7 tasks$",
        ):
            self.assertRegex(self.tasks, re.compile(line, re.M))
        self.assertEqual(len(re.findall('"locker"', self.tasks)), 3, self.tasks)

    def test_tasks_with_a_text(self):
        self.assertRegex(self.of("tn tasks locker"), r"3 of 7 tasks")
        self.assertNotIn("sleeper", self.of("tn tasks locker"))

    def test_stack_of_a_suspended_fiber(self):
        shown = self.stack_of("sleeper")
        at = [re.search(rf"^#\d+ .*\b{call} \(", shown, re.M) for call in ("tn_sleep", "inner", "outer", "sleeper")]
        self.assertTrue(all(at), shown)
        self.assertEqual(sorted(m.start() for m in at), [m.start() for m in at], shown)
        self.assertRegex(shown, r"inner \(depth=(depth@entry=)?2\)")  # by the unwind information, not by guesses
        self.assertRegex(shown, re.compile(r"^#0 ", re.M))
        self.assertNotRegex(shown, r"in main \(")  # nothing of the thread that is selected

    def test_variables_of_a_suspended_fiber(self):
        self.assertRegex(self.stack_of("sleeper", " full"), re.compile(r"^ +(local|rc) = ", re.M))

    def test_stack_of_a_task_that_runs(self):
        self.assertRegex(self.stack_of("runner"), re.compile(r"^#\d+ .*\bspin ", re.M))
        self.assertRegex(self.stack_of("runner"), re.compile(r"^#\d+ .*\brunner ", re.M))

    def test_a_stackless_task_has_no_stack(self):
        self.assertIn("it has no stack; its future is polled by", self.stack_of("future"))

    def test_cores(self):
        shown = self.of("tn cores")
        self.assertEqual(len(re.findall(r"^core \d: looked-\d", shown, re.M)), 3, shown)
        self.assertRegex(shown, r"[1-9]\d* runs")

    def test_waits(self):
        self.assertRegex(self.of("tn waits"), re.compile(r"^ +3 waits for mutex: \d+, \d+, \d+$", re.M))

    def test_tree(self):
        lines = self.of("tn tree").strip("\n").split("\n")
        self.assertEqual(lines[0], 'runtime "looked"')
        self.assertRegex(lines[1], r'^task \d+ "\w*" \(fiber\) ')  # has spawned all others
        self.assertEqual(sorted(re.sub(r"\d+", "N", line) for line in lines[2:]), [
            '  N tasks "locker" (fiber) waits for mutex: N, N, N',
            '  task N "future" (stackless) waits for sleep',
            '  task N "runner" (fiber) runs on looked-N',
            '  task N "sleeper" (fiber) waits for sleep',
        ])  # fmt: skip

    def test_the_selection_stays(self):
        before = re.search(r"Current thread is (\d+)", self.of("thread")).group(1)
        self.assertRegex(self.of("info threads"), re.compile(rf"^\* {before} ", re.M))

    def test_errors_say_what_to_do(self):
        self.assertIn("no task 999999", self.of("tn bt 999999"))
        self.assertIn("which task", self.of("tn bt"))
        self.assertIn("which task", self.of("tn bt x"))


class Alive(Views, unittest.TestCase):
    @staticmethod
    def where():
        return ["-p", str(process.pid)]

    def test_the_program_goes_on(self):
        self.assertIsNone(process.poll())


class Core(Views, unittest.TestCase):
    @staticmethod
    def where():
        return [PROGRAM, core]


class Without(unittest.TestCase):
    def test_a_program_without_the_library(self):
        self.assertIn("no debug information of tournant", gdb(["/bin/true"], "starti", "tn tasks"))

    def test_no_program(self):
        self.assertRegex(gdb([PROGRAM], "tn tasks"), "no program")


def start():
    started = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if started.stdout.readline() != b"ready\n":
        sys.exit("the program did not begin")
    return started


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        process = start()
        try:
            core = os.path.join(folder, "core")
            said = gdb(["-p", str(process.pid)], f"generate-core-file {core}")
            if not os.path.exists(core):
                sys.exit(f"no core file: {said}")
            result = unittest.main(argv=["gdb_test"], exit=False, verbosity=2).result
        finally:
            process.stdin.close()
            status = process.wait(SECONDS)
    sys.exit(0 if result.wasSuccessful() and status == 0 else 1)
