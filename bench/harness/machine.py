# SPDX-License-Identifier: MIT
"""What was measured, on what, and how busy it was."""
import os
import platform
import subprocess
import time

from kit.packages import ROOT

from harness import stats

# Lines of /proc/cpuinfo: of x86, then of Arm.
NUMBERS = {"cpu family": "family", "model": "model", "CPU implementer": "implementer", "CPU part": "part"}


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def processor(path="/proc/cpuinfo"):
    """Its name and, because virtual machines give many models one name, its numbers."""
    fields = {}
    with open(path) as info:
        for line in info:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    numbers = ["%s %s" % (word, fields[key]) for key, word in NUMBERS.items() if fields.get(key)]
    return fields.get("model name", "unknown") + (" (%s)" % ", ".join(numbers) if numbers else "")


def governor():
    try:
        with open("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") as file:
            return file.read().strip()
    except OSError:
        return None  # a virtual machine, as a rule


def memory_gib():
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def describe(switch_loop, peers=None):
    """The load at the end is added by finish(). `switch_loop`: see programs.switch_loop(); `peers`: programs.versions()."""
    system = os.uname()
    return {"date": time.strftime("%Y-%m-%d %H:%M:%S%z"), "processor": processor(), "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": memory_gib(), "system": "%s %s %s" % (system.sysname, system.release, system.machine),
            "governor": governor(), "python": platform.python_version(), "gcc": first_line(["gcc", "--version"]),
            "rustc": first_line(["/usr/bin/rustc", "--version"]), "go": first_line(["go", "version"]),
            "peers": peers or {}, "switch_loop_ns": {"start": switch_loop}, "load_at_start": list(os.getloadavg())}


def finish(machine, switch_loop):
    gauge = dict(machine["switch_loop_ns"], end=switch_loop)
    return dict(machine, switch_loop_ns=gauge, load_at_end=list(os.getloadavg()))


def one_line(machine):
    """What stands beside each table and below each picture."""
    gauge = machine["switch_loop_ns"]
    parts = ["%s %.2f ns (%.2f-%.2f)" % (when, stats.median(gauge[when]), min(gauge[when]), max(gauge[when]))
             for when in ("start", "end") if gauge.get(when)]
    peers = "".join("; %s %s" % (name, version) for name, version in machine.get("peers", {}).items())
    return "%s, %d processors; switch_loop (a context switch without a scheduler) at the %s%s" % (
        machine["processor"], machine["cpus"], ", at the ".join(parts), peers)


def commit():
    try:
        return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
