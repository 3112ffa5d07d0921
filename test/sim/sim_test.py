# SPDX-License-Identifier: MIT
"""sim_test.py PROGRAM SHARED TOOL LOST BOTH...: that a simulation passes, fails as it should, and is the same again. PROGRAM:
sim_program with the static library; SHARED: the same with the shared one; TOOL: tools/sim; LOST: lost.c;
BOTH: linked with tournant too."""
import re
import subprocess
import sys
import unittest

PROGRAM, SHARED, TOOL, LOST, *BOTH = sys.argv[1:]
SUMMARY = re.compile(r"(\d+) runs, (\d+) failed")
DIGEST = re.compile(r"^run \d+ ok digest (\w+)", re.M)


def run(*arguments, program=PROGRAM):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=100)


class Simulations(unittest.TestCase):
    def passes(self, name, *options):
        done = run(*options, "--", name)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def fails(self, name, why, *options):
        done = run(*options, "--", name)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(why, done.stderr)
        return done

    def test_many_seeds_pass(self):
        self.assertIn("20 runs, 0 failed", self.passes("echo", "--seeds", "20").stdout)

    def test_faults_are_met_and_survived(self):
        said = self.passes("faults", "--seeds", "40", "--size", "clients=10").stdout
        for kind in ("reset", "refuse", "black_hole", "backlog", "abort"):
            self.assertRegex(said, rf"(?m)^  {kind} +[1-9]\d* of")

    def test_an_hour_passes_at_once(self):
        self.assertRegex(self.passes("hour", "--seeds", "3").stdout, r"108\d\d\.\d+ virtual s")

    def test_runs_that_would_be_the_same_are_left_out(self):
        self.assertRegex(self.passes("nothing", "--seeds", "20").stdout, r"(?s)^1 runs, 0 failed.*nothing depended on the seed")
        self.assertIn("3 runs, 0 failed", self.passes("own_seed", "--seeds", "3").stdout)
        self.assertIn("3 runs, 0 failed", self.passes("hour", "--seeds", "3").stdout)

    def test_two_runs_of_a_seed_are_the_same(self):
        self.passes("faults", "--seeds", "5", "--twice")
        self.passes("echo", "--seeds", "3", "--twice", "--fine", "--size", "clients=10")

    def test_both_libraries_make_the_same_run(self):
        digests = [DIGEST.findall(run("--report", "--seeds", "3", "--", "echo", program=p).stdout) for p in (PROGRAM, SHARED)]
        self.assertEqual(len(digests[0]), 3)
        self.assertEqual(len(set(digests[0])), 3)
        self.assertEqual(digests[0], digests[1])

    def test_a_trace_is_the_same_again(self):
        traces = [run("--seed", "7", "--trace", "--size", "clients=3", "--", "echo").stderr for _ in range(2)]
        self.assertIn("connects", traces[0])
        self.assertEqual(traces[0], traces[1])

    def test_failures_have_their_kind(self):
        self.fails("deadlock", "deadlock", "--seeds", "1")
        self.fails("refused", "nanosleep: the simulated machine does not have it", "--seeds", "1")
        self.fails("leak", "sockets or events are open", "--seeds", "1")

    def test_a_wake_that_is_lost_is_noticed_at_once(self):
        texts = {
            "mail": "a task in its mailbox",
            "parked": "its own mark",
            "searching": "still marked as searching",
            "event": "an event that its last sleep has fetched",
            "open": "a registration that only a poll completes",
            "owned": "a loop is still owned",
            "timer": "a timer that is due earlier",
            "token": "the pool's wake token is still held",
        }
        for name, text in texts.items():
            done = run("--seeds", "1", "--without", "stall", "--", name, program=LOST)
            self.assertEqual(done.returncode, 1, name + done.stdout + done.stderr)
            self.assertIn("lost wake", done.stderr)
            self.assertIn(text, done.stderr)
        self.assertEqual(run("--seeds", "5", "--", "nothing", program=LOST).returncode, 0)

    def test_a_thread_that_is_starved_ends_when_it_is_joined(self):
        self.passes("echo", "--seeds", "5", "--size", "clients=5", "--starve", "tn-monitor", "--without", "stall")

    def test_what_only_the_monitor_does_is_missing_without_it(self):
        self.passes("kept_thread", "--seeds", "5")
        said = self.fails("kept_thread", "", "--seeds", "5", "--starve", "tn-monitor", "--virtual-seconds", "5").stderr
        self.assertIn("--starve tn-monitor", re.search(r"^repeat it by: (.*)$", said, re.M).group(1))

    def test_a_failure_is_repeated_by_its_line(self):
        said = self.fails("race", "counter == 2", "--seeds", "50").stderr
        again = re.search(r"^repeat it by: (.*)$", said, re.M).group(1).split()
        done = subprocess.run(again, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("counter == 2", done.stderr)

    def test_the_line_has_the_limits_of_the_run(self):
        limits = ["--virtual-seconds", "100", "--real-seconds", "60", "--events", "900000"]
        said = self.fails("hour", "", "--seeds", "1", *limits).stderr
        line = re.search(r"^repeat it by: (.*)$", said, re.M).group(1)
        for name, value in zip(limits[::2], limits[1::2]):
            self.assertIn(f"{name} {value}", line)
        done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)

    def test_a_link_that_is_cut_before_its_first_connection(self):
        done = self.passes("cut", "--seeds", "20", "--report")
        self.assertRegex(done.stdout, r"(?m) latency [1-9]")

    def test_the_first_allocation_fails(self):
        self.fails("echo", "tn_run", "--seeds", "1", "--fail", "alloc:1")
        self.fails("echo", "tn_run", "--seeds", "1", "--fail", "thread:1")

    def test_the_peer_of_a_connection_disappears(self):
        self.passes("half_open", "--seeds", "5", "--fail", "half_open:1")

    def test_each_call_that_can_fail_fails_in_turn(self):
        self.passes("single_fault", "--seeds", "10", "--size", "faults=0")
        for kind in ("alloc", "map", "thread", "call", "files", "buffers", "name", "reset", "abort"):
            number = 0
            while not number or met:
                number += 1
                done = self.passes("single_fault", "--seeds", "1", "--fail", f"{kind}:{number}")
                met = re.search(rf"(?m)^  {kind} +1 of", done.stdout)
            self.assertGreater(number, 1, kind)

    def test_both_libraries_in_a_program_are_refused(self):
        for program in BOTH:
            done = run("--seeds", "1", "--", "hour", program=program)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertIn("is linked with the library tournant too", done.stderr)

    def test_wrong_options_are_refused(self):
        self.assertEqual(run("--nonsense").returncode, 2)
        self.assertEqual(run("--fail", "pick:1").returncode, 2)

    def test_the_driver_makes_a_failure_smaller(self):
        done = subprocess.run(
            [TOOL, "run", PROGRAM, "--seeds", "60", "--jobs", "2", "--", "race"], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("smallest: seed", done.stdout)
        self.assertRegex(done.stderr, r"repeat it by: .*--size tasks=\d+.* --trace -- race")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
