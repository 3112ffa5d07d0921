#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""must_report.py REPORT PROGRAM [ARGUMENT...]: passes when PROGRAM fails and its output has the text REPORT."""

import subprocess
import sys


def main():
    report, command = sys.argv[1], sys.argv[2:]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    failed, reported = done.returncode != 0, report in done.stdout
    print(f"exit status {done.returncode}; {report!r} {'reported' if reported else 'NOT reported'}")
    if failed and reported:
        return 0
    # Not the whole output: ctest looks for reports in what it shows.
    print(done.stdout[-3000:])
    return 1


if __name__ == "__main__":
    sys.exit(main())
