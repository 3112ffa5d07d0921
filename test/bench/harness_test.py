# SPDX-License-Identifier: MIT
"""The arithmetic and the report of tools/bench, and what it says to nonsense. Nothing is measured."""
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "bench")]
sys.dont_write_bytecode = True

from harness import machine, micro, pictures, report, rounds, server, stats, words  # noqa: E402
from harness.rows import Distribution, Row, Rows, distribution_from_json, row_from_json  # noqa: E402
from kit.processes import Failure  # noqa: E402

try:
    from harness import drawing
except ImportError:
    drawing = None

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
        self.assertEqual(row_of(values).compared(), "tokio")
        self.assertEqual(row_of(values).ratio(), 0.5)
        self.assertEqual(row_of(values, "higher").compared(), "go")
        self.assertEqual(row_of(values, "higher").ratio(), 0.25)

    def test_a_peer_that_was_named_before_the_run(self):
        rows = Rows()
        for case in ("spawn_join", "ping_pong"):
            for name, value in (("tournant", 10), ("tokio", 20), ("go", 40)):
                if (case, name) != ("ping_pong", "go"):
                    rows.add(Row(case, "ns/op", {}), name, value)
        rows.compare_with("go")
        self.assertEqual([(row.compared(), row.ratio()) for row in rows.measured()], [("go", 0.25), (None, None)])
        self.assertEqual(row_from_json(rows.measured()[0].as_json()).compared(), "go")

    def test_who_has_another_definition_is_not_of_the_field(self):
        self.assertEqual(row_of({"tournant": [10], "tokio": [20], "go_barging": [1]}, beside=["go_barging"]).compared(), "tokio")

    def test_without_a_peer_there_is_no_ratio(self):
        self.assertIsNone(row_of({"tournant": [10]}).ratio())
        self.assertIsNone(row_of({"tournant": [10]}).compared())

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
        self.assertEqual({key: row[key] for key in ("case", "params", "unit", "better", "compared", "ratio")},
                         {"case": "spawn_join", "params": {"workers": 2}, "unit": "ns/op", "better": "lower",
                          "compared": "tokio", "ratio": 0.5})
        self.assertEqual(row["results"]["tournant"], {"median": 11, "min": 10, "max": 12, "runs": 3, "values": [10, 12, 11]})
        self.assertEqual(row["results"]["tokio"]["median"], 22)

    def test_a_row_comes_back_from_the_json(self):
        row = row_of({"tournant": [10, 12], "tokio": [20, 30], "go_barging": [1, 2]}, beside=["go_barging"])
        back = row_from_json(json.loads(json.dumps(row.as_json())))
        self.assertEqual((back.as_json(), back.ratio("tokio"), back.peers()), (row.as_json(), 11 / 25, ["tokio"]))

    def test_the_table_has_a_line_a_row_and_names_the_peer(self):
        head, _, line = report.table(self.rows().measured())
        self.assertEqual(head.split()[:5], ["case", "unit", "tournant", "tokio", "peer"])
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


class Words(unittest.TestCase):
    def test_each_case_of_micro_has_words(self):
        for case in micro.CASES:
            self.assertTrue(any(known.startswith(case) for known in words.CASES) or case == "blocking_submitters", case)
        self.assertEqual(words.case("files_small_cpu"), "read a cached file of 4 KiB: processor time")

    def test_units_of_time(self):
        for unit, nanoseconds in {"ns/op": 1, "us late": 1e3, "ms beyond 3 s": 1e6, "cpu_ms/GiB": 1e6, "p99.9_us": 1e3,
                                  "cpu_us/request": 1e3, "bytes/task": None, "requests/s": None, "% of the file": None}.items():
            self.assertEqual(words.time_unit(unit), nanoseconds, unit)

    def test_parameters_in_words(self):
        self.assertEqual([words.param("connections", 8000), words.param("workers", 1), words.param("buffer", "none")],
                         ["8,000 connections", "1 worker", "no buffer"])

    def test_the_axis_of_a_time_leaves_its_unit_to_the_ticks(self):
        self.assertEqual([words.axis(unit) for unit in ("ns/task", "us late", "bytes/task", "% of the file")],
                         ["time per task, unit at each tick", "time, unit at each tick", "bytes per task", "% of the file"])


def figures_of(name, rows):
    """name of the picture -> figure"""
    document = json.loads(report.json_text(report.document(rows, MACHINE, "abc")))
    return {title: figure for title, figure in pictures.pictures_of(drawing, name, document) if figure is not None}


def texts_of(figure):
    import matplotlib.text
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def clipped_of(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: artist.get_gid() == drawing.CLIPPED)]


def lines_have_words(figure):
    return not set(words.CASES.values()).isdisjoint(text.split(",")[0] for text in texts_of(figure))


@unittest.skipIf(drawing is None, "python3-matplotlib is missing")
class Pictures(unittest.TestCase):
    def ratio_rows(self):
        rows = Rows()
        for case, ours, peers in (("spawn_join", 10, {"tokio": 20, "go": 5, "threads": 4000}), ("mpsc_4", 90, {"tokio": 1})):
            for factor in (1, 1.1, 1.2):
                for program, value in dict(peers, tournant=ours).items():
                    rows.add(Row(case, "ns/op", {"workers": 2}), program, value * factor)
        return rows

    def server_rows(self, counts=(1, 64, 8000)):
        rows = Rows()
        for connections in counts:
            for program in ("tournant", "epoll_1", "tokio"):
                params = {"connections": connections, "workers": 2}
                for value in (connections, connections * 2):
                    rows.add(Row("closed", "requests/s", params, "higher", ["epoll_1"]), program, value)
                    rows.add(Row("cpu", "cpu_us/request", params, "lower", ["epoll_1"]), program, value)
                    rows.add(Row("rate", "p99_us", dict(params, rate=500), "lower", ["epoll_1"]), program, value)
                    rows.add(Row("rate", "generator_lag_p99_us", dict(params, rate=500)), program, 30)
                    rows.add(Distribution("rate", dict(params, rate=500)), program, [[value * 1000, 990], [value * 5000, 10]])
        return rows

    def instruction_rows(self):
        rows = Rows()
        for unit, ours, tokio in (("instructions", 1549, 1090), ("calls", 62, 23), ("ordered", 20, 0), ("syscalls", 0.002, 0)):
            for program, value in (("tournant", ours), ("tokio", tokio)):
                rows.add(Row("spawn_join", unit + "/op", {"workers": 1}), program, value)
        for program in ("tournant", "tokio", "epoll", "epoll_1"):
            rows.add(Row("http", "instructions/request", {"connections": 64}, beside=["epoll_1"]), program, 2000)
        return rows

    def test_what_is_counted_has_a_panel_per_figure_and_a_line_per_case(self):
        figures = figures_of("instructions", self.instruction_rows())
        self.assertEqual([axes.get_title() for axes in figures["ratios"].axes], list(words.COUNTED.values()))
        self.assertEqual({axes.get_xscale() for axes in figures["ratios"].axes}, {"log"})
        self.assertEqual([axes.get_title() for axes in figures["counts"].axes], list(words.COUNTED.values()))
        self.assertEqual(clipped_of(figures["ratios"]), ["Tokio at ∞"])
        self.assertIn("epoll, one loop", texts_of(figures["counts"]))
        self.assertNotIn("epoll, one loop", texts_of(figures["ratios"]))

    def test_what_is_counted_of_a_server_has_a_picture_per_figure(self):
        rows = Rows()
        for unit, value in (("instructions", 1600), ("calls", 57), ("ordered", 16), ("syscalls", 2)):
            rows.add(Row("http", unit + "/request", {"connections": 64}), "tournant", value)
        self.assertEqual([figure.axes[0].get_xlabel() for figure in figures_of("server", rows).values()],
                         ["%s per request" % words_of_it for words_of_it in words.COUNTED.values()])

    def assert_names_its_unit(self, label, ticks):
        if "unit at each tick" in label or label.startswith("time since"):
            for tick in ticks:
                self.assertRegex(tick.get_text(), r"^(0|[0-9.,]+ (ns|µs|ms|s)|)$")
        else:
            self.assertRegex(label, r"tournant / peer|percentile, %|(number|requests) per \w+|open connections")

    def test_ratios_are_on_a_logarithmic_axis_and_all_peers_are_in_one_picture(self):
        figure = figures_of("micro", self.ratio_rows())["ratios"]
        self.assertEqual([axes.get_xscale() for axes in figure.axes], ["log"])
        self.assertEqual([tick.get_text() for tick in figure.axes[0].get_xticklabels()][4:7], ["1/2", "equal", "2×"])
        texts = texts_of(figure)
        for text in ("Tokio", "Go", "threads", "spawn a task and join it", "spawn_join", "← tournant is better",
                     "the peer is better →"):
            self.assertIn(text, texts)

    def test_a_ratio_beyond_the_axis_is_marked_with_its_value(self):
        figure = figures_of("micro", self.ratio_rows())["ratios"]
        self.assertEqual(figure.axes[0].get_xlim(), (1 / drawing.RATIO_MAX, drawing.RATIO_MAX))
        self.assertEqual(clipped_of(figure), ["threads at 1/400", "Tokio at 90×"])
        within = [round(line.get_xdata()[0], 3) for line in figure.axes[0].lines if line.get_marker() in ("s", "^")]
        self.assertEqual(within, [0.5, 2])

    def test_a_ratio_of_nothing_or_to_nothing_is_marked_and_not_lost(self):
        rows = Rows()
        for program, values in {"tournant": (0, 3, 0), "tokio": (5, 0, 0)}.items():
            for case, value in zip(("mpsc_1", "mpsc_4", "yield_many"), values):
                rows.add(Row(case, "ns/op", {}), program, value)
        figure = figures_of("micro", rows)["ratios"]
        self.assertEqual(clipped_of(figure), ["Tokio at 0", "Tokio at ∞"])
        self.assertEqual(figure.axes[0].get_xlim(), (1 / drawing.RATIO_MIN, drawing.RATIO_MIN))

    def test_the_axis_is_no_wider_than_the_ratios_need(self):
        rows = Rows()
        for program, value in (("tournant", 10), ("tokio", 11)):
            rows.add(Row("mpsc_4", "ns/op", {}), program, value)
        figure = figures_of("micro", rows)["ratios"]
        self.assertEqual(figure.axes[0].get_xlim(), (1 / drawing.RATIO_MIN, drawing.RATIO_MIN))
        self.assertEqual(clipped_of(figure), [])

    def test_more_is_better_turns_the_sides(self):
        rows = Rows()
        for program, value in (("tournant", 30), ("tokio", 20)):
            rows.add(Row("closed", "requests/s", {"connections": 64}, "higher"), program, value)
        texts = texts_of(figures_of("server", rows)["requests answered ratios"])
        self.assertTrue({"← the peer is better", "tournant is better →"} <= set(texts))

    def test_every_picture_has_a_title_axes_with_units_and_the_machine(self):
        count = 0
        for name, rows in (("micro", self.ratio_rows()), ("server", self.server_rows()), ("server", self.server_rows((64,))),
                           ("instructions", self.instruction_rows())):
            for figure in figures_of(name, rows).values():
                count += 1
                texts = texts_of(figure)
                title, = figure.findobj(lambda artist: artist.get_gid() == drawing.TITLE)
                self.assertRegex(title.get_text(), r"^[A-Z].+ .*[a-z]")
                self.assertTrue(any("Abacus 9" in text and "switch_loop" in text and "abc" in text for text in texts))
                for axes in figure.axes:
                    self.assert_names_its_unit(axes.get_xlabel(), axes.get_xticklabels())
                    if not lines_have_words(axes.figure):
                        self.assert_names_its_unit(figure.axes[0].get_ylabel(), figure.axes[0].get_yticklabels())
        self.assertEqual(count, 2 + 6 + 6 + 2)

    def test_a_curve_where_something_grows_and_marks_where_it_does_not(self):
        grown = figures_of("server", self.server_rows())
        self.assertIn("requests answered closed connections", grown)
        axes, = grown["requests answered closed connections"].axes
        self.assertEqual(axes.get_xlabel(), "open connections, log scale")
        self.assertEqual(axes.get_ylabel(), "requests per second, log scale")
        self.assertIn("requests answered", figures_of("server", self.server_rows((1, 64))))

    def test_percentile_curves_give_each_nine_equal_room_and_end_with_the_samples(self):
        figure = figures_of("server", self.server_rows())["percentiles"]
        self.assertEqual(len(figure.axes), 3)
        axes = figure.axes[0]
        self.assertEqual([tick.get_text() for tick in axes.get_xticklabels()], ["0", "50", "90", "99"])
        self.assertEqual([round(place, 6) for place in axes.get_xticks()[2:]], [1, 2])
        self.assertEqual(axes.get_yscale(), "log")
        curve = max(axes.lines, key=lambda line: line.get_linewidth())
        self.assertEqual((curve.get_ydata()[0], round(curve.get_xdata()[-1], 6)), (1500, 2))
        self.assertIn("epoll, one loop", texts_of(figure))

    def test_the_lateness_of_the_generator_is_shown(self):
        rows = [row for row in self.server_rows().measured()]
        spread = Distribution("rate", {"connections": 64, "workers": 2, "rate": 500})
        self.assertEqual(pictures.generator_lag_ns(spread, rows), 30000)
        self.assertIsNone(pictures.generator_lag_ns(Distribution("lateness_idle", {}), rows))

    def test_the_pictures_of_an_earlier_report_go(self):
        document = report.document(self.ratio_rows(), MACHINE, "abc")
        with tempfile.TemporaryDirectory() as folder:
            for old in ("micro_old.svg", "server_old.svg"):
                open(os.path.join(folder, old), "w").close()
            with open(os.path.join(folder, "micro.json"), "w") as file:
                file.write(report.json_text(document))
            pictures.draw_file(os.path.join(folder, "micro.json"))
            drawn = sorted(os.path.basename(path) for path in glob.glob(os.path.join(folder, "*.svg")))
            self.assertEqual(drawn, ["micro_ratios.svg", "micro_times.svg", "server_old.svg"])
            with open(os.path.join(folder, "micro_ratios.svg")) as file:
                self.assertIn("</svg>", file.read())


class Drawing(unittest.TestCase):
    def test_pictures_are_named_without_odd_characters(self):
        self.assertEqual(pictures.file_name("server", "cpu_us/request"), "server_cpu_us_request.svg")

    def test_without_matplotlib_it_is_said_and_no_more(self):
        messages = []
        with unittest.mock.patch.dict(sys.modules, {"matplotlib": None, "matplotlib.figure": None}), \
                unittest.mock.patch.object(pictures, "say", messages.append):
            loaded = {name: sys.modules.pop(name) for name in ["harness.drawing"] if name in sys.modules}
            import harness
            attribute = harness.__dict__.pop("drawing", None)
            pictures.draw("micro", {}, "/nonexistent")
            sys.modules.update(loaded)
            if attribute is not None:
                harness.drawing = attribute
        self.assertRegex(messages[0], "python3-matplotlib")

    def test_a_file_that_is_no_report_is_a_failure(self):
        with self.assertRaises(Failure):
            pictures.draw_file("/nonexistent/micro.json")
        for text in ("nothing", "[]", '{"machine": {}, "commit": "abc", "rows": []}'):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file, self.assertRaises(Failure):
                file.write(text)
                file.flush()
                pictures.draw_file(file.name)


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
        for word in ("micro", "server", "instructions", "ratchet", "scale", "memory", "mixed", "spawn_join", "--rounds",
                     "--workers", "--quick"):
            self.assertIn(word, out)

    def test_nonsense_is_an_error_that_says_what_there_is(self):
        for arguments, words in ((["micro", "no_such_case"], ["no_such_case", "spawn_join"]), (["nothing"], ["nothing", "micro"]),
                                 (["micro", "--rounds", "0"], ["--rounds"]), (["micro", "--workers", "-1"], ["--workers"]),
                                 (["micro", "--only", "erlang"], ["erlang", "tokio"]), ([], ["area"]),
                                 (["ratchet", "--raise"], ["--raise", "name"])):
            status, out, err = self.say(*arguments)
            self.assertEqual((status, out), (2, ""), arguments)
            for word in words:
                self.assertIn(word, err, arguments)


if __name__ == "__main__":
    unittest.main()
