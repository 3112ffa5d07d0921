# SPDX-License-Identifier: MIT
"""Single operations of the runtimes: a fresh process a case and round; definitions in bench/README.md."""
import json

from kit.processes import Failure, output_of

from harness.rounds import Job, run_all
from harness.rows import Distribution, Row, Rows

RUN_S = 300  # more than the slowest case needs

# In the order of the report. `switch_loop`, `first_touch` and `thread_wake` have no scheduler of ours in them: they show what the
# machine does.
CASES = ["switch_loop", "spawn_join", "spawn_many_local", "spawn_many_remote", "yield_many", "ping_pong",
         "chained_spawn", "chan_pingpong", "mpsc_1", "mpsc_4", "mutex_2", "mutex_64", "mutex_wake", "mutex_free",
         "semaphore_wake", "wake_local", "await_ready", "select_ready", "timeout_unused", "await_for", "first_touch", "timers",
         "lateness", "takeover", "thread_wake", "spawn_blocking_batch", "spawn_blocking_roundtrip", "blocking_run",
         "blocking_submitters", "blocking_sleepers", "block_declared", "block_eager", "files_small", "files_large",
         "read_lines", "read_lines_hand", "read_lines_each", "read_lines_each_hand", "read_frames", "read_frames_hand",
         "read_frames_each", "read_frames_each_hand", "io_read", "io_read_stream"]
ROUNDS, QUICK_ROUNDS = 5, 2
ALSO_ON_ONE = ["mutex_wake"]  # its price for a second worker is a figure of its own

# A line of a program -> the rows it belongs to, where that is not the row of its name. A peer has one kind of task, and is
# compared with both of ours.
STACKLESS, FIBERS = {"tasks": "stackless"}, {"tasks": "fibers"}
LINES = {}
for stem, row in {"timers": "timers", "timers_size": "timers", "live_spawn": "live_spawn", "live_size": "live_size",
                  "live_wake": "live_wake"}.items():
    LINES[stem] = [(row, STACKLESS), (row, FIBERS)]
    for kind in (STACKLESS, FIBERS):
        first, _, rest = stem.partition("_")
        LINES["_".join(part for part in (first, kind["tasks"], rest) if part)] = [(row, kind)]
BARGING = "_barging"  # another definition: shown beside the field
THREADS = "_threads"  # plain threads that our own program has measured, in turn with its tasks


def rows_of(line, program, params):
    """(row, program, value) of each row or distribution that one line of output belongs to."""
    name = line["case"]
    if "buckets" in line:
        yield Distribution(name, params), program, line["buckets"]
        return
    if name.endswith(BARGING):
        name, program = name[:-len(BARGING)], program + BARGING
    elif name.endswith(THREADS):
        name, program = name[:-len(THREADS)], "threads"
    for case, more in LINES.get(name, [(name, {})]):
        beside = ["go" + BARGING, "threads" + BARGING]
        yield Row(case, line["unit"], dict(params, **more), beside=beside), program, line["value"]


def parse(output):
    lines = [json.loads(text) for text in output.splitlines() if text.startswith("{")]
    if not lines:
        raise Failure("the program printed no figures")
    return lines


def job(program, case, workers, params, options):
    """`params`: what the rows are known by."""
    command = program.micro + [case, "--workers", str(workers), *options]

    def run():
        for line in parse(output_of(command, RUN_S)):
            yield from rows_of(line, program.name, params)

    return Job(program.name, case, run)


def jobs(programs, cases, workers, quick):
    have = {program.name: program.cases() for program in programs if program.micro}
    found = []
    for case in cases:
        for count in sorted({1, workers}) if case in ALSO_ON_ONE else [workers]:
            for program in programs:
                if case in have.get(program.name, []):
                    found.append(job(program, case, count, {"workers": count}, ["--quick"] if quick else []))
    return found


def run(programs, cases, options):
    rows = Rows()
    run_all(jobs(programs, cases, options.workers, options.quick), options.rounds, rows)
    return rows
