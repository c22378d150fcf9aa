"""Moving discs in a laser scan: clusters of unexplained returns, matched from scan to scan by an alpha-beta filter.

A robot that is not told where the others are sees them only as returns; their velocity lets it give way in time.
Clustering is by breaks in range (as in Arras, Mozos and Burgard, ICRA 2007, without the classifier); a cluster's centre
lies one robot radius behind its nearest return. The filter is the steady-state one of Kalata (1984).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.parameters import parameter
from dyna_nav.planning.obstacles import clearance_at

X, Y, VX, VY, AGE, SEEN = range(6)  # columns of a track
NOBODY = np.empty((0, 2))


@dataclass(frozen=True)
class TrackingConfig:
    """Clusters and filter of the tracker."""

    reach: float = parameter(6.0, "returns farther away are not tracked [m]", minimum=1, maximum=100)
    explained: float = parameter(
        0.25, "so near to the map or a known robot a return is its [m]", minimum=0.02, maximum=1
    )
    split: float = parameter(0.35, "returns farther apart belong to different things [m]", minimum=0.05, maximum=2)
    extent: float = parameter(0.85, "wider things are no robots and no people [m]", minimum=0.1, maximum=5)
    gate: float = parameter(0.5, "a cluster farther off its track is another thing [m]", minimum=0.05, maximum=3)
    alpha: float = parameter(0.5, "share of a position error that is taken over", minimum=0.01, maximum=1)
    beta: float = parameter(0.2, "share of a velocity error that is taken over", minimum=0.001, maximum=2)
    moving: float = parameter(0.3, "faster things move [m/s]", minimum=0.05, maximum=3)
    age: int = parameter(4, "scans after which a track is believed", minimum=1, maximum=50)
    lost: float = parameter(0.5, "a track not seen for so long is dropped [s]", minimum=0, maximum=10)


@njit(cache=True, nogil=True)
def clusters(pose, scan, angles, reach, field, geometry, known, explained, split, extent, radius, out):
    """Write the centres of compact things that are neither the map's nor known, out [m, 2]; returns how many there are.

    pose [3] map frame; field with geometry (origin x, y, resolution): clearance of the static map; known [k, 2]: robots
    of a radius [m] whose positions are known.
    """
    origin_x, origin_y, resolution = geometry
    count, open_cluster = 0, False
    first_x = first_y = last_x = last_y = nearest = toward_x = toward_y = 0.0
    for beam in range(angles.size + 1):
        hit = False
        x = y = distance = cos = sin = 0.0
        if beam < angles.size and 0.0 < scan[beam] <= reach:
            distance = scan[beam]
            cos, sin = math.cos(pose[2] + angles[beam]), math.sin(pose[2] + angles[beam])
            x, y = pose[0] + distance * cos, pose[1] + distance * sin
            hit = clearance_at(field, origin_x, origin_y, resolution, x, y) >= explained
            for k in range(known.shape[0]):
                hit = hit and math.hypot(x - known[k, 0], y - known[k, 1]) >= radius + explained
        if open_cluster and (not hit or math.hypot(x - last_x, y - last_y) > split):
            if math.hypot(last_x - first_x, last_y - first_y) <= extent and count < out.shape[0]:
                length = max(math.hypot(toward_x, toward_y), 1e-9)
                out[count, 0] = pose[0] + (nearest + radius) * toward_x / length
                out[count, 1] = pose[1] + (nearest + radius) * toward_y / length
                count += 1
            open_cluster = False
        if hit:
            if not open_cluster:
                open_cluster = True
                first_x, first_y, nearest, toward_x, toward_y = x, y, distance, 0.0, 0.0
            last_x, last_y = x, y
            nearest = min(nearest, distance)
            toward_x += cos
            toward_y += sin
    return count


class Tracker:
    """The things that one robot sees moving."""

    def __init__(self, radius: float, field: np.ndarray, geometry: tuple[float, float, float], config: TrackingConfig):
        """field with geometry (origin x, y, resolution): clearance of the static map; radius: of the things [m]."""
        self._radius, self._field, self._geometry, self._config = radius, field, geometry, config
        self._tracks = np.empty((0, 6))
        self._centres = np.empty((64, 2))
        self._time = math.nan

    def update(
        self, time: float, pose: np.ndarray, scan: np.ndarray, angles: np.ndarray, known: np.ndarray = NOBODY
    ) -> np.ndarray:
        """Enter a scan taken at time [s] and pose [3]; what moves, as [k, 4]: x, y [m], velocity [m/s], map frame.

        known [m, 2]: positions of robots whose returns are not to be followed, because their poses are known.
        """
        config = self._config
        elapsed = time - self._time
        if not 0.0 <= elapsed <= 1.0:  # the first scan, or the clock began anew
            self._tracks, elapsed = np.empty((0, 6)), 0.0
        self._time = time
        count = clusters(
            pose, scan, angles, config.reach, self._field, self._geometry, known, config.explained, config.split,
            config.extent, self._radius, self._centres,
        )  # fmt: skip
        tracks = self._tracks
        tracks[:, :2] += elapsed * tracks[:, 2:4]
        free = np.ones(len(tracks), bool)
        begun = []
        for centre in self._centres[:count]:
            gaps = np.where(free, np.hypot(tracks[:, X] - centre[0], tracks[:, Y] - centre[1]), np.inf)
            k = int(np.argmin(gaps)) if len(tracks) else -1
            if k < 0 or gaps[k] > config.gate:
                begun.append((*centre, 0.0, 0.0, 1.0, time))
                continue
            free[k] = False
            error = centre - tracks[k, :2]
            tracks[k, :2] += config.alpha * error
            if elapsed > 0.0:
                tracks[k, 2:4] += config.beta * error / elapsed
            tracks[k, AGE] += 1
            tracks[k, SEEN] = time
        tracks = tracks[tracks[:, SEEN] > time - config.lost - 1e-9]
        self._tracks = np.concatenate([tracks, np.array(begun).reshape(-1, 6)])
        tracks = self._tracks
        moving = (tracks[:, AGE] >= config.age) & (np.hypot(tracks[:, VX], tracks[:, VY]) > config.moving)
        return tracks[moving, :4].copy()
