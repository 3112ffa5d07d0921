# SPDX-License-Identifier: MIT
"""The server at a fixed rate while as many tasks as workers block their thread 100 ms of each 200 ms, while one request of a
hundred blocks its thread for 20 ms, and undisturbed."""
from harness import server
from harness.rounds import run_all
from harness.rows import Rows

# Case -> the servers' --block. `declared`: the same sleep, declared to the runtime where it has a call for that.
BLOCKS = {"undisturbed": None, "sleep": "sleep", "declared": "declared", "busy": "busy", "1_percent": "some"}
CASES = list(BLOCKS)
ROUNDS, QUICK_ROUNDS = 5, 2
CONNECTIONS = [64, 1000]


def command(program, workers, how):
    return program.server_command(workers, *(["--block", BLOCKS[how]] if BLOCKS[how] else []))


def run(programs, cases, options):
    rows = Rows()
    setting = server.Setting(options, CONNECTIONS, CONNECTIONS)
    programs = [program for program in programs if program.server]
    jobs = []
    for count in setting.connections:
        rate = server.half_peak(setting, count, rows)
        for how in cases:
            jobs += [server.rate_job(program, "mixed_" + how, server.params_of(setting, count, rate=rate),
                                     command(program, setting.workers, how), setting.seconds) for program in programs]
    run_all(jobs, setting.rounds, rows)
    return rows
