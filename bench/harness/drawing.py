# SPDX-License-Identifier: MIT
"""Figures by matplotlib: marks on a line per case, curves, percentile curves. Each has a title, axes with units, a legend, and
the machine at its foot. pictures.py decides what is drawn."""
import collections
import math

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from harness import words
from harness.rows import OURS

# Okabe and Ito's colours, which colour-blind readers tell apart; the markers say the same.
STYLES = {"tournant": ("#d55e00", "o"), "tokio": ("#0072b2", "s"), "go": ("#56b4e9", "^"), "threads": ("#009e73", "D"),
          "epoll": ("#cc79a7", "v"), "epoll_1": ("#7f5a6b", "p"), "libuv": ("#8c6d31", "h"), "go_barging": ("#88a8bb", "X"),
          "threads_barging": ("#7fb8a5", "X")}
OTHER_STYLE = ("#555555", "*")
GREY = "#666666"
PALE = "#f2f2f2"
GRID = "#dddddd"
TITLE = "title"
CLIPPED = "clipped"  # the id of a mark that does not lie where its value is

# Inches.
WIDTH = 9.6             # of the smallest picture
MARGIN = 0.2
HEAD, FOOT = 1.3, 1.25  # above and below the axes
LINE_HEIGHT = 0.36      # at least
MARK_HEIGHT = 0.14      # of each mark of a line
LETTER = 0.073          # of the text beside a line, per character
TITLE_LETTER = 0.118
NAME_LETTER = 0.066     # of the name of its case
CURVE_HEIGHT = 4.8     # of curves
PANEL_HEIGHT = 2.5      # of percentile curves
AXES_WIDTH = 4.8
NARROW = 2.2            # of one of several panels
GAP = 0.25

RATIO_MAX = 32          # a ratio beyond it, or below its inverse, is drawn at the edge and marked
RATIO_MIN = 4           # the axis of ratios reaches from the inverse of this to this at least
WIDE = 20               # if the largest value is this many times the smallest, the axis is logarithmic
FEW_DECADES = 300        # a logarithmic axis that reaches less far has ticks between the powers of ten
TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns"))
NINES = (0, 50, 90, 99, 99.9, 99.99, 99.999)

Mark = collections.namedtuple("Mark", "program value low high")  # a value and its spread
Line = collections.namedtuple("Line", "text case marks")         # in words; as tools/bench calls the case
Panel = collections.namedtuple("Panel", "title axis lines")      # lines on one axis; all panels of a picture have the same texts
Frame = collections.namedtuple("Frame", "title note footer")     # around the axes; `note`: what marks and lines are
Axis = collections.namedtuple("Axis", "label ticks")             # `ticks`: a function from a value to its text


def style(program):
    return STYLES.get(program, OTHER_STYLE)


def plain(value, _=None):
    return "{:,.0f}".format(value) if abs(value) >= 100 or value == int(value) else "%.3g" % value


def time_text(ns, _=None):
    if ns == 0:
        return "0"
    size, unit = next(((size, unit) for size, unit in TIMES if abs(ns) >= size), TIMES[-1])
    return "%s %s" % (plain(ns / size), unit)


def ratio_text(value, _=None):
    return "equal" if value == 1 else "%g×" % value if value > 1 else "1/%g" % (1 / value)


def in_order(programs):
    known = list(STYLES)
    return sorted(set(programs), key=lambda name: (known.index(name) if name in known else len(known), name))


# --- Frame --------------------------------------------------------------------------------------------------------------------


def handle(program, line):
    colour, marker = style(program)
    return Line2D([], [], color=colour, marker=None if line else marker, linestyle="-" if line else "", markersize=8,
                  linewidth=3 if program == OURS else 1.8, label=words.program(program))


def framed(frame, width, height, programs, lines=False):
    """An empty figure with title, note, legend and footer. `lines`: programs are told apart by lines, not by marks."""
    figure = Figure(figsize=(width, height), facecolor="white")
    left = MARGIN / width
    figure.text(left, 1 - 0.15 / height, frame.title, fontsize=14, fontweight="bold", va="top", gid=TITLE)
    figure.text(left, 1 - 0.45 / height, frame.note, fontsize=9, color=GREY, va="top")
    figure.text(left, 0.1 / height, frame.footer, fontsize=7.5, color=GREY, va="bottom", linespacing=1.4)
    figure.legend(handles=[handle(program, lines) for program in programs], loc="upper left", frameon=False, fontsize=9.5,
                  bbox_to_anchor=(left / 2, 1 - 0.75 / height), ncol=len(programs), handletextpad=0.4, columnspacing=1.4)
    return figure


def place(figure, left, bottom, width, height):
    """Axes at inches from the lower left corner."""
    all_width, all_height = figure.get_size_inches()
    axes = figure.add_axes([left / all_width, bottom / all_height, width / all_width, height / all_height])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def set_ticks(axis, values, text):
    axis.set_major_locator(FixedLocator(values))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(text))


def log_ticks(low, high):
    """Powers of ten; if they are few, also twice and five times those."""
    powers = [10.0 ** power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    steps = (1,) if high > FEW_DECADES * low else (1, 2, 5)
    return [power * step for power in powers for step in steps if low <= power * step <= high]


def scale_values(axes, which, values, text):
    """A logarithmic axis if the values lie far apart, otherwise a linear one from 0."""
    axis, set_scale, set_limits = ((axes.xaxis, axes.set_xscale, axes.set_xlim) if which == "x" else
                                   (axes.yaxis, axes.set_yscale, axes.set_ylim))
    if min(values) > 0 and max(values) > WIDE * min(values):
        set_scale("log")
        low, high = min(values) / 1.6, max(values) * 1.6
        set_ticks(axis, log_ticks(low, high), text)
        set_limits(low, high)
    else:
        set_limits(min(0, min(values) * 1.1), max(max(values) * 1.1, 1e-9))
        axis.set_major_formatter(FuncFormatter(text))


# --- A line per case ----------------------------------------------------------------------------------------------------------


def ratio_limits(lines):
    """Powers of two around all ratios: at least 1 / RATIO_MIN to RATIO_MIN, at most 1 / RATIO_MAX to RATIO_MAX."""
    found = [value for line in lines for mark in line.marks for value in (mark.value, mark.low, mark.high)
             if 0 < value < math.inf]
    low = max(min([1 / RATIO_MIN] + found), 1 / RATIO_MAX)
    high = min(max([RATIO_MIN] + found), RATIO_MAX)
    return 2.0 ** math.floor(math.log2(low)), 2.0 ** math.ceil(math.log2(high))


def draw_mark(axes, mark, y, limits):
    """A value and its spread. What lies beyond the limits is an arrow at the edge; if it is the value, with its number."""
    colour, marker = style(mark.program)
    low, high = limits
    axes.plot([min(max(end, low), high) for end in (mark.low, mark.high)], [y, y], color=colour, linewidth=1.8, alpha=0.7)
    for beyond, edge, arrow in ((mark.low < low, low, CARETLEFTBASE), (mark.high > high, high, CARETRIGHTBASE)):
        if beyond:
            axes.plot([edge], [y], marker=arrow, color=colour, markersize=6, linestyle="", zorder=3, clip_on=False)
    if low <= mark.value <= high:
        axes.plot([mark.value], [y], marker=marker, color=colour, markersize=8 if mark.program == OURS else 7, linestyle="",
                  markeredgecolor="white", markeredgewidth=0.6, zorder=3, clip_on=False)
        return
    edge, side, gap = (low, "left", 9) if mark.value < low else (high, "right", -9)
    axes.annotate("%s at %s" % (words.program(mark.program), clipped_text(mark.value)), (edge, y), xytext=(gap, 0), fontsize=7.5,
                  va="center", textcoords="offset points", ha=side, color=colour, gid=CLIPPED, zorder=4,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def clipped_text(ratio):
    if ratio in (0, math.inf):
        return "0" if ratio == 0 else "∞"
    return "1/%.0f" % (1 / ratio) if ratio < 1 else "%.0f×" % ratio


def bands_of(panels):
    """Top and bottom of each line, in inches from the top: its marks lie one below the other in each panel."""
    bands, top = [], 0
    for same in zip(*[panel.lines for panel in panels]):
        bottom = top + max(LINE_HEIGHT, MARK_HEIGHT * max(len(line.marks) for line in same) + 0.05)
        bands.append((top, bottom))
        top = bottom
    return bands


def draw_lines(axes, lines, limits, bands):
    """The y axis is in inches."""
    for index, (line, (top, bottom)) in enumerate(zip(lines, bands)):
        if index % 2:
            axes.axhspan(top, bottom, color=PALE, zorder=0.1, linewidth=0)
        programs = in_order(mark.program for mark in line.marks)
        first = (top + bottom - MARK_HEIGHT * (len(programs) - 1)) / 2
        for mark in line.marks:
            draw_mark(axes, mark, first + MARK_HEIGHT * programs.index(mark.program), limits)
    axes.set_ylim(bands[-1][1], 0)
    axes.set_yticks([])
    axes.tick_params(labelsize=8.5)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def line_figure(frame, panels):
    """The figure and the axes of each panel. The text of the lines is on the left, the names of their cases on the right."""
    lines, bands = panels[0].lines, bands_of(panels)
    programs = in_order(mark.program for panel in panels for line in panel.lines for mark in line.marks)
    left = MARGIN + LETTER * max(len(line.text) for line in lines) + 0.15
    right = MARGIN + NAME_LETTER * max(len(line.case) for line in lines) + 0.1
    height = bands[-1][1]
    inner, top = (AXES_WIDTH, 0) if len(panels) == 1 else (NARROW, 0.25)  # `top`: the titles of panels
    width = max(left + len(panels) * (inner + GAP) - GAP + right, MARGIN + TITLE_LETTER * len(frame.title), WIDTH)
    figure = framed(frame, width, HEAD + top + height + FOOT, programs)
    axes = [place(figure, left + index * (inner + GAP), FOOT, inner, height) for index in range(len(panels))]
    for line, (upper, lower) in zip(lines, bands):
        middle = (upper + lower) / 2
        axes[0].annotate(line.text, (0, middle), xycoords=axes[0].get_yaxis_transform(), xytext=(-9, 0), ha="right", va="center",
                         textcoords="offset points", fontsize=9)
        axes[-1].annotate(line.case, (1, middle), xycoords=axes[-1].get_yaxis_transform(), xytext=(12, 0), va="center",
                          textcoords="offset points", family="monospace", fontsize=7.5, color=GREY)
    return figure, axes


def draw_ratio_axis(axes, limits, better, narrow):
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    low, high = [int(math.log2(limit)) for limit in limits]
    step = 2 if narrow else 1
    set_ticks(axes.xaxis, [2.0 ** power for power in range(low, high + 1) if power % step == 0], ratio_text)
    axes.axvline(1, color="black", linewidth=1.2)
    good = (limits[0], 1) if better == "lower" else (1, limits[1])
    axes.axvspan(*good, color=style(OURS)[0], alpha=0.08, linewidth=0, zorder=0.5)


def ratios(frame, panels, better):
    """A mark per peer: tournant's value divided by the peer's, on a logarithmic axis. `better`: which side of 1 is good for
    tournant, "lower" or "higher"."""
    figure, all_axes = line_figure(frame, panels)
    limits = ratio_limits([line for panel in panels for line in panel.lines])
    narrow = len(panels) > 1
    sides = ["tournant better", "peer better"] if narrow else ["tournant is better", "the peer is better"]
    if better == "higher":
        sides.reverse()
    for axes, panel in zip(all_axes, panels):
        draw_ratio_axis(axes, limits, better, narrow)
        draw_lines(axes, panel.lines, limits, bands_of(panels))
        axes.set_title(panel.title, fontsize=10, pad=18)
        for x, side, text in ((0, "left", "← " + sides[0]), (1, "right", sides[1] + " →")):
            axes.annotate(text, (x, 1), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", ha=side, va="bottom",
                          fontsize=7 if narrow else 8.5, fontweight="bold", color="#333333")
        axes.set_xlabel(panel.axis.label + ", log scale", fontsize=9.5)
    return figure


def values(frame, panels):
    """A mark per program, its median; the line is the spread."""
    figure, all_axes = line_figure(frame, panels)
    for axes, panel in zip(all_axes, panels):
        found = [value for line in panel.lines for mark in line.marks for value in (mark.value, mark.low, mark.high)]
        scale_values(axes, "x", found, panel.axis.ticks)
        draw_lines(axes, panel.lines, axes.get_xlim(), bands_of(panels))
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.axis.label + log_note(axes.get_xscale()), fontsize=9.5)
    return figure


def log_note(scale):
    return ", log scale" if scale == "log" else ""


# --- Curves -------------------------------------------------------------------------------------------------------------------


def curves(frame, x_label, axis, series):
    """`series`: program -> [(x, median, low, high)]."""
    figure = framed(frame, WIDTH, HEAD + CURVE_HEIGHT + FOOT, in_order(series), lines=True)
    axes = place(figure, 1.1, FOOT, WIDTH - 1.5, CURVE_HEIGHT)
    for program in in_order(series):
        colour, marker = style(program)
        xs, medians, lows, highs = zip(*sorted(series[program]))
        below = [middle - low for middle, low in zip(medians, lows)]
        above = [high - middle for middle, high in zip(medians, highs)]
        axes.errorbar(xs, medians, [below, above], color=colour, marker=marker, markersize=6, capsize=3, elinewidth=1,
                      linewidth=3 if program == OURS else 1.8, zorder=3 if program == OURS else 2)
    scale_values(axes, "y", [value for points in series.values() for point in points for value in point[1:]], axis.ticks)
    places = sorted({point[0] for points in series.values() for point in points})
    axes.set_xscale("log")
    set_ticks(axes.xaxis, places, plain)
    axes.set_xlabel(x_label + ", log scale", fontsize=9.5)
    axes.set_ylabel(axis.label + log_note(axes.get_yscale()), fontsize=9.5)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure


# --- Percentile curves --------------------------------------------------------------------------------------------------------


def nines(percent):
    """The place of a percentile on its axis: each nine takes as much room."""
    return -math.log10(1 - percent / 100)


# program -> [(percent, median, low, high)], in ns. `floor`: the load generator itself was as late as this (p99), so that times
# below it say nothing about the server; None: there was no generator.
Load = collections.namedtuple("Load", "title series floor")


def draw_percentiles(axes, load, limits, last_percent):
    for program in in_order(load.series):
        colour, _ = style(program)
        percents, medians, lows, highs = zip(*load.series[program])
        xs = [nines(percent) for percent in percents]
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.1, linewidth=0)
        axes.plot(xs, medians, color=colour, linewidth=3 if program == OURS else 1.8, zorder=3 if program == OURS else 2)
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.set_xlim(0, nines(last_percent))
    set_ticks(axes.xaxis, [nines(percent) for percent in NINES if percent <= last_percent],
              lambda x, _: "%g" % (100 - 10 ** (2 - x)))
    set_ticks(axes.yaxis, log_ticks(*limits), time_text)
    axes.grid(color=GRID, linewidth=0.7)
    if load.floor:
        axes.axhline(load.floor, color="black", linewidth=1, linestyle=":")
    axes.set_title(load.title, fontsize=10)


def percentiles(frame, loads, columns, y_label):
    """A panel per load, all on the same axes."""
    rows = -(-len(loads) // columns)
    below, left = 0.95, 1.1  # `below`: title and axis between two rows
    height = HEAD + rows * (PANEL_HEIGHT + below) + FOOT - 0.45
    figure = framed(frame, WIDTH, height, in_order(program for load in loads for program in load.series), lines=True)
    points = [point for load in loads for series in load.series.values() for point in series]
    limits = (min(point[2] for point in points) / 1.3, max(point[3] for point in points) * 1.3)
    last_percent = max(point[0] for point in points)
    width = (WIDTH - left - MARGIN) / columns - GAP
    for index, load in enumerate(loads):
        row, column = divmod(index, columns)
        axes = place(figure, left + column * (width + GAP), FOOT + (rows - 1 - row) * (PANEL_HEIGHT + below), width, PANEL_HEIGHT)
        draw_percentiles(axes, load, limits, last_percent)
        axes.set_xlabel("percentile, %", fontsize=9)
        axes.set_ylabel(y_label + ", log scale" if column == 0 else "", fontsize=9)
        axes.tick_params(labelleft=column == 0, labelsize=8.5)
    return figure
