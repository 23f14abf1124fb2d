"""How sure a figure is: intervals, paired tests, the separation of two groups of scores.

What belongs here: statistics of plain numbers. What does not: which numbers (`scoring`), decisions (`gate`).
Random draws are seeded: the same numbers give the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

CONFIDENCE = 0.95
RESAMPLES = 4999
SEED = 20_260
_EQUAL = 1e-9


class Interval(msgspec.Struct, frozen=True):
    """A mean over `n` values with its 95 % interval by bootstrap; a single value is its own interval."""

    mean: float
    low: float
    high: float
    n: int


class Difference(msgspec.Struct, frozen=True):
    """The mean difference between paired values, second minus first, with its 95 % interval.

    `p` is two-sided, `p_worse` one-sided (that the second is lower), by a randomisation test.
    """

    mean: float
    low: float
    high: float
    n: int
    better: int
    worse: int
    p: float
    p_worse: float

    @property
    def significant(self) -> bool:
        """Whether chance alone would give such a difference in less than one of twenty cases."""
        return self.p < 1 - CONFIDENCE


class Roc(msgspec.Struct, frozen=True):
    """How well a score tells `positives` from `negatives`.

    `points` are (false positive rate, true positive rate) from the strictest threshold to the laxest, `area`
    the area below them. `threshold` is where their difference is largest (Youden 1950), `correct` the share
    of all that it judges rightly.
    """

    points: tuple[tuple[float, float], ...]
    area: float
    threshold: float
    correct: float
    positives: int
    negatives: int


def interval(values: Sequence[float]) -> Interval:
    """The mean of some values, at least one."""
    import numpy as np

    mean = float(np.mean(values))
    low, high = _bounds(values)
    return Interval(mean, low, high, len(values))


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare paired values: if all is chance, their differences may as well have the other sign."""
    import numpy as np
    from scipy import stats

    change = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    low, high = _bounds(change)
    moved = change[change != 0]
    p = p_worse = 1.0
    if moved.size:
        moved = moved if moved.size > 1 else np.append(moved, 0.0)
        test = stats.permutation_test(
            (moved,),
            lambda values, axis: np.sum(values, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=1000,
            rng=np.random.default_rng(SEED),
        )
        null, observed = test.null_distribution, moved.sum()
        drawn = int(null.size == RESAMPLES)
        lower = (np.sum(null <= observed + _EQUAL) + drawn) / (null.size + drawn)
        upper = (np.sum(null >= observed - _EQUAL) + drawn) / (null.size + drawn)
        p_worse, p = float(lower), min(1.0, 2 * float(min(lower, upper)))
    return Difference(
        float(change.mean()),
        low,
        high,
        change.size,
        int((change > 0).sum()),
        int((change < 0).sum()),
        p,
        p_worse,
    )


def roc(positives: Sequence[float], negatives: Sequence[float]) -> Roc:
    """The curve of the rule "positive if the score reaches the threshold"; both need at least one value."""
    import numpy as np
    from scipy import stats

    high, low = np.asarray(positives, dtype=float), np.asarray(negatives, dtype=float)
    area = float(stats.mannwhitneyu(high, low).statistic) / (high.size * low.size)
    thresholds = np.unique(np.concatenate([high, low]))[::-1]
    true = np.array([(high >= threshold).mean() for threshold in thresholds])
    false = np.array([(low >= threshold).mean() for threshold in thresholds])
    best = int(np.argmax(true - false))
    correct = (true[best] * high.size + (1 - false[best]) * low.size) / (high.size + low.size)
    points = ((0.0, 0.0), *((float(x), float(y)) for x, y in zip(false, true, strict=True)))
    return Roc(points, area, float(thresholds[best]), float(correct), high.size, low.size)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    import numpy as np
    from scipy import stats

    sample = np.asarray(values, dtype=float)
    if sample.size < 2 or np.ptp(sample) == 0:
        return float(sample.mean()), float(sample.mean())
    found = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=2000,
        batch=200,
        method="percentile",
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
