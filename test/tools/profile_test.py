# SPDX-License-Identifier: MIT
"""profile_test.py CMAKE BUILD: tools/profile as it is installed, tn-profile. perf and flamegraph.pl are small stand-ins, because
the machine may have neither, and perf may not be allowed."""
import os
import subprocess
import sys
import tempfile
import time

PERF = """#!/bin/bash
case $1 in
--exec-path) echo "$STANDINS" ;;
record) while [ "$1" != --output ]; do shift; done
    date +%s.%N >"$2"
    while [ "$1" != -- ]; do shift; done
    shift
    "$@" ;;
script) echo "main;inner 7" ;;
esac
"""
STARTS_WITHIN_S = 1.0   # on an idle machine
SLACK_S = 15.0          # a loaded one


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)


def run(command, env, folder, status=0):
    ended = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status, (command, ended)
    return ended.stdout + ended.stderr


def main():
    cmake, build = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        prefix, standins, work = (os.path.join(folder, name) for name in ("prefix", "standins", "work"))
        os.mkdir(work)
        subprocess.run([cmake, "--install", build, "--prefix", prefix, "--component", "Tools"], check=True, capture_output=True)
        program = os.path.join(prefix, "bin", "tn-profile")
        assert os.access(program, os.X_OK), os.listdir(prefix)
        write(os.path.join(standins, "perf"), PERF)
        write(os.path.join(standins, "scripts", "python", "stackcollapse.py"), "")
        write(os.path.join(standins, "flamegraph.pl"), "print '<svg>', <>, '</svg>';\n")
        env = dict(os.environ, PATH=standins + ":" + os.environ["PATH"], STANDINS=standins,
                   FLAMEGRAPH=os.path.join(standins, "flamegraph.pl"))

        said = run([program, "--help"], env, work)
        assert said.startswith("usage: tn-profile ") and "tools/profile" not in said, said
        began = time.time()
        said = run([program, "--name", "it", "true"], env, work)
        assert "profile: 7 samples" in said, said
        with open(os.path.join(work, "it.perf.data"), encoding="utf-8") as file:
            took = float(file.read()) - began
        print("it records after %.2f s" % took)
        assert took < STARTS_WITHIN_S + SLACK_S, took
        with open(os.path.join(work, "it.svg"), encoding="utf-8") as file:
            assert "main;inner 7" in file.read()
        run([program, "--output", "there", "--name", "other", "true"], env, work)
        assert os.path.exists(os.path.join(work, "there", "other.folded"))

        # It installs no packages by itself: it names them.
        said = run([program, "true"], dict(env, FLAMEGRAPH="/nonexistent"), work, 1)
        assert "libdevel-nytprof-perl" in said, said


main()
