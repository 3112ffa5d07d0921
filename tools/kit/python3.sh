# SPDX-License-Identifier: MIT
# Sourced by the stubs of tools that are written in Python: installs python3 if it is missing.
if ! command -v python3 >/dev/null; then
    root=()
    ((EUID == 0)) || root=(sudo)
    echo "installing python3" >&2
    "${root[@]}" apt-get update -q >&2
    "${root[@]}" apt-get install -q -y --no-install-recommends python3 >&2
fi
