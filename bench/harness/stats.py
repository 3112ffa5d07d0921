# SPDX-License-Identifier: MIT
"""What many runs of one figure say: median and spread, and how sure a ratio of two is."""
import random

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 20221122  # the same interval for the same values


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def summary(values):
    return {"median": median(values), "min": min(values), "max": max(values), "runs": len(values)}


def ratio(ours, theirs):
    """Of the medians; None where it means nothing (a figure that was 0, or less than nothing, as a time beyond 3 s may be)."""
    above, below = median(ours), median(theirs)
    return above / below if above >= 0 and below > 0 else None


def ratio_interval(ours, theirs):
    """The interval of the ratio, by a bootstrap over the rounds: both sides of a round are drawn together, because they have met
    the same weather. None where there is no ratio or only one round."""
    rounds = min(len(ours), len(theirs))
    if rounds < 2 or ratio(ours, theirs) is None:
        return None
    source = random.Random(SEED)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = [source.randrange(rounds) for _ in range(rounds)]
        value = ratio([ours[i] for i in drawn], [theirs[i] for i in drawn])
        if value is not None:
            ratios.append(value)
    if not ratios:
        return None
    ratios.sort()
    tail = (1 - CONFIDENCE) / 2
    return [ratios[int(tail * len(ratios))], ratios[min(int((1 - tail) * len(ratios)), len(ratios) - 1)]]


def histogram_percentile(histogram, percent):
    """The highest time of the bucket that holds the percentile. `histogram`: [highest time, number of times], ascending."""
    wanted = sum(count for _, count in histogram) * percent / 100
    seen = 0
    for highest, count in histogram:
        seen += count
        if seen >= wanted and count:
            return highest
    return histogram[-1][0]
