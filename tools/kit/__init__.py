# SPDX-License-Identifier: MIT
"""What tools/demo and tools/bench share: processes that end with us, packages and builds, servers under load."""
