"""What chance alone explains: errors of counts, ranks, areas under curves, permutation tests.

All float64.

Two groups that do not differ may trade members. A statistic that is a sum over the members of one
group is compared with the same sum over random groups of its size; the p-value counts itself among
them (Phipson and Smyth 2010, arXiv:1603.05766), so it is never 0 and holds its level exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.randomness import generator

DRAWS = 999  # the smallest p-value is 1/1000


def random_sums(values: Tensor, m: int, *words: object, draws: int = 0) -> Tensor:
    """float64 (draws,): sums of m of the values (N,), drawn anew each time without replacement.

    words: they name the draw (see `randomness`); draws: how many sums, 0 for DRAWS.
    """
    values, rng = values.double(), generator(*words)
    few = min(m, len(values) - m)
    sums = torch.stack(
        [
            values[torch.randperm(len(values), generator=rng)[:few]].sum()
            for _ in range(draws or DRAWS)
        ]
    )
    return sums if few == m else values.sum() - sums


def p_value(observed: float, drawn: Tensor) -> float:
    """The share, in (0, 1], of what was drawn that is at least as large, `observed` included."""
    # Sums of the same numbers in another order differ in their last digits.
    slack = 1e-9 * max(1.0, abs(observed))
    return (1 + int((drawn >= observed - slack).sum())) / (1 + len(drawn))


def share_error(k: int, n: int) -> float:
    """The standard error of the share k / n of n samples, never 0: by (k + 1/2) / (n + 1).

    None or all of n is what a share of up to about 1 / n off them gives as well.
    """
    share = (k + 0.5) / (n + 1)
    return (share * (1 - share) / n) ** 0.5


def counted_error(counts: Tensor, many: Callable[[Tensor], Tensor], *words: object) -> float:
    """The standard error of a whole number made of counts int64 (K,): a bootstrap of the samples.

    many: counts (draws, K) -> (draws,), such as how many are above 0; words name the draw. Never
    below 1/4: the interval of a number that no draw changes reaches half way to the next.
    """
    rng = generator("counted error", *words)
    # A multinomial draw is one binomial after the other, each of what is left.
    chances = counts / counts.flip(0).cumsum(0).flip(0).clamp_min(1)
    left, drawn = torch.full((200,), float(counts.sum()), dtype=torch.float64), []
    for chance in chances.double():
        drawn.append(torch.binomial(left, chance.expand_as(left), generator=rng))
        left = left - drawn[-1]
    return max(float(many(torch.stack(drawn, dim=1)).double().std()), 0.25)


def same_share(a: int, n: int, b: int, m: int) -> tuple[float, float, float]:
    """Fisher's exact test of a of n against b of m, where the shares may be the same.

    The chance of so few as a, given a + b; the two-sided p-value, of all outcomes no likelier; and
    the chance that this one is at most 5 %, which is below 5 % since counts are whole.
    """
    x = torch.arange(max(0, a + b - m), min(n, a + b) + 1, dtype=torch.float64)
    chance = torch.softmax(_log_ways(n, x) + _log_ways(m, a + b - x), dim=0)
    ordered = chance.sort().values
    # Outcomes of one chance differ in their last digits.
    last = torch.searchsorted(ordered, chance * (1 + 1e-9), right=True) - 1
    both = ordered.cumsum(0)[last].clamp_max(1)
    less = chance[x <= a].sum().clamp_max(1)
    return float(less), float(both[a - int(x[0])]), float(chance[both <= 0.05].sum())


def _log_ways(n: int, x: Tensor) -> Tensor:
    whole = torch.tensor(n + 1.0, dtype=torch.float64)
    return torch.lgamma(whole) - torch.lgamma(x + 1) - torch.lgamma(whole - x)


def ranks(values: Tensor) -> Tensor:
    """Ranks float64 (n,) from 1 of values (n,), smallest first; equal ones share their mean."""
    _, place, counts = values.double().unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[place]


def auc(x: Tensor, y: Tensor) -> tuple[float, float]:
    """P(x > y) + P(x = y) / 2 for draws from the values x (m,) and y (n,), and its standard error.

    The area under the ROC curve of a rule that calls large values x. The error is that of DeLong
    et al. 1988, never below that of one pair in the larger group; m, n >= 1.
    """
    m, n = len(x), len(y)
    together = ranks(torch.cat([x.double(), y.double()]))
    above = (together[:m] - ranks(x)) / n  # for each x the share of the y below it
    below = 1 - (together[m:] - ranks(y)) / m
    variance = sum(float(v.var()) / len(v) for v in (above, below) if len(v) > 1)
    return float(above.mean()), max(variance**0.5, 0.5 / max(m, n))
