"""What was measured, on what, and how busy it was."""
import os
import platform
import subprocess
import time

from kit.packages import ROOT


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def processor():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def governor():
    try:
        with open("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") as file:
            return file.read().strip()
    except OSError:
        return None  # a virtual machine, as a rule


def memory_gib():
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def describe():
    """The load at the end is added by finish()."""
    system = os.uname()
    return {"date": time.strftime("%Y-%m-%d %H:%M:%S%z"), "processor": processor(), "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": memory_gib(), "system": "%s %s %s" % (system.sysname, system.release, system.machine),
            "governor": governor(), "python": platform.python_version(), "gcc": first_line(["gcc", "--version"]),
            "rustc": first_line(["/usr/bin/rustc", "--version"]), "go": first_line(["go", "version"]),
            "load_at_start": list(os.getloadavg())}


def finish(machine):
    return dict(machine, load_at_end=list(os.getloadavg()))


def commit():
    try:
        return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
