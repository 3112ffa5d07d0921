# SPDX-License-Identifier: MIT
"""How tools/bench counts instructions: what it reads of callgrind's files and of disassemblies, how it joins them, and the
ratchet. Nothing is run but Python."""
import os
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "bench")]
sys.dont_write_bytecode = True

from harness import callgrind, instructions, ratchet  # noqa: E402
from harness.rows import Row, Rows  # noqa: E402
from kit.processes import Failure  # noqa: E402

DISASSEMBLY = """
/usr/lib/libexample.so:     file format elf64-x86-64


Disassembly of section .text:

0000000000001000 <example>:
    1000:\tendbr64
    1004:\tlock xadd %eax,(%rdi)
    1008:\txchg   %eax,(%rdi)
    100a:\txchg   %ax,%ax
    100c:\tmfence
    100f:\tfnstcw 0x8(%rsp)
    1013:\tstmxcsr 0xc(%rsp)
    1018:\tldmxcsr 0xc(%rsp)
    101d:\trdtsc
    1020:\tsyscall
    1022:\tcall   1000 <example>
    1027:\trdtscp
    102a:\tmov    0x10(%rip),%rax        # 1040 <lock>
"""

PROFILE = """# callgrind format
version: 1
positions: instr
events: Ir
summary: 1234

ob=/usr/lib/libexample.so
fl=???
fn=example
0x1000 10
0x1004 10
cob=/usr/lib/libother.so
cfi=???
cfn=other
calls=7 0x1004
0x1008 70000
0x1020 4

ob=/usr/lib/libother.so
fn=other
0x1004 7

ob=/usr/lib/libc.so.6
fn=clock_gettime@@GLIBC_2.17
0x1020 3

ob=/a/program
fn=__wrap_tni_run_complete
0x1004 1000
cob=/usr/lib/libexample.so
cfn=example
calls=500 0x1000
0x1008 500
""".splitlines(keepends=True)


class Joining(unittest.TestCase):
    def setUp(self):
        self.kinds = callgrind.disassembly(DISASSEMBLY)

    def test_ordered_instructions_and_system_calls_of_a_disassembly(self):
        ordered = [0x1004, 0x1008, 0x100c, 0x100f, 0x1013, 0x101d, 0x1027]
        self.assertEqual(self.kinds, {**dict.fromkeys(ordered, "ordered"), 0x1020: "syscalls"})

    def test_an_address_is_counted_where_it_was_executed_and_not_in_its_callers(self):
        lines = [line for line in callgrind.executions(PROFILE) if line[1] == "example"]
        self.assertEqual({line[0] for line in lines}, {"/usr/lib/libexample.so"})
        self.assertEqual([line[2:] for line in lines], [(0x1000, 10), (0x1004, 10), (None, 7), (0x1020, 4)])

    def test_the_same_address_of_another_object_is_something_else(self):
        """`other` executes 0x1004 too; reading the clock is ordered and no system call; virtual time is not counted."""
        figures = callgrind.count(PROFILE, lambda path: {} if path.endswith("libother.so") else self.kinds)
        self.assertEqual(figures, {"instructions": 10 + 10 + 4 + 7 + 3, "calls": 7, "ordered": 10 + 3, "syscalls": 4})

    def test_positions_that_are_no_addresses_are_refused(self):
        with self.assertRaises(Failure):
            list(callgrind.executions(["positions: line\n"]))

    def test_what_an_operation_takes(self):
        few, many = dict.fromkeys(callgrind.FIGURES, 1000), dict.fromkeys(callgrind.FIGURES, 31000)
        self.assertEqual(callgrind.difference(few, many, 20000), dict.fromkeys(callgrind.FIGURES, 1.5))

    def test_a_run_without_counts_is_an_error(self):
        with self.assertRaises(Failure):
            callgrind.Run(callgrind.Objects(), ["true"]).figures()


class RowsOfACase(unittest.TestCase):
    def test_a_row_a_figure(self):
        figures = dict(zip(callgrind.FIGURES, (1.23456789, 2, 3, -0.00001)))
        rows = list(instructions.rows_of("ping_pong", "op", {"workers": 1}, figures, "tokio"))
        units = ("instructions/op", "calls/op", "ordered/op", "syscalls/op")
        self.assertEqual([(row.case, row.unit, row.params) for row, _, _ in rows],
                         [("ping_pong", unit, {"workers": 1}) for unit in units])
        self.assertEqual([(program, str(value)) for _, program, value in rows],
                         [("tokio", "1.2346"), ("tokio", "2.0"), ("tokio", "3.0"), ("tokio", "0.0")])

    def test_a_peers_tasks_meet_both_kinds_of_ours(self):
        program = unittest.mock.Mock()
        program.counted_micro.return_value = []
        program.name = "tokio"
        jobs = instructions.micro_jobs([program], ["timers"], None)
        program.name = "tournant"
        ours = instructions.micro_jobs([program], ["timers"], None)
        self.assertEqual((len(jobs), len(ours)), (1, 2))
        with unittest.mock.patch.object(instructions, "count_micro", lambda *_: dict.fromkeys(callgrind.FIGURES, 1)):
            kinds = [row.params["tasks"] for row, _, _ in jobs[0].run() if row.unit == "calls/op"]
        self.assertEqual(kinds, ["stackless", "fibers"])


def figures(count, calls=10.0, ordered=5.0, syscalls=0.001):
    return dict(zip(callgrind.FIGURES, (count, calls, ordered, syscalls)))


class Ratchet(unittest.TestCase):
    def test_the_file_is_read_as_it_is_written(self):
        limits = {"spawn_join": figures(1476.2), "timers_fibers": figures(2680.8, 106.24, 32.85, 1.131)}
        self.assertEqual(ratchet.read(ratchet.text_of(limits)), limits)
        with self.assertRaises(Failure):
            ratchet.read("spawn_join 1 2\n")

    def test_the_file_in_the_tree_has_each_case(self):
        with open(ratchet.FILE) as file:
            limits = ratchet.read(file.read())
        self.assertEqual({ratchet.case_of(name) for name in limits}, set(ratchet.CASES))

    def test_two_percent_more_is_allowed_and_three_are_not(self):
        limits = {"a": figures(1000), "b": figures(1000)}
        lines, failed = ratchet.compare({"a": figures(1019), "b": figures(1030)}, limits, True)
        self.assertEqual(failed, ["b"])
        self.assertEqual(lines[0], "b: instructions 1030, limit 1000 (+3.0 %)")
        self.assertIn("--raise b", "\n".join(lines))

    def test_each_figure_counts(self):
        for more in (figures(1000, calls=10.5), figures(1000, ordered=6), figures(1000, syscalls=0.03)):
            self.assertEqual(ratchet.compare({"a": more}, {"a": figures(1000)}, True)[1], ["a"])

    def test_what_is_rare_may_be_twice_as_frequent(self):
        self.assertEqual(ratchet.compare({"a": figures(1000, syscalls=0.01)}, {"a": figures(1000)}, True), ([], []))

    def test_less_is_told_and_does_not_fail(self):
        lines, failed = ratchet.compare({"a": figures(900)}, {"a": figures(1000)}, True)
        self.assertEqual(failed, [])
        self.assertIn("--lower", lines[-1])

    def test_cases_that_only_one_of_the_two_has(self):
        limits = {"a": figures(1), "b": figures(1)}
        self.assertEqual(ratchet.compare({"a": figures(1), "c": figures(1)}, limits, True)[1], ["c", "b"])
        self.assertEqual(ratchet.compare({"a": figures(1)}, limits, False)[1], [])

    def test_the_name_of_a_line_on_the_command_line(self):
        self.assertEqual([ratchet.case_of(name) for name in ("spawn_join", "timers_stackless", "live_fibers", "mutex_2")],
                         ["spawn_join", "timers", "live", "mutex_2"])

    def test_raising_changes_the_named_alone_and_lowering_raises_nothing(self):
        limits = {"a": figures(1000), "b": figures(1000, ordered=7.0)}
        options = unittest.mock.Mock(raises=True)
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(ratchet, "FILE", os.path.join(folder, "file")), \
                unittest.mock.patch.object(ratchet, "say"):
            ratchet.rewrite({"b": figures(1100)}, limits, options, False)
            with open(ratchet.FILE) as file:
                self.assertEqual(ratchet.read(file.read()), {"a": figures(1000), "b": figures(1100)})
            options.raises = False
            ratchet.rewrite({"a": figures(1100, calls=9.0), "b": figures(900), "c": figures(5)}, limits, options, True)
            with open(ratchet.FILE) as file:
                self.assertEqual(ratchet.read(file.read()),
                                 {"a": figures(1000, calls=9.0), "b": figures(900), "c": figures(5)})

    def test_the_kind_of_task_is_a_part_of_the_name(self):
        rows = Rows()
        rows.add(Row("timers", "calls/op", {"workers": 1, "tasks": "fibers"}), "tournant", 7)
        rows.add(Row("http", "calls/request", {"connections": 64}), "tournant", 8)
        self.assertEqual(ratchet.figures_of(rows), {"timers_fibers": {"calls": 7}, "http": {"calls": 8}})


if __name__ == "__main__":
    unittest.main()
