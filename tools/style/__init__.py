# SPDX-License-Identifier: MIT
"""The rules of tools/check_style.py: a module for each subject, with its rules' names (RULES) and check(tree, report)."""
