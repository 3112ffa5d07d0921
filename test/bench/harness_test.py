"""The arithmetic and the report of tools/bench, and what it says to nonsense. Nothing is measured."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "bench")]
sys.dont_write_bytecode = True

from harness import machine, micro, pictures, report, rounds, stats  # noqa: E402
from harness.rows import Distribution, Row, Rows, distribution_from_json, row_from_json  # noqa: E402
from kit.processes import Failure  # noqa: E402

MACHINE = {"processor": "Abacus 9 (family 25, model 1)", "cpus": 2, "system": "Linux 6.1 x86_64", "date": "2026-11-22",
           "switch_loop_ns": {"start": [4.7, 4.8, 5.1], "end": [4.9]}, "load_at_start": [0.5, 0, 0], "load_at_end": [2.25, 0, 0]}


def row_of(values, better="lower", beside=()):
    row = Row("case", "ns/op", {"workers": 2}, better, beside)
    row.values = values
    return row


class Statistics(unittest.TestCase):
    def test_median_is_the_middle_or_the_mean_of_the_two(self):
        self.assertEqual(stats.median([9, 1, 5]), 5)
        self.assertEqual(stats.median([9, 1, 5, 7]), 6)

    def test_summary(self):
        self.assertEqual(stats.summary([4, 2, 9]), {"median": 4, "min": 2, "max": 9, "runs": 3})

    def test_a_percentile_of_a_histogram_is_the_top_of_its_bucket(self):
        histogram = [[10, 50], [20, 49], [1000, 1]]
        self.assertEqual([stats.histogram_percentile(histogram, percent) for percent in (0, 50, 50.1, 99, 99.9, 100)],
                         [10, 10, 20, 20, 1000, 1000])

    def test_the_interval_holds_the_ratio(self):
        low, high = stats.ratio_interval([10, 11, 12, 13, 14], [20, 21, 19, 22, 20])
        self.assertTrue(low <= stats.ratio([10, 11, 12, 13, 14], [20, 21, 19, 22, 20]) <= high)
        self.assertTrue(0.4 < low < high < 0.8)

    def test_rounds_are_drawn_in_pairs(self):
        """Weather that hits both sides of a round alike leaves the ratio exact."""
        theirs = [100, 300, 150, 900, 120]
        self.assertEqual(stats.ratio_interval([value / 2 for value in theirs], theirs), [0.5, 0.5])

    def test_the_interval_is_the_same_each_time(self):
        ours, theirs = [5, 7, 6, 9], [8, 9, 7, 12]
        self.assertEqual(stats.ratio_interval(ours, theirs), stats.ratio_interval(ours, theirs))

    def test_no_interval_from_one_round_and_no_ratio_to_nothing(self):
        self.assertIsNone(stats.ratio_interval([1], [2]))
        self.assertIsNone(stats.ratio([1], [0]))
        self.assertIsNone(stats.ratio([-1], [2]))


class TheField(unittest.TestCase):
    def test_the_best_peer_is_the_lowest_or_the_highest(self):
        values = {"tournant": [10], "tokio": [20], "go": [40]}
        self.assertEqual(row_of(values).best_peer(), "tokio")
        self.assertEqual(row_of(values).ratio(), 0.5)
        self.assertEqual(row_of(values, "higher").best_peer(), "go")
        self.assertEqual(row_of(values, "higher").ratio(), 0.25)

    def test_who_has_another_definition_is_not_of_the_field(self):
        self.assertEqual(row_of({"tournant": [10], "tokio": [20], "go_barging": [1]}, beside=["go_barging"]).best_peer(), "tokio")

    def test_without_a_peer_there_is_no_ratio(self):
        self.assertIsNone(row_of({"tournant": [10]}).ratio())
        self.assertIsNone(row_of({"tournant": [10]}).best_peer())

    def test_what_tells_about_the_measurement_is_not_compared(self):
        row = Row("rate", "generator_lag_p99_us", {})
        row.values = {"tournant": [1], "tokio": [2]}
        self.assertIsNone(row.ratio())


class Report(unittest.TestCase):
    def rows(self):
        rows = Rows()
        for value in (10, 12, 11):
            rows.add(Row("spawn_join", "ns/op", {"workers": 2}), "tournant", value)
            rows.add(Row("spawn_join", "ns/op", {"workers": 2}), "tokio", value * 2)
            rows.add(Row("ping_pong", "ns/pair", {"workers": 2}), "tokio", value)
        return rows

    def test_a_case_without_tournant_is_missing_and_not_measured(self):
        self.assertEqual([row.case for row in self.rows().measured()], ["spawn_join"])
        self.assertEqual([row.case for row in self.rows().missing()], ["ping_pong"])

    def test_the_shape_of_the_json(self):
        rows = self.rows()
        for histogram in ([[9, 1]], [[8, 2]]):
            rows.add(Distribution("rate", {"connections": 64}), "tournant", histogram)
        text = report.json_text(report.document(rows, {"cpus": 2}, "abc"))
        document = json.loads(text)
        self.assertNotIn("NaN", text)
        self.assertEqual(set(document), {"machine", "commit", "rows", "distributions"})
        self.assertEqual(document["distributions"], [{"case": "rate", "params": {"connections": 64},
                                                      "histograms": {"tournant": [[[9, 1]], [[8, 2]]]}}])
        self.assertEqual(distribution_from_json(document["distributions"][0]).values, {"tournant": [[[9, 1]], [[8, 2]]]})
        row, = document["rows"]
        self.assertEqual({key: row[key] for key in ("case", "params", "unit", "better", "best_peer", "ratio")},
                         {"case": "spawn_join", "params": {"workers": 2}, "unit": "ns/op", "better": "lower",
                          "best_peer": "tokio", "ratio": 0.5})
        self.assertEqual(row["results"]["tournant"], {"median": 11, "min": 10, "max": 12, "runs": 3, "values": [10, 12, 11]})
        self.assertEqual(row["results"]["tokio"]["median"], 22)

    def test_a_row_comes_back_from_the_json(self):
        row = row_of({"tournant": [10, 12], "tokio": [20, 30], "go_barging": [1, 2]}, beside=["go_barging"])
        back = row_from_json(json.loads(json.dumps(row.as_json())))
        self.assertEqual((back.as_json(), back.ratio("tokio"), back.peers()), (row.as_json(), 11 / 25, ["tokio"]))

    def test_the_table_has_a_line_a_row_and_names_the_best_peer(self):
        head, _, line = report.table(self.rows().measured())
        self.assertEqual(head.split()[:5], ["case", "unit", "tournant", "tokio", "best"])
        self.assertIn("11.0 (10.0-12.0)", line)
        self.assertRegex(line, r"tokio +0\.50 \[0\.50-0\.50\]$")


class Machine(unittest.TestCase):
    def test_the_processor_has_its_numbers_because_virtual_machines_have_names_for_many(self):
        with tempfile.NamedTemporaryFile("w") as info:
            info.write("processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n\nmodel\t: 9\n")
            info.flush()
            self.assertEqual(machine.processor(info.name), "AMD EPYC (family 25, model 1)")

    def test_processor_and_switch_loop_stand_beside_each_table(self):
        line = machine.one_line(MACHINE)
        for part in ("Abacus 9 (family 25, model 1), 2 processors", "switch_loop", "start 4.80 ns (4.70-5.10)", "end 4.90 ns"):
            self.assertIn(part, line)


@unittest.skipIf(shutil.which("gnuplot") is None, "gnuplot is missing")
class Pictures(unittest.TestCase):
    def test_bars_for_ratios_and_a_curve_where_something_grows(self):
        rows = Rows()
        for connections in (1, 64, 8000):
            for program in ("tournant", "go_barging", "tokio"):
                for value in (connections, connections * 2):
                    rows.add(Row("closed", "p99_us", {"connections": connections, "workers": 2}), program, value)
        folder, messages = report.FOLDER, []
        with tempfile.TemporaryDirectory() as report.FOLDER, unittest.mock.patch.object(pictures, "say", messages.append):
            pictures.draw("server", rows)
            drawn = sorted(os.listdir(report.FOLDER))
            texts = [open(os.path.join(report.FOLDER, name)).read() for name in drawn]
        report.FOLDER = folder
        self.assertEqual(messages, [])
        self.assertEqual(drawn, ["server_closed_p99_us_connections.svg", "server_ratio_p99_us.svg"])
        self.assertTrue(all("</svg>" in text for text in texts))
        self.assertIn("go_barging", texts[0])


class Lines(unittest.TestCase):
    def test_a_peers_timers_meet_both_kinds_of_ours(self):
        rows = list(micro.rows_of({"case": "timers", "unit": "ms beyond 3 s", "value": 7}, "go", {"workers": 2}))
        self.assertEqual([(row.params["tasks"], program, value) for row, program, value in rows],
                         [("stackless", "go", 7), ("fibers", "go", 7)])
        (row, program, _), = micro.rows_of({"case": "timers_fibers_size", "unit": "bytes/task", "value": 1}, "tournant", {})
        self.assertEqual((row.case, row.params, program), ("timers", {"tasks": "fibers"}, "tournant"))

    def test_a_mutex_that_lets_others_in_is_a_program_of_its_own(self):
        (row, program, _), = micro.rows_of({"case": "files_small_cpu_threads", "unit": "cpu_ns/file", "value": 1}, "tournant", {})
        self.assertEqual((row.case, program), ("files_small_cpu", "threads"))
        (row, program, _), = micro.rows_of({"case": "mutex_2_barging", "unit": "ns/lock", "value": 1}, "go", {})
        self.assertEqual((row.case, program), ("mutex_2", "go_barging"))
        self.assertIn(program, row.beside)

    def test_only_lines_of_json_are_read_and_none_is_an_error(self):
        self.assertEqual(micro.parse("a histogram\n{\"case\": \"x\", \"unit\": \"ns\", \"value\": 1}\n")[0]["case"], "x")
        with self.assertRaises(Failure):
            micro.parse("nothing\n")


class Interleaving(unittest.TestCase):
    def run_jobs(self, jobs, count):
        rows, stderr = Rows(), sys.stderr
        with open(os.devnull, "w") as sys.stderr:
            try:
                rounds.run_all(jobs, count, rows)
            finally:
                sys.stderr = stderr
        return rows

    def test_programs_take_turns(self):
        order = []

        def job(name):
            def run():
                order.append(name)
                yield Row("case", "ns", {}), name, 1
            return rounds.Job(name, "case", run)

        rows = self.run_jobs([job("tournant"), job("tokio"), job("go")], 2)
        self.assertEqual(order, ["tournant", "tokio", "go"] * 2)
        self.assertEqual(len(rows.measured()[0].values["go"]), 2)

    def test_who_fails_is_left_out_and_it_is_known_of_tournant(self):
        runs = []

        def broken():
            runs.append(1)
            raise Failure("broken")
            yield  # pylint: disable=unreachable

        self.run_jobs([rounds.Job("go", "case", broken)], 10)
        self.assertEqual(len(runs), rounds.MISSES_MAX)
        self.assertEqual(self.run_jobs([rounds.Job("tournant", "case", broken)], 2).broken, [])
        self.assertEqual(self.run_jobs([rounds.Job("tournant", "case", broken)], 10).broken, ["case"])


class CommandLine(unittest.TestCase):
    def say(self, *arguments):
        with tempfile.TemporaryDirectory() as elsewhere:
            child = subprocess.run([os.path.join(ROOT, "tools", "bench"), *arguments], capture_output=True, text=True, timeout=30,
                                   cwd=elsewhere, check=False)
        return child.returncode, child.stdout, child.stderr

    def test_help_names_the_areas_and_their_cases(self):
        status, out, _ = self.say("--help")
        self.assertEqual(status, 0)
        for word in ("micro", "server", "scale", "memory", "mixed", "spawn_join", "--rounds", "--workers", "--quick"):
            self.assertIn(word, out)

    def test_nonsense_is_an_error_that_says_what_there_is(self):
        for arguments, words in ((["micro", "no_such_case"], ["no_such_case", "spawn_join"]), (["nothing"], ["nothing", "micro"]),
                                 (["micro", "--rounds", "0"], ["--rounds"]), (["micro", "--workers", "-1"], ["--workers"]),
                                 (["micro", "--only", "erlang"], ["erlang", "tokio"]), ([], ["area"])):
            status, out, err = self.say(*arguments)
            self.assertEqual((status, out), (2, ""), arguments)
            for word in words:
                self.assertIn(word, err, arguments)


if __name__ == "__main__":
    unittest.main()
