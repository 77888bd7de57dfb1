"""From the seconds of two builds to "slower", "faster" or neither. No clock here: times are handed in.

A round has one time of each build, taken one after the other, and gives one ratio. The median of the ratios is the
estimate; an interval for it comes from order statistics, which asks nothing of the distribution of the noise.
"""

import math
import statistics
from typing import NamedTuple

CONFIDENCE = 0.99
CONFIRMATIONS = 2  # re-measurements in new processes, all of which have to agree


class Comparison(NamedTuple):
    """Median seconds of both builds, and the ratio head / base with its interval."""

    base: float
    head: float
    ratio: float
    low: float
    high: float

    def slower(self, threshold):
        return self.low > threshold

    def faster(self, threshold):
        return self.high < 1 / threshold


class Verdict(NamedTuple):
    """What is said of a case: "slower", "faster", "not confirmed" or "", and the comparison it rests on."""

    word: str
    comparison: Comparison


def outside(rounds, confidence=CONFIDENCE):
    """How many of the sorted ratios to leave out at either end of the interval for their median.

    The median of the population lies below the k-th smallest with the probability of fewer than k heads in so many
    tosses of a coin.
    """
    left, probability = 0, 0.0
    while left < rounds // 2:
        probability += math.comb(rounds, left) / 2**rounds
        if 2 * probability > 1 - confidence:
            break
        left += 1
    if left == 0:
        raise ValueError(f"`rounds` must be at least {fewest_rounds(confidence)} for {confidence:.0%}, got {rounds}.")
    return left - 1


def fewest_rounds(confidence=CONFIDENCE):
    """The number of rounds from which their smallest and largest ratio are an interval of this confidence."""
    return math.ceil(1 - math.log2(1 - confidence))


def compare(base, head, confidence=CONFIDENCE):
    """Compare the seconds of the rounds of two builds."""
    ratios = sorted(theirs / ours for ours, theirs in zip(base, head, strict=True))
    left = outside(len(ratios), confidence)
    medians = statistics.median(base), statistics.median(head)
    return Comparison(*medians, statistics.median(ratios), ratios[left], ratios[-1 - left])


def judge(measure, threshold):
    """The verdict on a case whose seconds `measure()` returns, anew with each call: those of base, those of head.

    What looks slower or faster is measured again, and counts if it does so each time. Of several measurements the one
    nearest to 1 is reported.
    """
    first = compare(*measure())
    for word in ("slower", "faster"):
        if not getattr(first, word)(threshold):
            continue
        seen = [first]
        while len(seen) <= CONFIRMATIONS:
            seen.append(compare(*measure()))
            if not getattr(seen[-1], word)(threshold):
                return Verdict("not confirmed", seen[-1])
        return Verdict(word, min(seen, key=lambda each: abs(math.log(each.ratio))))
    return Verdict("", first)
