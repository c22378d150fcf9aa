"""Paired comparisons with bootstrap intervals (Efron, 1979), resampling whole clusters of trips (Field & Welsh, 2007).

The trips of one seed share a site's traffic, and those of one robot its history, so single trips are not independent:
whole seeds are drawn with replacement, or, when there are too few of them, the robots of each seed.

Percentile intervals from few clusters are too narrow; these are expanded ones (Hesterberg, 2015, The American
Statistician 69(4), "Expanded percentile interval"): as far out as Student's t and the bias of the bootstrap's variance
ask for. No interval of this kind reaches beyond the clusters themselves, which bounds what it can cover.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm, t

RESAMPLES = 10_000
LEVEL = 0.95
FEWEST_SEEDS = 8  # with fewer, robots of a seed are the clusters
BOOTSTRAP_SEED = 20_240_229


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    value: float
    low: float
    high: float


def ratio_of_sums(a: np.ndarray, b: np.ndarray, clusters: np.ndarray) -> Interval:
    """Sum of a over sum of b, [trips] each, and its expanded percentile interval; clusters [trips] are whole numbers.

    NaN where the sum of b is 0. Raises ValueError for no trips or unequal lengths.
    """
    a, b, weights = _resampled(a, b, clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (weights @ a) / (weights @ b)
        value = a.sum() / b.sum()
    return Interval(float(value), *_expanded(ratios, len(a)))


def mean_difference(a: np.ndarray, b: np.ndarray, clusters: np.ndarray) -> Interval:
    """Mean of a - b, [trips] each, and its expanded percentile interval; clusters [trips] are whole numbers."""
    difference, count, weights = _resampled(np.asarray(a, float) - np.asarray(b, float), np.ones(len(a)), clusters)
    means = (weights @ difference) / (weights @ count)
    return Interval(float(difference.sum() / count.sum()), *_expanded(means, len(count)))


def clusters_of(seeds: np.ndarray, robots: np.ndarray) -> tuple[np.ndarray, str]:
    """Cluster [trips] of each trip from its seed and robot, and what the clusters are."""
    keys = np.stack([seeds, robots], axis=1)
    if len(np.unique(seeds)) >= FEWEST_SEEDS:
        return np.unique(seeds, return_inverse=True)[1].reshape(-1), "seeds"
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1), "robots of a seed"


def tail(clusters: int) -> float:
    """Share of the resamples that lies outside an expanded interval on each side; 0.025 for very many clusters.

    Raises ValueError for fewer than two clusters, from which there is no interval.
    """
    if clusters < 2:
        raise ValueError(f"an interval needs at least 2 clusters; it got {clusters}")
    return float(norm.cdf(-np.sqrt(clusters / (clusters - 1)) * t.ppf(0.5 + 0.5 * LEVEL, clusters - 1)))


def highest_coverage(clusters: int) -> float:
    """What an interval from so many clusters can cover at best, LEVEL or less.

    It ends at the outermost clusters, so it misses whenever all of them lie on one side of the truth. Of independent
    ones that happens at least as often as all of so many coins show the same side.
    """
    return min(LEVEL, 1.0 - 2.0 ** (1 - clusters))


def highest_rate(count: int, trials: int) -> float:
    """Upper end of the one-sided 95 % interval of a rate of rare events per trial (Garwood, 1936).

    Exact for independent events. NaN for no trials.
    """
    return float(chi2.ppf(LEVEL, 2 * (count + 1))) / (2 * trials) if trials else float("nan")


def _resampled(a: np.ndarray, b: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of a and of b per cluster, and how often each resample [RESAMPLES, clusters] draws each cluster."""
    a, b, clusters = np.asarray(a, float), np.asarray(b, float), np.asarray(clusters, int)
    if not len(a) or not len(a) == len(b) == len(clusters):
        raise ValueError(f"a comparison needs equally many values; it got {len(a)}, {len(b)} and {len(clusters)}")
    count = int(clusters.max()) + 1
    sums = [np.bincount(clusters, values, count) for values in (a, b)]
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    weights = rng.multinomial(count, np.full(count, 1.0 / count), RESAMPLES).astype(float)
    return sums[0], sums[1], weights


def _expanded(values: np.ndarray, clusters: int) -> tuple[float, float]:
    """Ends of the interval from values [RESAMPLES]; NaN when none is known, the whole range for a single cluster."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    outside = tail(clusters) if clusters > 1 else 0.0
    low, high = np.quantile(known, [outside, 1.0 - outside])
    return float(low), float(high)
