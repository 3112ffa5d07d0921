# SPDX-License-Identifier: MIT
"""The fixed HTTP answer, served by each program in turn."""
from kit.processes import say

from harness import instructions, loads, stats
from harness.programs import named
from harness.rounds import Job, run_all
from harness.rows import OURS, Distribution, Row, Rows

CASES = ["cpu", "closed", "rate", "idle", "counters", "instructions", "pipelined", "stream"]
ROUNDS, QUICK_ROUNDS = 15, 2
CONNECTIONS, QUICK_CONNECTIONS = [1, 64, 1000, 8000], [1, 64]
IDLE, QUICK_IDLE = 8000, 1000
SECONDS, QUICK_SECONDS = 3, 1
BESIDE = ["epoll_1"]  # a thread less than the others: what there would be to gain
HIGHER = ["requests/s", "answered/asked"]
PIPELINED = ["--pipeline", "16"]
STREAM = ["--pipeline", "64", "--request-bytes", "512"]
GAUGE = "epoll"  # half of its peak is the rate of `rate` and `mixed`
ONCE = 3  # rounds of what hardly spreads


class Setting:
    """`connections`, `quick_connections`: how many there are one after the other, if the user does not say."""

    def __init__(self, options, connections, quick_connections):
        self.workers = options.workers
        self.rounds = options.rounds
        self.seconds = QUICK_SECONDS if options.quick else SECONDS
        self.connections = [count for count in options.connections or (quick_connections if options.quick else connections)
                            if count <= options.connections_max]
        self.idle = min(QUICK_IDLE if options.quick else IDLE, options.connections_max)


def rows_of(case, params, program, figures):
    for unit, value in figures.items():
        yield Row(case, unit, params, "higher" if unit in HIGHER else "lower", BESIDE), program.name, value


def server_job(program, case, params, measure):
    """`measure()` returns a dict unit -> value."""
    def run():
        yield from rows_of(case, params, program, measure())

    return Job(program.name, "%s %s" % (case, params), run)


def rate_job(program, case, params, command, seconds):
    """Requests at the fixed rate of `params`: rows and a distribution of the latencies."""
    def run():
        figures, histogram = loads.fixed_rate(command, params["connections"], params["rate"], seconds)
        yield from rows_of(case, params, program, figures)
        yield Distribution(case, params), program.name, histogram

    return Job(program.name, "%s %s" % (case, params), run)


def params_of(setting, connections, **more):
    return {"connections": connections, "workers": setting.workers, **more}


def run_closed(programs, setting, rows):
    run_all([server_job(program, "closed", params_of(setting, count),
                        lambda program=program, count=count: loads.closed_loop(program.server_command(setting.workers), count,
                                                                              setting.seconds))
             for count in setting.connections for program in programs], setting.rounds, rows)


def run_cpu(programs, setting, rows):
    run_all([server_job(program, "cpu", params_of(setting, count),
                        lambda program=program, count=count: loads.steady(program.server_command(setting.workers), count,
                                                                         setting.seconds))
             for count in setting.connections for program in programs], setting.rounds, rows)


def half_peak(setting, connections, rows):
    """Requests a second for all programs alike: half of what epoll reached in this run, or reaches now."""
    for row in rows.rows.values():
        if (row.case, row.unit, row.params.get("connections")) == ("closed", "requests/s", connections) and GAUGE in row.values:
            return round(stats.median(row.values[GAUGE]) / 2)
    say("looking for %s's peak at %d connections" % (GAUGE, connections))
    return round(loads.closed_loop(named(GAUGE).server_command(setting.workers), connections, setting.seconds)["requests/s"] / 2)


def run_rate(programs, setting, rows):
    jobs = []
    for count in setting.connections:
        rate = half_peak(setting, count, rows)
        jobs += [rate_job(program, "rate", params_of(setting, count, rate=rate), program.server_command(setting.workers),
                          setting.seconds) for program in programs]
    run_all(jobs, setting.rounds, rows)


def run_idle(programs, setting, rows):
    run_all([server_job(program, "idle", params_of(setting, setting.idle),
                        lambda program=program: {"bytes/connection": loads.hold(program.server_command(setting.workers),
                                                                                setting.idle, 0)})
             for program in programs], min(setting.rounds, ONCE), rows)


def run_counters(programs, setting, rows):
    run_all([server_job(program, "counters", params_of(setting, count),
                        lambda program=program, count=count: loads.counters(program.server_command(setting.workers), count,
                                                                           setting.seconds))
             for count in setting.connections for program in programs], min(setting.rounds, ONCE), rows)


def run_batches(case, connections, more):
    """A case in which each connection sends several requests by one call: processor time a request."""
    def run_case(programs, setting, rows):
        run_all([server_job(program, case, params_of(setting, connections),
                            lambda program=program: loads.steady(program.server_command(setting.workers), connections,
                                                                 setting.seconds, more))
                 for program in programs], setting.rounds, rows)

    return run_case


def run_instructions(programs, _, rows):
    run_all(instructions.jobs_of(programs, [instructions.HTTP]), 1, rows)


RUNS = {"cpu": run_cpu, "closed": run_closed, "rate": run_rate, "idle": run_idle, "counters": run_counters,
        "instructions": run_instructions, "pipelined": run_batches("pipelined", 64, PIPELINED),
        "stream": run_batches("stream", 4, STREAM)}


def run(programs, cases, options):
    rows = Rows()
    setting = Setting(options, CONNECTIONS, QUICK_CONNECTIONS)
    for case in cases:
        RUNS[case]([program for program in programs if program.server], setting, rows)
    return rows
