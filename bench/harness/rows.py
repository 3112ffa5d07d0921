# SPDX-License-Identifier: MIT
"""The rows of a report: a measured figure each, with the results of all programs. Distributions: a histogram per round."""
from harness import stats

OURS = "tournant"
NO_COMPARISON = ("generator_lag_p99_us",)  # units that tell about the measurement


class Row:
    """One figure. `values`: program -> its value in each round, in the order of the rounds. `beside`: programs that are shown and
    not compared, because they do something else (a mutex that is not first in, first out)."""

    def __init__(self, case, unit, params, better="lower", beside=()):
        self.case = case
        self.unit = unit
        self.params = params
        self.better = better
        self.beside = beside
        self.against = None  # set by Rows.compare_with
        self.values = {}

    def key(self):
        return self.case, self.unit, tuple(sorted(self.params.items()))

    def peers(self):
        """The programs that tournant is compared with."""
        return [name for name in self.values if name != OURS and name not in self.beside and self.unit not in NO_COMPARISON]

    def compared(self):
        """The peer that tournant is compared with: the one that was named before the run, or the one with the best median."""
        if self.against is not None:
            return self.against if self.against in self.peers() else None
        medians = {name: stats.median(self.values[name]) for name in self.peers()}
        return (min if self.better == "lower" else max)(medians, key=medians.get) if medians else None

    def ratio(self, peer=None):
        """tournant / `peer`, the one of compared() if not said."""
        peer = peer or self.compared()
        return stats.ratio(self.values[OURS], self.values[peer]) if peer and OURS in self.values else None

    def interval(self, peer=None):
        peer = peer or self.compared()
        return stats.ratio_interval(self.values[OURS], self.values[peer]) if peer and OURS in self.values else None

    def as_json(self):
        results = {name: dict(stats.summary(values), values=values) for name, values in self.values.items()}
        return {"case": self.case, "params": self.params, "unit": self.unit, "better": self.better,
                "beside": [name for name in self.beside if name in self.values], "results": results, "against": self.against,
                "compared": self.compared(), "ratio": self.ratio(), "ratio_interval": self.interval()}


def row_from_json(found):
    row = Row(found["case"], found["unit"], found["params"], found["better"], found["beside"])
    row.against = found.get("against")
    row.values = {name: result["values"] for name, result in found["results"].items()}
    return row


class Distribution:
    """How the times of one case are spread. `values`: program -> a histogram per round: [highest time of the bucket in ns,
    number of times in it], in ascending order."""

    def __init__(self, case, params):
        self.case = case
        self.params = params
        self.values = {}

    def key(self):
        return self.case, tuple(sorted(self.params.items()))

    def as_json(self):
        return {"case": self.case, "params": self.params, "histograms": self.values}


def distribution_from_json(found):
    distribution = Distribution(found["case"], found["params"])
    distribution.values = found["histograms"]
    return distribution


class Rows:
    """All rows and distributions, in the order in which they were first met."""

    def __init__(self):
        self.rows = {}
        self.spreads = {}
        self.broken = []  # what tournant failed in

    def add(self, row, program, value):
        """One round's value of the row or distribution that is `row` but for its values."""
        known = self.spreads if isinstance(row, Distribution) else self.rows
        known.setdefault(row.key(), row).values.setdefault(program, []).append(value)

    def compare_with(self, peer):
        for row in self.rows.values():
            row.against = peer

    def measured(self):
        """Those that tournant has a part in: the others are no comparison."""
        return [row for row in self.rows.values() if OURS in row.values]

    def missing(self):
        return [row for row in self.rows.values() if OURS not in row.values]

    def distributions(self):
        return [spread for spread in self.spreads.values() if OURS in spread.values]
