# SPDX-License-Identifier: MIT
"""Which pictures a report gets: SVG beside its JSON. They are drawn from the JSON alone, so `tools/bench draw FILE…` draws them
again. drawing.py does the drawing."""
import glob
import json
import math
import os
import re

from kit.processes import Failure, say

from harness import machine, stats, words
from harness.rows import OURS, distribution_from_json, row_from_json

CURVES = ("connections", "count", "workers")  # the parameter on the x axis, if it has enough values
POINTS_MIN = 3
ALWAYS_SHOWN = ("connections", "tasks", "buffer", "count")  # parameters; others only where they tell two lines apart, but
NEVER_SHOWN = ("rate",)  # which follows from the connections
NOT_DRAWN = ("generator_lag_p99_us", "monitor_wakes/s", "monitor_cpu_%", "wakes/batch", "cpu of 16 / of 1", "% of the file",
             "answered/asked", "rss_kib")
PERCENTILES_SHOWN = [100 - 10 ** (2 - step / 20) for step in range(0, 101)]  # 0 to 99.999
FREQUENT_MIN = 0.01  # a count per operation below this is not compared
SAMPLES_BEYOND = 10  # a percentile with fewer times beyond it is an accident
NOTES = {"ms beyond 3 s": "time beyond 3 s", "bytes/task": "memory"}  # of units that the words of the case do not imply


def file_name(*parts):
    return re.sub(r"[^A-Za-z0-9.]+", "_", "_".join(part for part in parts if part)).strip("_") + ".svg"


# --- Text ---------------------------------------------------------------------------------------------------------------------


def rounds_of(rows):
    counts = sorted({len(values) for row in rows for values in row.values.values()})
    if len(counts) > 1:
        return "%d to %d rounds" % (counts[0], counts[-1])
    return "%d round%s" % (counts[0], "" if counts[0] == 1 else "s")


def footer(document, rounds):
    about = document["machine"]
    return "\n".join([machine.one_line(about),
                      "%s; %s; load average %.1f at the start, %.1f at the end, other programs included"
                      % (about["system"], rounds, about["load_at_start"][0], about["load_at_end"][0]),
                      "tournant %s, %s; %s" % (document["commit"], about["date"],
                                               "; ".join(about[key] for key in ("gcc", "rustc", "go") if about.get(key)))])


def shown_params(row, rows):
    """The parameters that tell the row from others of its case, and those that always say what it is."""
    family = [other for other in rows if other.case == row.case]
    return {key: value for key, value in row.params.items()
            if key not in NEVER_SHOWN and (key in ALWAYS_SHOWN or len({other.params.get(key) for other in family}) > 1)}


def line_text(row, rows):
    parts = [words.case(row.case), *[words.param(key, value) for key, value in shown_params(row, rows).items()]]
    unit = getattr(row, "unit", None)
    parts += [text for text in (words.PERCENTILES.get(unit), NOTES.get(unit)) if text]
    return ", ".join(parts)


# --- A line per case ----------------------------------------------------------------------------------------------------------


def ratio_marks(row, drawing):
    """None for a peer where the ratio means nothing: 0 to 0, or a time below 0."""
    marks = []
    for peer in row.peers():
        ratio = row.ratio(peer)
        if ratio is None and stats.median(row.values[peer]) == 0 and stats.median(row.values[OURS]) > 0:
            ratio = math.inf
        if ratio is not None:
            low, high = row.interval(peer) or (ratio, ratio)
            marks.append(drawing.Mark(peer, ratio, low, high))
    return marks


def ratio_frame(drawing, document, title, rows):
    note = "A mark is one peer: the median of tournant divided by the median of the peer. "
    spread = any(row.interval() for row in rows)
    note += "Its line is the 95 % interval of that ratio." if spread else "One round, so no interval."
    note += "\nAn arrow at the edge: beyond the axis."
    return drawing.Frame(title + ", tournant compared with each peer", note, footer(document, rounds_of(rows)))


def ratio_lines(row_list, rows, drawing):
    lines = [drawing.Line(line_text(row, rows), row.case, ratio_marks(row, drawing)) for row in row_list]
    return [line for line in lines if line.marks]


def ratio_picture(drawing, document, title, rows):
    lines = ratio_lines(rows, rows, drawing)
    if not lines:
        return None
    panel = drawing.Panel("", drawing.Axis("tournant / peer (1/2: tournant has half of what the peer has)", None), lines)
    return drawing.ratios(ratio_frame(drawing, document, title, rows), [panel], rows[0].better)


def value_marks(row, drawing):
    factor = words.time_unit(row.unit) or 1
    return [drawing.Mark(name, stats.median(values) * factor, min(values) * factor, max(values) * factor)
            for name, values in row.values.items()]


def value_axis(drawing, rows):
    unit = rows[0].unit
    return drawing.Axis(words.axis(unit), drawing.time_text if words.time_unit(unit) else drawing.plain)


def better_text(row):
    return "Less is better." if row.better == "lower" else "More is better."


def value_picture(drawing, document, title, rows, axis=None):
    lines = [drawing.Line(line_text(row, rows), row.case, value_marks(row, drawing)) for row in rows]
    frame = drawing.Frame(title, "A mark is the median of the rounds; its line reaches from the smallest to the largest. "
                          + better_text(rows[0]), footer(document, rounds_of(rows)))
    return drawing.values(frame, [drawing.Panel("", axis or value_axis(drawing, rows), lines)])


# --- Curves -------------------------------------------------------------------------------------------------------------------


def curve_groups(rows, parameter):
    """Rows that differ in this parameter alone, and are enough for a curve."""
    groups = {}
    for row in rows:
        if parameter in row.params:
            others = tuple(sorted((key, value) for key, value in row.params.items() if key not in (parameter, "rate")))
            groups.setdefault((row.case, row.unit, others), []).append(row)
    return [group for group in groups.values() if len({row.params[parameter] for row in group}) >= POINTS_MIN]


def curve_picture(drawing, document, title, rows, parameter):
    series = {}
    for row in rows:
        for mark in value_marks(row, drawing):
            series.setdefault(mark.program, []).append((row.params[parameter], mark.value, mark.low, mark.high))
    kind = [words.param(key, value) for key, value in rows[0].params.items() if key not in (parameter, "rate")]
    frame = drawing.Frame(title, "%s. Medians; the bars reach from the smallest round to the largest. %s"
                          % (", ".join([words.case(rows[0].case), *kind]).capitalize(), better_text(rows[0])),
                          footer(document, rounds_of(rows)))
    return drawing.curves(frame, words.AXES[parameter], value_axis(drawing, rows), series)


# --- Percentile curves --------------------------------------------------------------------------------------------------------


def percentile_series(histograms):
    """[(percent, median, smallest, largest of the rounds)], as far as each round has times beyond the percentile."""
    fewest = min(sum(count for _, count in histogram) for histogram in histograms)
    series = []
    for percent in PERCENTILES_SHOWN:
        if fewest * (1 - percent / 100) >= SAMPLES_BEYOND:
            values = [stats.histogram_percentile(histogram, percent) for histogram in histograms]
            series.append((percent, stats.median(values), min(values), max(values)))
    return series


def generator_lag_ns(distribution, rows):
    """How late the load generator was (p99): the median over all programs and rounds."""
    lags = [value for row in rows if (row.case, row.unit, row.params) == (distribution.case, "generator_lag_p99_us",
                                                                         distribution.params)
            for values in row.values.values() for value in values]
    return stats.median(lags) * 1e3 if lags else None


def percentile_picture(drawing, document, title, y_label, distributions, rows):
    loads = []
    for spread in distributions:
        series = {name: found for name, histograms in spread.values.items() for found in [percentile_series(histograms)] if found}
        if series:
            text = [words.param(key, value) for key, value in spread.params.items() if key in ("connections", "rate")]
            loads.append(drawing.Load("\n".join([words.case(spread.case), ", ".join(text)]).strip(), series,
                                        generator_lag_ns(spread, rows)))
    if not loads:
        return None
    columns = next(columns for columns in (3, 2, 1) if len(loads) % columns == 0)
    note = ("Lower is better. Line: median of the rounds; shade: smallest to largest. It ends where a round has fewer than "
            "%d times beyond." % SAMPLES_BEYOND)
    if any(load.floor for load in loads):
        note += "\nDotted: how late the load generator was itself (p99); a p99 below it says nothing about the server."
    return drawing.percentiles(drawing.Frame(title, note, footer(document, rounds_of(distributions))), loads, columns, y_label)


# --- All of a report ----------------------------------------------------------------------------------------------------------


def micro_pictures(drawing, document, rows):
    """Each case has a unit of its own: ratios are in one picture, and so are times."""
    spread = tuple(found["case"] for found in document["distributions"])  # they have a picture of their own
    times = [row for row in rows if words.time_unit(row.unit) and not row.case.startswith(spread)]
    axis = drawing.Axis("time per operation, unit at each tick", drawing.time_text)
    yield "ratios", ratio_picture(drawing, document, "Time of single operations", rows)
    for name, title, chosen in (("times", "Time of single operations", [row for row in times if row.peers()]),
                                ("alone", "Time of operations that no peer has", [row for row in times if not row.peers()])):
        if chosen:
            yield name, value_picture(drawing, document, title, chosen, axis)


def frequent(row):
    """On one side at least, so that the ratio is one of operations and not of beginnings and ends."""
    return max(stats.median(values) for values in row.values.values()) >= FREQUENT_MIN


def instruction_pictures(drawing, document, rows):
    """A panel per figure; all panels have the same lines, a line per case."""
    figures = [figure for figure in words.COUNTED if any(row.unit.startswith(figure + "/") for row in rows)]
    lines = {}
    for row in rows:
        lines.setdefault((line_text(row, rows), row.case), {})[row.unit.split("/")[0]] = row

    def panel(figure, axis, marks):
        return drawing.Panel(words.COUNTED[figure], axis, [
            drawing.Line(text, case, marks(found[figure]) if figure in found else []) for (text, case), found in lines.items()])

    def marks_of_ratio(row):
        return ratio_marks(row, drawing) if frequent(row) else []

    def marks_of_value(row):
        return value_marks(row, drawing)

    title = "Instructions and calls per operation and per HTTP request"
    if any(row.peers() for row in rows):
        frame = ratio_frame(drawing, document, title, rows)
        frame = frame._replace(note=frame.note + " No mark: fewer than %g per operation on both sides." % FREQUENT_MIN)
        axis = drawing.Axis("tournant / peer", None)
        yield "ratios", drawing.ratios(frame, [panel(figure, axis, marks_of_ratio) for figure in figures], "lower")
    note = "Less is better. Counted under callgrind: no figure depends on the speed of the machine."
    axis = drawing.Axis("number per operation", drawing.plain)
    yield "counts", drawing.values(drawing.Frame(title, note, footer(document, rounds_of(rows))),
                                   [panel(figure, axis, marks_of_value) for figure in figures])


def is_spread(row, document):
    """A percentile of a distribution, which is drawn whole."""
    return row.unit in words.PERCENTILES and row.case in [found["case"] for found in document["distributions"]]


def curve_name(subject, row, parameter):
    kind = [row.params[key] for key in ("tasks", "buffer") if key in row.params]
    percentile = [words.PERCENTILES[row.unit]] if row.unit in words.PERCENTILES else []
    case = [] if subject == words.case(row.case) else [row.case]
    return " ".join([subject, *case, *kind, *percentile, parameter])


def unit_pictures(drawing, document, rows, area):
    """A picture per figure: curves where a parameter grows, otherwise marks; and the ratios."""
    groups = {}
    for row in rows:
        groups.setdefault(words.subject(row.case, row.unit), []).append(row)
    for subject, group in groups.items():
        title = "%s: %s" % (words.AREAS.get(area, area), subject)
        yield subject + " ratios", ratio_picture(drawing, document, title, group)
        alone = [row for row in group if not is_spread(row, document)]
        found = {parameter: curve_groups(alone, parameter) for parameter in CURVES}
        for parameter, parts in found.items():
            for part in parts:
                yield curve_name(subject, part[0], parameter), curve_picture(drawing, document, title, part, parameter)
        if alone and not any(found.values()):
            yield subject, value_picture(drawing, document, title, alone)


def area_pictures(drawing, name, document, rows):
    if name == "micro":
        return micro_pictures(drawing, document, rows)
    if name == "instructions":
        return instruction_pictures(drawing, document, rows)
    return unit_pictures(drawing, document, rows, name)


def pictures_of(drawing, name, document):
    """(name, figure) of each."""
    rows = [row_from_json(row) for row in document["rows"]]
    distributions = [distribution_from_json(found) for found in document["distributions"]]
    drawn = [row for row in rows if row.unit not in NOT_DRAWN]
    yield from area_pictures(drawing, name, document, drawn)
    if distributions:
        title, y_label = words.LATENCIES.get(name, (words.AREAS.get(name, name) + ": latency", "latency"))
        yield "percentiles", percentile_picture(drawing, document, title, y_label, distributions, rows)


def draw(name, document, folder):
    """All pictures of a report into `folder`; those of an earlier one go."""
    try:
        from harness import drawing
    except ImportError as problem:
        say("no pictures: %s (Debian: python3-matplotlib)" % problem)
        return
    for old in glob.glob(os.path.join(folder, name + "_*.svg")):
        os.remove(old)
    for title, figure in pictures_of(drawing, name, document):
        if figure is not None:
            figure.savefig(os.path.join(folder, file_name(name, title.lower())))


def draw_file(path):
    try:
        with open(path) as file:
            document = json.load(file)
    except (OSError, ValueError) as problem:
        raise Failure("%s: %s" % (path, problem)) from None
    if not isinstance(document, dict) or not {"machine", "commit", "rows", "distributions"} <= set(document):
        raise Failure("%s is no report of this version of tools/bench" % path)
    draw(os.path.splitext(os.path.basename(path))[0], document, os.path.dirname(os.path.abspath(path)))
