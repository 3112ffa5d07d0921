"""Pictures by gnuplot, SVG, beside the JSON: curves where something grows, bars where programs are compared."""
import os
import re
import shutil
import subprocess

from kit.processes import say

from harness import report, stats
from harness.rows import OURS

CURVES = ("connections", "count", "workers")  # the parameter on the x axis, if it has enough values
POINTS_MIN = 3
WIDE = 20  # more than so many times the least value: a logarithmic axis
SETTINGS = """set terminal svg noenhanced size 860,520 font "sans,13" background "white"
set output "%s"
set title "%s"
set grid ytics lc rgb "#dddddd"
set key outside right top
set border 3
set tics nomirror
"""


def file_name(*parts):
    return re.sub(r"[^A-Za-z0-9.]+", "_", "-".join(part for part in parts if part)).strip("_") + ".svg"


def plot(script):
    child = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    if child.returncode != 0:
        say("gnuplot: " + child.stderr.strip()[-500:])


def data_block(name, lines):
    return "$%s << EOD\n%s\nEOD\n" % (name, "\n".join(lines))


def curve(path, title, rows, parameter):
    """A line a program; medians with the whole spread."""
    programs = list(dict.fromkeys(name for row in rows for name in [OURS, *row.values]))
    values = [value for row in rows for series in row.values.values() for value in series]
    axes = "xy" if min(values) > 0 and max(values) > WIDE * min(values) else "x"
    script = SETTINGS % (path, title) + 'set logscale %s\nset xlabel "%s"\nset ylabel "%s"\n' % (axes, parameter, rows[0].unit)
    plots = []
    for index, name in enumerate(programs):
        lines = ["%s %s %s %s" % (row.params[parameter], stats.median(row.values[name]), min(row.values[name]),
                                  max(row.values[name])) for row in rows if name in row.values]
        script += data_block("d%d" % index, lines)
        width = 3 if name == OURS else 1.5
        plots.append("$d%d using 1:2:3:4 with yerrorlines lw %s pt 7 ps 0.5 title '%s'" % (index, width, name))
    plot(script + "plot " + ", ".join(plots) + "\n")


def bars(path, title, rows):
    """A bar a row, its ratio tournant / best peer, with the interval; below 1 tournant is better if lower is."""
    rows = [row for row in rows if row.ratio() is not None]
    if not rows:
        return
    lines = []
    for index, row in enumerate(rows):
        low, high = row.interval() or [row.ratio(), row.ratio()]
        label = " ".join([row.case] + [str(row.params[key]) for key in ("connections", "tasks", "buffer") if key in row.params])
        lines.append('%d %s %s %s "%s"' % (index, row.ratio(), low, high, label))
    plot(SETTINGS % (path, title) + data_block("d", lines) + 'set style fill solid 0.6\nset boxwidth 0.7\nset yrange [0:*<3]\n'
         'set xtics rotate by 40 right\nset bmargin 9\nset xrange [-0.6:*]\nset ylabel "tournant / best peer"\nset nokey\n'
         "plot $d using 1:2:xtic(5) with boxes lc rgb '#4477aa', $d using 1:2:3:4 with yerrorbars lc rgb '#222222' pt 0, "
         "1 lc rgb '#aa3333' dt 2\n")


def group_key(row, parameter):
    return row.case, row.unit, tuple(sorted((key, value) for key, value in row.params.items() if key not in (parameter, "rate")))


def draw(name, rows):
    """All pictures of a report. In micro each case has a unit of its own, and ratios have none: one picture."""
    if shutil.which("gnuplot") is None:
        say("no pictures: gnuplot is missing")
        return
    rows = rows.measured()
    for unit in dict.fromkeys(None if name == "micro" else row.unit for row in rows):
        bars(os.path.join(report.FOLDER, file_name(name, "ratio", unit)), " ".join([name, unit or ""]),
             [row for row in rows if unit in (None, row.unit)])
    for parameter in CURVES:
        groups = {}
        for row in [row for row in rows if parameter in row.params]:
            groups.setdefault(group_key(row, parameter), []).append(row)
        for (case, unit, params), group in groups.items():
            if len({row.params[parameter] for row in group}) >= POINTS_MIN:
                kind = dict(params).get("tasks") or dict(params).get("buffer") or ""
                title = " ".join(part for part in (name, case, kind, unit) if part)
                curve(os.path.join(report.FOLDER, file_name(name, case, kind, unit, parameter)), title,
                      sorted(group, key=lambda row: row.params[parameter]), parameter)
