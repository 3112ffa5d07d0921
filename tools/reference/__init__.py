# SPDX-License-Identifier: MIT
"""The reference that tools/docs builds: Doxygen's input from our comments, man pages from Doxygen's XML, the check of both."""
