"""Tests that may be looked at after every observation and still err as rarely as they say.

What belongs here: evidence from plain sums. What does not: what is observed (`serving.canary`), bounds and
decisions (`gates.canary`). A test of fixed size, asked every second, refuses anything sooner or later.
"""

from __future__ import annotations

_SMALLEST = 1e-6
_HALVINGS = 40


def evidence(total: float, n: int, limit: float) -> float:
    """How strongly `n` observations in [0, 1] with the sum `total` speak against a mean of at most `limit`.

    The likelihood ratio of a mean above the limit to the limit itself, averaged over all such means alike
    (Robbins 1970). If the mean is not above the limit it ever reaches ``1 / alpha`` with a probability of at
    most `alpha`, however long one goes on (Ville 1939). Observations need not be 0 or 1 for that (Hoeffding
    1963), nor independent, as long as none is expected above the limit by what came before it.
    """
    import math

    from scipy.special import betaincc, betaln

    if n == 0 or limit >= 1:
        return 0.0
    limit = max(limit, _SMALLEST)
    rest = max(n - total, 0.0)
    above = float(betaincc(total + 1, rest + 1, limit))
    if above == 0.0:
        return 0.0
    logarithm = (
        float(betaln(total + 1, rest + 1))
        + math.log(above)
        - total * math.log(limit)
        - (rest + 1) * math.log1p(-limit)
    )
    return math.exp(min(logarithm, 700.0))


def upper_bound(total: float, n: int, alpha: float) -> float:
    """A bound in [0, 1] that the mean of such observations exceeds with a probability of at most `alpha`.

    It holds at every moment at once, as `evidence` does; 1 while nothing is known.
    """
    low, high = (total / n if n else 1.0), 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if evidence(n - total, n, 1 - middle) >= 1 / alpha:
            high = middle
        else:
            low = middle
    return high
