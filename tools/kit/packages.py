# SPDX-License-Identifier: MIT
"""Installing Debian's packages and building the release preset."""
import os
import shutil
import subprocess

from kit.processes import Failure, run_step, say

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "release")
PACKAGES = ["cmake", "ninja-build", "gcc", "libc6-dev", "pkg-config", "libuv1-dev", "libck-dev", "libhttp-parser-dev",
            "libcriterion-dev", "libcurl4-openssl-dev", "libglib2.0-dev", "wrk"]


def is_installed(package):
    status = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True,
                            check=False).stdout
    return status.endswith(" installed")


def install_missing(packages):
    if shutil.which("dpkg-query") is None:
        say("this is no Debian system; these are needed: " + " ".join(packages))
        return
    missing = [package for package in packages if not is_installed(package)]
    if not missing:
        return
    root = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise Failure("these packages are missing; install them as root: apt-get install " + " ".join(missing))
        root = ["sudo"]
    say("installing " + " ".join(missing))
    run_step(root + ["apt-get", "update", "-q"], "reading the list of packages")
    install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends"]
    run_step(root + install + missing, "installing packages")


def install_missing_programs(programs):
    """For programs that are in packages of their names."""
    install_missing([program for program in programs if shutil.which(program) is None])


def build_release(targets):
    """What is installed and measured."""
    say("building " + os.path.relpath(BUILD, ROOT))
    run_step(["cmake", "--preset", "release", "-B", BUILD], "configuring", cwd=ROOT)
    run_step(["cmake", "--build", BUILD, "--target"] + targets, "building", cwd=ROOT)
