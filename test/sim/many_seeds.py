# SPDX-License-Identifier: MIT
"""many_seeds.py BUILD SEEDS: all tests of the simulated machine with so many seeds. BUILD: the build folder of the preset
`dev`, which is brought up to date. The last line is `N passed, N failed`."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from kit import rebuild  # noqa: E402


def main():
    build, seeds = sys.argv[1:]
    rebuild.make(build)
    listed = subprocess.run(["ctest", "--show-only=json-v1", "-L", "sim"], cwd=build, capture_output=True, text=True, check=True)
    passed = failed = 0
    for test in json.loads(listed.stdout)["tests"]:
        line = test["command"]
        if "--seeds" not in line:
            continue
        line[line.index("--seeds") + 1] = seeds
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        passed += done.returncode == 0
        failed += done.returncode != 0
        print("passed" if done.returncode == 0 else "FAILED", os.path.basename(line[0]), flush=True)
        if done.returncode != 0:
            print(done.stdout, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
