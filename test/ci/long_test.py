# SPDX-License-Identifier: MIT
"""What .ci/long keeps of its steps, and that it goes on where it stopped. The steps are small commands."""
import io
import os
import sys
import tempfile
import unittest
import unittest.mock
from contextlib import redirect_stdout

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tools"))

import long as checks  # noqa: E402


def step(name, script, limit_s=20, alone=True):
    return checks.Step(name, ["sh", "-c", script], limit_s, alone)


class Steps(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(self.folder.cleanup)
        self.results = checks.Results(os.path.join(self.folder.name, "state"))

    def run_steps(self, steps, minutes=1.0):
        with redirect_stdout(io.StringIO()) as out:
            checks.run_steps(self.results, steps, minutes)
        return out.getvalue()

    def test_a_step_passes_fails_or_is_cut_off(self):
        steps = [step("a", "true"), step("b", "echo nothing found so far"), step("c", "echo broken; exit 3")]
        out = self.run_steps(steps)
        self.assertEqual([self.results.get(each) for each in steps], ["passed", "cut", "failed"])
        self.assertEqual(self.results.counts(steps), {"passed": 1, "cut": 1, "failed": 1, None: 0})
        self.assertRegex(out, r"\[3/3\] c: failed in 0 s, see \S+c\.log\n$")
        with open(self.results.path(steps[2], ".log")) as log:
            self.assertEqual(log.read(), "broken\n")

    def test_a_step_that_takes_too_long_is_stopped_and_has_failed(self):
        endless = step("endless", "exec sleep 1000", limit_s=0.2)
        self.run_steps([endless])
        self.assertEqual(self.results.get(endless), "failed")

    def test_nothing_is_begun_when_the_time_is_over(self):
        never = step("never", "true")
        self.run_steps([never], minutes=-1)
        self.assertIsNone(self.results.get(never))

    def test_nothing_runs_beside_a_step_that_is_alone(self):
        """Each of the others leaves a file while it runs; the lonely one fails if it sees one."""
        mark = os.path.join(self.folder.name, "mark")
        others = [step("other %d" % i, "touch %s.%d; sleep 0.1; rm %s.%d" % (mark, i, mark, i), alone=False) for i in range(3)]
        lonely = step("lonely", "! ls %s.*" % mark)
        self.run_steps([*others, lonely, *others])
        self.assertEqual(self.results.get(lonely), "passed")

    def test_a_search_that_was_cut_off_may_be_given_more_time(self):
        search = step("search", "echo nothing found so far")
        self.run_steps([search])
        search.search_s = 60
        self.assertIsNone(self.results.get(search))

    def test_results_stay(self):
        done = step("done", "true")
        self.run_steps([done])
        self.assertEqual(checks.Results(self.results.folder).get(done), "passed")
        self.assertIsNone(checks.Results(self.results.folder + "2").get(done))

    def test_every_step_has_a_file_of_its_own(self):
        names = [os.path.basename(self.results.path(each, "")) for each in checks.first_steps()]
        self.assertEqual(len(set(names)), len(names))


class Record(unittest.TestCase):
    def test_the_line_of_the_readme_is_replaced(self):
        text = checks.summary({"passed": 7, "cut": 2, "failed": 0, None: 3}, 12, 60)
        self.assertEqual(text, "9 of 12 steps: 7 passed, 2 searches found nothing in 60 s, 0 failed")
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), \
                unittest.mock.patch.object(checks, "README", os.path.join(folder, "README")), \
                unittest.mock.patch.object(checks, "git", lambda *_: "abc1234\n"):
            with open(checks.README, "w") as file:
                file.write("before\n%snever.\nafter\n" % checks.RECORD)
            checks.record(text)
            with open(checks.README) as file:
                before, line, after = file.read().splitlines()
            self.assertEqual((before, after), ("before", "after"))
            self.assertRegex(line, r"^Last run of `\.ci/long`: \d{4}-\d\d-\d\d, commit abc1234, 9 of 12 steps: .*\.$")
            with open(checks.README, "w") as file:
                file.write("nothing\n")
            self.assertRaises(checks.processes.Failure, checks.record, text)

    def test_the_readme_in_the_tree_has_the_line_once(self):
        with open(checks.README) as file:
            self.assertEqual(file.read().count(checks.RECORD), 1)

    def test_documents_are_no_part_of_the_version(self):
        trees = ["100644 blob 1\tREADME.md\n100644 blob 2\ta.c\n", "100644 blob 3\tREADME.md\n100644 blob 2\ta.c\n",
                 "100644 blob 1\tREADME.md\n100644 blob 4\ta.c\n"]
        versions = []
        for tree in trees:
            with unittest.mock.patch.object(checks, "git", lambda *_, tree=tree: tree):
                versions.append(checks.version())
        self.assertEqual(versions[0], versions[1])
        self.assertNotEqual(versions[0], versions[2])


if __name__ == "__main__":
    unittest.main()
