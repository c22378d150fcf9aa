"""Rounds for people to walk, drawn from a seed: over random waypoints along shortest ways, begun away from robots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice

import numpy as np
from scipy import ndimage

from dyna_nav.parameters import parameter
from dyna_nav.simulation.walkers import Walker
from dyna_nav.site import Site
from dyna_nav.site.distances import Distances

WALKER_STREAM = 22  # of the seed
MOST_WALKERS = 64
PASSAGE = 0.15  # room beside a robot that a way has to leave to count as one [m]
WALKER_START = 2.5  # of walkers from starting robots, at least [m]
BEGINNINGS = 64  # points of a round that are tried for its beginning
ROUNDS = 20  # that are drawn, per walker, when they must not begin near a robot


@dataclass(frozen=True)
class Walkers:
    """People who walk from waypoint to waypoint and yield to nobody."""

    count: int = parameter(0, "number of walkers", minimum=0, maximum=MOST_WALKERS)
    slowest: float = parameter(0.8, "speed of the slowest walker [m/s]", minimum=0.05, maximum=3)
    fastest: float = parameter(1.4, "speed of the fastest walker [m/s]", minimum=0.05, maximum=3)
    waypoints: int = parameter(8, "waypoints of a walker's round", minimum=2, maximum=100)


def draw_walkers(
    site: Site, walkers: Walkers, starts: np.ndarray, rng: np.random.Generator, radius: float
) -> tuple[Walker, ...]:
    """Walkers who begin away from robots that start at starts [robots, 2] (m, map frame), as far as their rounds allow.

    They keep to the part of the hall that robots of the radius [m] can reach from the first start. Raises ValueError,
    one sentence, when nobody can walk there.
    """
    return tuple(walker for walker, _ in islice(_drawn(site, walkers, starts, rng, radius), walkers.count))


def check_people(site: Site, starts: np.ndarray, radius: float) -> None:
    """Refuse, with a ValueError of one sentence and at once, a site where draw_people could let nobody begin."""
    places = site.map.position_of(*_walkable(site, starts, radius))
    gaps = reduce(np.minimum, (np.hypot(*(places - start).T) for start in starts))
    if gaps.max() < WALKER_START:
        raise ValueError(
            f"site {site.name!r} has no place {WALKER_START} m away from every robot where people could begin; "
            "use fewer robots, or no people"
        )


def draw_people(site: Site, walkers: Walkers, starts: np.ndarray, seed: int, radius: float) -> tuple[Walker, ...]:
    """As draw_walkers, but nobody begins within 2.5 m of a start: who would is drawn again.

    Raises ValueError, one sentence, when the site has no room for so many people and robots.
    """
    if walkers.count:
        check_people(site, starts, radius)
    rng = np.random.default_rng([seed, WALKER_STREAM])
    drawn = islice(_drawn(site, walkers, starts, rng, radius), ROUNDS * walkers.count)
    people = tuple(islice((walker for walker, gap in drawn if gap >= WALKER_START), walkers.count))
    if len(people) < walkers.count:
        raise ValueError(
            f"site {site.name!r} has room for {len(people)} of {walkers.count} people who begin {WALKER_START} m away "
            "from every robot; use fewer people or robots"
        )
    return people


def _drawn(
    site: Site, walkers: Walkers, starts: np.ndarray, rng: np.random.Generator, radius: float
) -> Iterator[tuple[Walker, float]]:
    """Walkers without end, each with its distance [m] from the nearest start when it begins."""
    rows, cols = _walkable(site, starts, radius)
    while True:
        cells = rng.integers(len(rows), size=walkers.waypoints)
        spots = np.column_stack([site.map.position_of(rows[cells], cols[cells]), np.zeros(len(cells))])
        ways = Distances(site, spots, radius)
        corners = np.concatenate([ways.path(k, (k + 1) % len(spots))[:-1] for k in range(len(spots))])
        speed = float(rng.uniform(walkers.slowest, walkers.fastest))
        walker = Walker(corners, speed)
        ahead = rng.uniform(0.0, walker.round_time, BEGINNINGS)
        gaps = np.hypot(*(walker.position(ahead)[:, None] - starts).transpose(2, 0, 1)).min(axis=1)
        far = np.flatnonzero(gaps >= WALKER_START)
        begins = far[0] if len(far) else int(np.argmax(gaps))
        yield Walker(corners, speed, float(ahead[begins])), float(gaps[begins])


def _walkable(site: Site, starts: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns [cells] of where waypoints may lie. Raises ValueError when there is no such place."""
    labels, _ = ndimage.label(site.clearance >= radius)
    home = labels[site.map.cell_of(starts[0])]
    rows, cols = np.nonzero((labels == home) & (site.clearance >= radius + PASSAGE))
    if len(rows) < 2:
        raise ValueError(f"site {site.name!r} has no room for people to walk in; use a wider one, or no people")
    return rows, cols
