# SPDX-License-Identifier: MIT
"""tools/bench: see --help."""
import argparse
import os
import sys

from kit import processes
from kit.servers import raise_file_limit

from harness import instructions, json_api, machine, memory, micro, mixed, pictures, programs, ratchet, redis, report, scale
from harness import server, tls
from harness.rows import OURS

AREAS = {"micro": micro, "server": server, "instructions": instructions, "ratchet": ratchet, "scale": scale, "memory": memory,
         "mixed": mixed, "redis": redis, "tls": tls, "json": json_api}

HELP = """Measures tournant and its peers (Tokio, Go, threads, bare epoll, libuv), in turn, a fresh process each time. Sets up
what is missing on Debian 12, builds everything, prints a table, and leaves build/bench/AREA.json and pictures beside it.

""" + "\n".join("  %-12s %s\n               cases: %s" % (name, area.__doc__.split("\n")[0], " ".join(area.CASES))
                for name, area in AREAS.items()) + """

`tools/bench draw FILE.json…` draws the pictures of a report again. bench/README.md has the definitions, the method, what is
noise, and what can be compared across machines."""


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def counts(text):
    return [positive(part) for part in text.split(",")]


def names(text):
    chosen = text.split(",")
    unknown = [name for name in chosen if name not in programs.NAMES]
    if unknown:
        raise argparse.ArgumentTypeError("there is no program %s; there are %s" % (" ".join(unknown), " ".join(programs.NAMES)))
    return chosen


def peer(text):
    chosen = names(text)
    if len(chosen) != 1 or chosen == [OURS]:
        raise argparse.ArgumentTypeError("one peer is wanted")
    return chosen[0]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("area", choices=AREAS, help="what to measure")
    parser.add_argument("cases", nargs="*", metavar="case", help="only these cases; without: all of the area")
    parser.add_argument("--rounds", type=positive, metavar="N",
                        help="runs of each program (5; server 15; memory 3; instructions 1)")
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="worker threads of each program; default 2")
    parser.add_argument("--quick", action="store_true", help="little work and few rounds: shows that it runs, means little")
    parser.add_argument("--connections", type=counts, metavar="N,…", help="of server, scale and mixed, instead of theirs")
    parser.add_argument("--only", type=names, default=programs.DEFAULT, metavar="NAME,…",
                        help="these programs of " + " ".join(programs.NAMES) + "; without: " + " ".join(programs.DEFAULT))
    parser.add_argument("--against", type=peer, metavar="NAME",
                        help="the peer that tournant is compared with; without: in each case the best one")
    parser.add_argument("--raise", action="store_true", dest="raises", help="ratchet: the limits become what these cases take")
    parser.add_argument("--lower", action="store_true", help="ratchet: limits become lower where they can; new cases get one")
    options = parser.parse_intermixed_args(arguments)
    area = AREAS[options.area]
    unknown = [case for case in options.cases if case not in area.CASES]
    if unknown:
        parser.error("%s has no case %s; it has %s" % (options.area, " ".join(unknown), " ".join(area.CASES)))
    if options.raises and not options.cases:
        parser.error("--raise wants the cases by name")
    options.cases = [case for case in area.CASES if case in options.cases] or area.CASES
    options.rounds = options.rounds or (area.QUICK_ROUNDS if options.quick else area.ROUNDS)
    return options


def measure(options):
    options.connections_max = raise_file_limit()
    ready = programs.prepare(options.only)
    if not ready:
        raise processes.Failure("no program could be built")
    about, commit = machine.describe(programs.switch_loop(), programs.versions(ready)), machine.commit()
    rows = AREAS[options.area].run(ready, options.cases, options)
    rows.compare_with(options.against)
    about = machine.finish(about, programs.switch_loop())
    report.print_all(rows, about)
    if OURS not in [program.name for program in ready]:
        return
    document = report.document(rows, about, commit)
    report.write_json(options.area, document)
    pictures.draw(options.area, document, report.FOLDER)
    if rows.broken:
        raise processes.Failure("tournant failed in: " + ", ".join(rows.broken))


def draw(paths):
    if not paths:
        raise processes.Failure("draw needs the JSON files that a measurement left in build/bench")
    for path in paths:
        pictures.draw_file(path)


def main():
    if sys.argv[1:2] == ["draw"]:
        return processes.main("bench", lambda: draw(sys.argv[2:]))
    options = parse(sys.argv[1:])
    os.environ["LC_ALL"] = "C"
    return processes.main("bench", lambda: (ratchet.main if options.area == "ratchet" else measure)(options))


if __name__ == "__main__":
    sys.exit(main())
