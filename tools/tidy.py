# SPDX-License-Identifier: MIT
"""Runs clang-tidy over the library, the examples and the benchmarks (.clang-tidy says which checks). Prints the findings; the
last line is `N passed, N failed`: files without and with a finding.

Its analyzer follows the states of a function up to `--states`. 10,000 take a tenth of the time of clang's own 225,000."""
import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from kit.packages import PACKAGES, ROOT, install_missing

BUILD = os.path.join(ROOT, "build", "dev-clang")
FOLDERS = re.compile(r"(runtime|blocking_pool|sync|net|examples|bench)/.*\.c")


def sources():
    """A file that is compiled twice, for the library and for the simulator, is named once and read as part of the library."""
    with open(os.path.join(BUILD, "compile_commands.json")) as file:
        entries = {os.path.relpath(entry["file"], ROOT): entry for entry in reversed(json.load(file))}
    entries = {name: entry for name, entry in sorted(entries.items()) if FOLDERS.fullmatch(name)}
    folder = os.path.join(ROOT, "build", "tidy")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "compile_commands.json"), "w") as file:
        json.dump(list(entries.values()), file)
    return folder, list(entries)


def check(folder, name, states):
    options = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={states}")]
    done = subprocess.run(["clang-tidy", "-quiet", "-p", folder, *options, os.path.join(ROOT, name)], capture_output=True,
                          text=True, check=False)
    return name, done.returncode, done.stdout.strip() or done.stderr.strip()


def main():
    parser = argparse.ArgumentParser(prog="tools/tidy", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=225_000, metavar="N",
                        help="how many states of a function the analyzer follows (%(default)s)")
    parser.add_argument("files", nargs="*", help="only these, as paths from the root (default: all)")
    arguments = parser.parse_args()
    install_missing(PACKAGES + ["clang", "clang-tidy"])
    subprocess.run(["cmake", "--preset", "dev-clang"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    folder, names = sources()
    unknown = set(arguments.files) - set(names)
    if unknown or not names:
        sys.exit(f"tools/tidy: not compiled: {', '.join(sorted(unknown)) or 'nothing'}")
    failed = 0
    names = arguments.files or names
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in as_completed([pool.submit(check, folder, name, arguments.states) for name in names]):
            name, status, output = done.result()
            failed += status != 0
            if status != 0:
                print(f"{name}:\n{output}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
