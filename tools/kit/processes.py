# SPDX-License-Identifier: MIT
"""Processes that we start, and that end when we do, also by a signal. Only those."""
import signal
import subprocess
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

tool = "tool"  # the name in front of messages; main() sets it
children = []  # processes that we started and that may still run
starting = False  # between fork and the entry in `children`: a signal has to wait, or that child would stay behind
signalled = 0


class Failure(Exception):
    """What went wrong and what to do, for the user."""


def say(text):
    print("%s: %s" % (tool, text), file=sys.stderr, flush=True)


def on_signal(number, _):
    global signalled
    signalled = number
    if not starting:
        raise SystemExit(128 + number)


def start(*args, **kwargs):
    global starting
    starting = True
    try:
        child = subprocess.Popen(*args, **kwargs)
        children.append(child)
    finally:
        starting = False
    if signalled:
        raise SystemExit(128 + signalled)
    return child


def forget(child):
    """It has ended by itself."""
    if child in children:
        children.remove(child)


def stop(child):
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(3)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    forget(child)


def run_step(args, what, **kwargs):
    """A command whose output is shown as progress."""
    child = start(args, stdin=subprocess.DEVNULL, stdout=sys.stderr, **kwargs)
    status = child.wait()
    forget(child)
    if status != 0:
        raise Failure("%s failed with status %d: %s" % (what, status, " ".join(args)))


def output_of(args, timeout_s, what=None, **kwargs):
    """What a command prints on stdout. Failure when it fails; its stderr is then shown."""
    child = start(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    try:
        out, err = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        stop(child)
        raise Failure("%s did not end within %d s" % (what or " ".join(args), timeout_s)) from None
    forget(child)
    if child.returncode != 0:
        raise Failure("%s ended with status %d: %s" % (what or " ".join(args), child.returncode, err.strip()[-2000:]))
    return out


def main(name, program):
    """Runs `program()`, then ends what it has left running; returns the exit status."""
    global tool
    tool = name
    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        program()
    except Failure as failure:
        say(str(failure))
        return 1
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # this takes a moment and has to be done
        for child in list(children):
            stop(child)
    return 0
