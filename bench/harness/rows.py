"""The rows of a report: a measured figure each, with the results of all programs."""
from harness import stats

OURS = "tournant"
NO_COMPARISON = ("generator_lag_p99_us",)  # units that tell about the measurement


class Row:
    """One figure. `values`: program -> its value in each round, in the order of the rounds. `beside`: programs that are shown and
    are not of the field, because they do something else (a mutex that is not first in, first out)."""

    def __init__(self, case, unit, params, better="lower", beside=()):
        self.case = case
        self.unit = unit
        self.params = params
        self.better = better
        self.beside = beside
        self.values = {}

    def key(self):
        return self.case, self.unit, tuple(sorted(self.params.items()))

    def best_peer(self):
        medians = {name: stats.median(values) for name, values in self.values.items()
                   if name != OURS and name not in self.beside}
        if not medians or self.unit in NO_COMPARISON:
            return None
        return (min if self.better == "lower" else max)(medians, key=medians.get)

    def ratio(self):
        best = self.best_peer()
        return stats.ratio(self.values[OURS], self.values[best]) if best and OURS in self.values else None

    def interval(self):
        best = self.best_peer()
        return stats.ratio_interval(self.values[OURS], self.values[best]) if best and OURS in self.values else None

    def as_json(self):
        return {"case": self.case, "params": self.params, "unit": self.unit, "better": self.better,
                "results": {name: stats.summary(values) for name, values in self.values.items()},
                "best_peer": self.best_peer(), "ratio": self.ratio(), "ratio_interval": self.interval()}


class Rows:
    """All rows, in the order in which they were first met."""

    def __init__(self):
        self.rows = {}
        self.broken = []  # what tournant failed in

    def add(self, row, program, value):
        """One round's value of the row that is `row` but for its values."""
        self.rows.setdefault(row.key(), row).values.setdefault(program, []).append(value)

    def measured(self):
        """Those that tournant has a part in: the others are no comparison."""
        return [row for row in self.rows.values() if OURS in row.values]

    def missing(self):
        return [row for row in self.rows.values() if OURS not in row.values]
