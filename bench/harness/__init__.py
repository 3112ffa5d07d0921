# SPDX-License-Identifier: MIT
"""The measuring house behind tools/bench; bench/README.md has the method."""
