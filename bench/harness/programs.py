# SPDX-License-Identifier: MIT
"""The programs that are compared: what they are called, how they are built, how they are run."""
import json
import os
import subprocess

from kit.packages import BUILD, ROOT, build_release, install_missing
from kit.packages import PACKAGES as LIBRARY_PACKAGES
from kit.processes import Failure, output_of, run_step, say

from harness import callgrind
from harness.rows import OURS

PEERS = os.path.join(ROOT, "build", "bench", "peers")
TOKIO = os.path.join(PEERS, "tokio", "release")
GO = os.path.join(PEERS, "go")
TOOL_PACKAGES = ["python3-matplotlib", "linux-perf"] + callgrind.PACKAGES
LIST_S = 10
GAUGE_ROUNDS = 5


class Program:
    """`micro`, `server`: command lines, None where it has none."""

    def __init__(self, name, micro=None, server=None, packages=(), build=None, one_thread=False, virtual=(None, None),
                 asked=False):
        self.name = name
        self.micro = micro
        self.server = server
        self.virtual = virtual  # micro and server in virtual time (bench/virtual)
        self.packages = list(packages)
        self.build = build
        self.asked = asked  # measured only if --only names it
        self.one_thread = one_thread  # runs its loop on one, whatever the workers are

    def cases(self):
        """Which micro cases it has."""
        return [line.split()[0] for line in output_of(self.micro + ["--list"], LIST_S).splitlines() if line.strip()]

    def server_command(self, workers, *options):
        return self.server + ["--workers", str(1 if self.one_thread else workers), *options]

    def counted_micro(self):
        """The program whose instructions are counted."""
        return self.virtual[0] or self.micro

    def counted_server(self, workers):
        return (self.virtual[1] or self.server) + ["--workers", str(1 if self.one_thread else workers)]


def build_tokio():
    # Debian's compiler, the one its crates are made for, whatever else is on the path.
    environment = dict(os.environ, PATH="/usr/bin:" + os.environ["PATH"], CARGO_TARGET_DIR=os.path.dirname(TOKIO))
    run_step(["/usr/bin/cargo", "build", "--release", "--quiet"], "building the peers on Tokio",
             cwd=os.path.join(ROOT, "bench", "peers", "tokio"), env=environment)


def build_go():
    os.makedirs(GO, exist_ok=True)
    run_step(["/usr/bin/go", "build", "-o", GO + "/", "./..."], "building the peers in Go",
             cwd=os.path.join(ROOT, "bench", "peers", "go"), env=dict(os.environ, GOPROXY="off", GOFLAGS="", GOTOOLCHAIN="local"))


def build_h2o():
    """Configured again, because its packages may just have been installed."""
    run_step(["cmake", "--preset", "release"], "configuring the peer on h2o", cwd=ROOT)
    run_step(["cmake", "--build", BUILD, "--target", "h2o_h2o_server"], "building the peer on h2o", cwd=ROOT)


def version_of(package):
    """Of an installed Debian package, or None."""
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None if found.returncode == 0 else None


def versions(programs):
    """Program -> its version, of those that are a library or a runtime of another project."""
    found = {program.name: version_of(program.packages[0]) for program in programs if program.packages}
    return {name: version for name, version in found.items() if version}


def at(folder, *names):
    return [os.path.join(folder, *names)]


ONE_ROUND = ["--rounds", "1", "--lines"]
ALL = [
    Program(OURS, at(BUILD, "bench", "micro") + ONE_ROUND, at(BUILD, "bench/servers/tournant_server"),
            virtual=(at(BUILD, "bench/virtual/micro") + ONE_ROUND, at(BUILD, "bench/virtual/tournant_server"))),
    Program("tokio", at(TOKIO, "micro"), at(TOKIO, "server"), ["librust-tokio-dev", "cargo", "rustc"], build_tokio),
    Program("go", at(GO, "micro"), at(GO, "server"), ["golang-go"], build_go),
    Program("threads", at(BUILD, "bench/peers/threads/threads_micro"), at(BUILD, "bench/servers/threads_server")),
    Program("epoll", None, at(BUILD, "bench/servers/plain_epoll_server")),
    Program("epoll_1", None, at(BUILD, "bench/servers/plain_epoll_server"), one_thread=True),
    Program("libuv", None, at(BUILD, "bench/servers/uv_server"), packages=["libuv1-dev"], one_thread=True),
    Program("h2o", None, at(BUILD, "bench/peers/h2o/h2o_server"), packages=["libh2o-evloop-dev", "libssl-dev"], build=build_h2o,
            asked=True),
    Program("uring", None, at(BUILD, "bench/servers/uring_server") + ["full"], asked=True),
    Program("uring_sends", None, at(BUILD, "bench/servers/uring_server") + ["sends"], asked=True),
]

NAMES = [program.name for program in ALL]

DEFAULT = [program.name for program in ALL if not program.asked]
TARGETS = ["bench_micro", "bench_open_loop", "threads_threads_micro", "servers_tournant_server", "servers_threads_server",
           "servers_plain_epoll_server", "servers_uv_server", "servers_uring_server", "virtual_micro", "virtual_tournant_server",
           "examples_mini_redis"]


def named(name):
    return next(program for program in ALL if program.name == name)


def switch_loop():
    """The gauge of the machine: ns per context switch without a scheduler, a value per round. To call behind prepare()."""
    output = output_of(at(BUILD, "bench", "micro") + ["--rounds", str(GAUGE_ROUNDS), "--lines", "switch_loop"], LIST_S)
    return [json.loads(line)["value"] for line in output.splitlines()]


def prepare(names):
    """Builds the programs of these names and answers those that are there. A peer that cannot be built is said and left out."""
    install_missing(LIBRARY_PACKAGES)
    try_step(lambda: install_missing(TOOL_PACKAGES), "pictures and counters may be missing")
    build_release(TARGETS)
    ready = []
    for program in [program for program in ALL if program.name in names]:
        if try_step(lambda program=program: prepare_peer(program), "NO FIGURES OF %s" % program.name.upper()):
            ready.append(program)
    return ready


def prepare_peer(program):
    install_missing(program.packages)
    if program.build:
        say("building the peers of " + program.name)
        program.build()


def try_step(step, otherwise):
    try:
        step()
    except (Failure, OSError, subprocess.SubprocessError) as problem:
        say("%s: %s" % (otherwise, problem))
        return False
    return True
