# SPDX-License-Identifier: MIT
"""A server that runs beside us, wrk against it, and what both have used."""
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time

from kit.packages import ROOT
from kit.processes import Failure, forget, start, stop

SPARE_FILES = 100     # what a server and a load generator open beside their connections
START_S = 10          # a server that is not ready by then is broken
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def raise_file_limit():
    """Opens as many files as we may, and returns how many connections fit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_FILES


def status_number(path, key):
    """The number behind `key` in a file of lines such as "VmRSS:  1234 kB"; 0 where there is none."""
    try:
        with open(path) as status:
            for line in status:
                if line.startswith(key):
                    return int(line.split()[1])
    except OSError:
        pass  # a thread that has ended meanwhile
    return 0


def cpu_s_of(pid):
    """The processor time of a process: of all its threads, those that have ended too."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()  # from the third field on
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class Server:
    """A running server, on a port that the kernel chooses."""

    def __init__(self, command, env=None):
        self.name = os.path.basename(command[0])
        self.messages = 0
        self.child = start(command + ["--port", "0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                           env=env)
        self.ready = threading.Event()
        self.url = None
        threading.Thread(target=self._read, daemon=True).start()
        if not self.ready.wait(START_S) or self.url is None:
            raise Failure("%s did not start" % " ".join(command))
        self.port = int(re.search(r":(\d+)/", self.url).group(1))

    def _read(self):
        for line in self.child.stderr:
            match = re.search(r"listening on (http://\S+)", line)
            if match:
                self.url = match.group(1)
                self.ready.set()
            else:
                self.messages += 1
                if self.messages <= 3:
                    sys.stderr.write(line)
        self.ready.set()

    def pid(self):
        return self.child.pid

    def cpu_s(self):
        return cpu_s_of(self.pid())

    def switches(self):
        """Times the threads it has now have left a processor, by themselves or not."""
        path = "/proc/%d/task" % self.pid()
        return sum(status_number("%s/%s/status" % (path, thread), key) for thread in os.listdir(path)
                   for key in ("voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"))

    def thread(self, name):
        """Times the thread with this name was given a processor, and its processor time in s; None: there is no such thread."""
        path = "/proc/%d/task" % self.pid()
        for thread in os.listdir(path):
            try:
                with open("%s/%s/comm" % (path, thread)) as comm, open("%s/%s/schedstat" % (path, thread)) as times:
                    if comm.read().strip() == name:
                        cpu_ns, _, given = times.read().split()
                        return int(given), int(cpu_ns) / 1e9
            except OSError:
                pass  # it has ended meanwhile
        return None

    def rss_kib(self):
        return status_number("/proc/%d/status" % self.pid(), "VmRSS:")

    def page_tables_kib(self):
        return status_number("/proc/%d/status" % self.pid(), "VmPTE:")

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.pid()))

    def stop(self):
        """Failure when it had ended by itself."""
        status = self.child.poll()
        stop(self.child)
        if status is not None:
            raise Failure("%s died with status %d" % (self.name, status))


class Wrk:
    """wrk with one thread under way against a server."""

    def __init__(self, url, connections, seconds):
        self.seconds = seconds
        self.child = start(["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--timeout", "5s", "--script",
                            os.path.join(ROOT, "tools", "wrk_report.lua"), url], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, text=True)

    def sleep(self, part):
        time.sleep(self.seconds * part)

    def report(self):
        """What it printed by wrk_report.lua; waits for it."""
        try:
            output = self.child.communicate(timeout=self.seconds + 30)[0]
        except subprocess.TimeoutExpired:
            stop(self.child)
            raise Failure("wrk did not end in time") from None
        forget(self.child)
        if self.child.returncode != 0 or "\n{" not in output:
            raise Failure("wrk failed with status %d and said: %s" % (self.child.returncode, output))
        report = json.loads(output[output.rindex("\n{"):])
        if report["requests"] == 0:
            raise Failure("the server sent nothing; wrk said: %s" % output)
        return report
