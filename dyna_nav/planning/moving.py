"""Detection and tracking of what moves and is not of the fleet: people first of all, carts and forklifts.

The laser returns that neither map nor fleet explains are gathered into things; each is followed from scan to scan
(:mod:`dyna_nav.planning.track`), for all robots of the machine together. A thing that was only just discovered may move
in any direction; one that has not moved for a while, or lies where something is known to stand, is an obstacle like any
other, and the live map's.
"""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.mdp import STEP
from dyna_nav.planning.track import MovingConfig, Track

_KNOWN = 0.5  # share of a thing that lies where something is known to stand, if it is a part of that


class MovingObstacles:
    """What moves on the floor of one machine's fleet."""

    def __init__(self, config: MovingConfig):
        self._config = config
        self._tracks: list[Track] = []
        self._scan_time: dict[int, float] = {}  # of each robot's last scan [s]

    def __len__(self) -> int:
        """Things that move, or of which it is not known yet."""
        return len(self._watched())

    def see(
        self,
        robot: int,
        time: float,
        viewpoint: np.ndarray,
        returns: np.ndarray,
        entered: np.ndarray,
        marked: np.ndarray,
    ) -> np.ndarray:
        """Take in what a robot saw at a time [s] and neither map nor fleet explains; bool [k]: it may move.

        viewpoint [2] and returns [k, 2] in the map frame [m], in order around the laser; entered bool [k]: lies where
        it was free a moment ago; marked bool [k]: where something is known to stand. A scan that was taken in before is
        not counted again.
        """
        config, restless = self._config, np.zeros(len(returns), bool)
        new = time > self._scan_time.get(robot, -math.inf) + 1e-3
        self._scan_time[robot] = time
        for track, members in self._matched(time, viewpoint, returns):
            room = config.least_radius if track is None else track.room
            middle, radius = _disc(viewpoint, returns[members], room)
            if track is None:
                if not new or len(members) < 2 or 2.0 * radius > config.extent:
                    continue
                known = marked[members].mean() >= _KNOWN  # a part of what stands there comes into view again
                track = Track(time, middle, radius, config, standing=bool(known))
                self._tracks.append(track)
            elif new:
                track.predict(time)
                place = middle + max(track.time - time, 0.0) * track.velocity
                track.correct(place, radius, float(entered[members].mean()))
            restless[members] = not track.stands
        return restless

    def forget(self, now: float) -> None:
        """Drop what has been out of sight for too long, what was one all along, and what is too wide to move."""
        config, kept = self._config, []
        for track in self._tracks:
            track.predict(now)
            seen = now - track.seen <= config.lost and (track.moves or 2.0 * track.radius <= config.extent)
            if seen and not any(math.dist(track.position, other.position) < config.least_radius for other in kept):
                kept.append(track)
        self._tracks = kept

    def expected(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where everything that may move is expected: middles [m, t, 2] (map frame) and radii [m], all [m].

        times [t] from the last ``forget`` [s].
        """
        tracks = self._watched()
        middles = np.array([track.expected(times) for track in tracks]).reshape(-1, len(times), 2)
        return middles, np.array([track.room for track in tracks])

    def beside(self, fleet: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Whom a robot may touch: where the fleet is expected [robots, t, 2] at each step, and what else may move.

        Positions [robots + m, t, 2] (map frame), the fleet's first, and the distances [robots + m] of their middles
        from that of a robot of a radius which touches them; all [m].
        """
        others, radii = self.expected(np.arange(fleet.shape[1]) * STEP)
        return np.concatenate([fleet, others]), radius + np.concatenate([np.full(len(fleet), radius), radii])

    def possible(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where something of what may move can be: within reach [k, t] of middles [k, t, 2] (map frame), all [m].

        times [t] as in ``expected``. Two discs for everything that walks: around where it is expected, and around where
        it is, should it turn.
        """
        tracks = self._watched()
        walking = [track for track in tracks if track.moves]
        middles = [track.expected(times) for track in tracks] + [track.expected(0.0 * times) for track in walking]
        reach = [track.reach(times) for track in tracks]
        reach += [track.back(times) for track in walking]
        return np.array(middles).reshape(-1, len(times), 2), np.array(reach).reshape(-1, len(times))

    def _watched(self) -> list[Track]:
        return [track for track in self._tracks if not track.stands]

    def _matched(
        self, time: float, viewpoint: np.ndarray, returns: np.ndarray
    ) -> list[tuple[Track | None, np.ndarray]]:
        """The things among the returns [k, 2]: indices of each one's returns, with its track if it is a known one.

        Each cluster of returns goes to the track whose outline it fits best, the nearest first; what is seen in pieces,
        behind a post, is put together as long as it does not grow by that.
        """
        config, tracks, clusters = self._config, self._tracks, _clusters(returns, self._config.split)
        if not tracks or not clusters:
            return [(None, cluster) for cluster in clusters]
        places = np.array([t.position + (time - t.time) * t.velocity for t in tracks])
        doubt = config.caution * np.array([t.doubt(max(time - t.time, 0.0)) for t in tracks])
        radii = np.array([t.radius for t in tracks])
        middles = np.array([_disc(viewpoint, returns[cluster], config.least_radius)[0] for cluster in clusters])
        off = np.hypot(*(middles[:, None] - places).transpose(2, 0, 1)) - radii - doubt
        best = np.argmin(off, axis=1)
        taken: dict[int, np.ndarray] = {}
        unknown = []
        for k in np.argsort(off.min(axis=1), kind="stable"):
            j, cluster = int(best[k]), clusters[k]
            whole = np.concatenate([taken[j], cluster]) if j in taken else cluster
            fits = off[k, j] <= config.gate
            if fits and j in taken:
                fits = _disc(viewpoint, returns[whole], 0.0)[1] <= tracks[j].largest
            if fits:
                taken[j] = whole
            else:
                unknown.append(cluster)
        return [(tracks[j], members) for j, members in taken.items()] + [(None, cluster) for cluster in unknown]


def _clusters(points: np.ndarray, split: float) -> list[np.ndarray]:
    """Indices of points [k, 2], which are in order around the laser, cut where a gap exceeds split [m]."""
    if not len(points):
        return []
    gaps = np.hypot(*np.diff(points, axis=0).T)
    groups = np.split(np.arange(len(points)), np.flatnonzero(gaps > split) + 1)
    if len(groups) > 1 and math.dist(points[0], points[-1]) <= split:
        groups[0] = np.concatenate([groups.pop(), groups[0]])
    return groups


def _disc(viewpoint: np.ndarray, returns: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Middle [2] and radius [m] of the disc whose near side gives returns [k, 2] as seen from a viewpoint [2].

    radius: known before [m]; of a disc that is partly hidden less is seen.
    """
    toward = returns.mean(axis=0) - viewpoint
    away = math.hypot(*toward)
    toward = toward / away if away > 1e-6 else np.array([1.0, 0.0])  # in the midst of it: any direction will do
    aside = np.array([-toward[1], toward[0]])
    depth, across = (returns - viewpoint) @ toward, (returns - viewpoint) @ aside
    seen = 0.5 * (across.max() - across.min())
    middle = viewpoint + (depth.min() + max(seen, radius)) * toward + 0.5 * (across.max() + across.min()) * aside
    return middle, float(seen)
