# SPDX-License-Identifier: MIT
"""Counts what a program executes: callgrind reports how often each address was executed, objdump which instruction is there.

Nothing is sampled, so the counts of two runs are equal if the program takes the same path. What makes it do so: a fixed
environment, no functions of the C library chosen by the processor, one processor for all threads, no random addresses.
"""
import os
import re
import subprocess
import tempfile

from kit.processes import Failure, output_of

FIGURES = ["instructions", "calls", "ordered", "syscalls"]
PACKAGES = ["valgrind", "binutils", "util-linux"]

# callgrind writes a line per address, and no names and numbers relative to earlier ones.
OPTIONS = ["--quiet", "--tool=callgrind", "--dump-instr=yes", "--dump-line=no", "--compress-pos=no", "--compress-strings=no"]

# The C library has functions for several generations of processors; those of the first run on all.
NEWER_THAN_X86_64 = ("AVX AVX_Fast_Unaligned_Load AVX2 AVX512F AVX512VL AVX512BW AVX512DQ BMI1 BMI2 ERMS FMA FMA4 FSRM "
                     "LZCNT MOVBE POPCNT RTM SSE3 SSSE3 SSE4_1 SSE4_2 XSAVE XSAVEC").split()
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C",
               "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join("-" + name for name in NEWER_THAN_X86_64)}

# Ordered instructions wait until earlier ones are done. `xchg` with memory is locked without the prefix.
ORDERED = re.compile(r"lock\s|xchg\w*\s.*\(|mfence\b|rdtscp?\b|fn?stcw\b|v?stmxcsr\b")
LISTED = re.compile(r"\s*([0-9a-f]+):\t(\S.*)")

# The functions of bench/virtual: not counted, because the shipped library does not have them.
VIRTUAL = "__wrap_tni_"
# valgrind hides the vDSO, so reading the clock is a system call under it. Elsewhere it is one `rdtsc`: counted as that.
CLOCK = "clock_gettime"


def disassembly(text):
    """Parses objdump's output: address -> "ordered" or "syscalls", for the instructions that are one of these."""
    kinds = {}
    for line in text.splitlines():
        match = LISTED.match(line)
        if match and ORDERED.match(match.group(2)):
            kinds[int(match.group(1), 16)] = "ordered"
        elif match and match.group(2).startswith("syscall"):
            kinds[int(match.group(1), 16)] = "syscalls"
    return kinds


def executions(lines):
    """Parses callgrind's file: (object, function, address, times) per address that was executed, and
    (object, function, None, times) per call from there. A jump into another function is a call too."""
    where = function = None
    inclusive = False  # the line behind `calls=` is the inclusive cost of the call, which is counted in the callee
    for line in lines:
        if line.startswith("0x"):
            if not inclusive:
                address, times = line.split()
                yield where, function, int(address, 16), int(times)
            inclusive = False
        elif line.startswith("ob="):
            where = line[3:].rstrip("\n")
        elif line.startswith("fn="):
            function = line[3:].rstrip("\n")
        elif line.startswith("calls="):
            yield where, function, None, int(line[6:].split()[0])
            inclusive = True
        elif line.startswith("positions:") and line.split() != ["positions:", "instr"]:
            raise Failure("callgrind wrote no addresses: " + line.strip())


def count(lines, kinds_of):
    """Returns the figures of a run. `kinds_of(object)` returns its disassembly()."""
    figures = dict.fromkeys(FIGURES, 0)
    for where, function, address, times in executions(lines):
        if function.startswith(VIRTUAL):
            continue
        if address is None:
            figures["calls"] += times
            continue
        figures["instructions"] += times
        kind = kinds_of(where).get(address)
        if kind == "syscalls" and function.startswith(CLOCK):
            kind = "ordered"
        if kind:
            figures[kind] += times
    return figures


class Objects:
    """The disassemblies of a run of tools/bench: each object is read once."""

    def __init__(self):
        self.known = {}

    def kinds_of(self, path):
        if path not in self.known:
            text = output_of(["objdump", "-d", "-w", "--no-show-raw-insn", path], 300) if os.path.exists(path) else ""
            self.known[path] = disassembly(text)
        return self.known[path]


def where_allowed(*prefix):
    """Returns the prefix of a command if it can be used, otherwise nothing: some containers forbid it."""
    command = list(prefix)
    ended = subprocess.run(command + ["true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return command if ended.returncode == 0 else []


def in_turn(precedence, otherwise):
    """The prefix of a command whose threads take turns in the same order each time: on one processor, a woken thread does not
    preempt the one that runs. Real-time threads are not preempted by other programs either. They are used where the system
    permits it and leaves those a second processor. `precedence`: over threads with a lower one."""
    cpus = os.sched_getaffinity(0)
    real_time = where_allowed("chrt", "--fifo", str(precedence)) if len(cpus) > 1 else []
    return ["taskset", "-c", str(max(cpus))] + (real_time or otherwise)


def counted():
    """The prefix of a counted program, which gets no random addresses either."""
    return in_turn(1, ["chrt", "--batch", "0"]) + where_allowed("setarch", "-R")


def before_it():
    """The prefix of a client of a counted program: on its processor, and with precedence over it."""
    return in_turn(2, [])


class Run:
    """One run of a program under callgrind. The caller runs `command` in ENVIRONMENT, then calls figures()."""

    def __init__(self, objects, command):
        self.objects = objects
        self.file = tempfile.NamedTemporaryFile("r", suffix=".callgrind")  # pylint: disable=consider-using-with
        self.command = counted() + ["valgrind", *OPTIONS, "--callgrind-out-file=" + self.file.name, *command]

    def figures(self):
        with open(self.file.name) as lines:  # by name: callgrind replaces the file
            figures = count(lines, self.objects.kinds_of)
        self.file.close()
        if figures["instructions"] == 0:
            raise Failure("callgrind counted nothing: " + " ".join(self.command))
        return figures


def difference(few, many, operations):
    """Figures per operation, from two runs that differ by so many."""
    return {name: (many[name] - few[name]) / operations for name in FIGURES}
