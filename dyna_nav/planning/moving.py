"""Detection and tracking of what moves and is not of the fleet: people first of all, carts and forklifts.

The laser returns that neither map nor fleet explains are gathered into things; each is followed by a Kalman filter of
constant velocity with random accelerations (Bar-Shalom, Li and Kirubarajan, 2001, section 6.2), for all robots of the
machine together. Where a thing will be is known the worse the less its velocity is, and the farther one looks ahead:
``reach`` tells how far from its expected place something of it may be. A thing that was only just discovered may move
in any direction; one that has not moved for a while is an obstacle like any other, and the live map's. Who drives past
a pallet sees another part of it from each place, and its middle wander; what moves is where it was free a moment ago,
or, if it is slender, farther from where it was discovered than it is wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.mdp import STEP
from dyna_nav.parameters import parameter

_SURPRISE = 9.2  # squared normalised innovation that a motion as expected exceeds in 1 of 100 cases (chi^2, 2 dof)
_GROWTH = 0.1  # a thing is hardly ever seen wider than before by more than this [m]
_SHRINKING = 0.01  # of a thing that is partly hidden, per scan [m]
_SLENDER = 0.45  # radius of the widest thing that may have moved because its middle has [m]: a person, no pallet
_ALL_OF_IT = 0.8  # share of a wide thing that is where it was free: along a side that is seen aslant many cells seem so
_GONE = 0.3  # farther than it is wide from where it was discovered [m]
_NEWEST = 0.3  # weight of the last scan in the share of a thing that was seen where it had been free


@dataclass(frozen=True)
class MovingConfig:
    """What counts as one thing, how it may move, and how much room it is given."""

    split: float = parameter(0.3, "returns farther apart belong to different things [m]", minimum=0.05, maximum=2)
    gate: float = parameter(
        0.1, "what is farther than this from a thing's expected outline is another one [m]", minimum=0, maximum=3
    )
    extent: float = parameter(1.6, "wider things do not move [m]", minimum=0.2, maximum=10)
    least_radius: float = parameter(0.25, "no person takes less room around the middle [m]", minimum=0.05, maximum=2)
    noise: float = parameter(0.05, "standard deviation of a measured middle [m]", minimum=0.005, maximum=1)
    agility: float = parameter(
        0.3, "spectral density of accelerations while walking on [m^2/s^3]", minimum=0.001, maximum=100
    )
    fastest: float = parameter(2.0, "nobody is faster [m/s]", minimum=0.1, maximum=20)
    turning: float = parameter(
        1.0, "who walks may turn on the spot and come nearer at this speed [m/s]", minimum=0, maximum=20
    )
    moving: float = parameter(0.3, "what is faster moves [m/s]", minimum=0.02, maximum=5)
    entered: float = parameter(
        0.35, "share of what is seen of it that lies where it was free a moment ago, if it moves", minimum=0, maximum=1
    )
    settled: float = parameter(
        0.4, "time of being seen after which a thing without motion stands [s]", minimum=0, maximum=10
    )
    rest: float = parameter(1.0, "time without motion after which what has moved stands [s]", minimum=0, maximum=60)
    lost: float = parameter(1.0, "time out of sight after which a thing is forgotten [s]", minimum=0.05, maximum=60)
    caution: float = parameter(
        2.0, "standard deviations of its place within which a thing is expected", minimum=0, maximum=6
    )


class _Track:
    """One thing: where it is, how it moves, and how well that is known; both axes are known equally well."""

    def __init__(self, time: float, middle: np.ndarray, radius: float, config: MovingConfig):
        self.born = self.time = self.seen = time  # [s]
        self.moved = -math.inf  # when it was last known to move [s]
        self.position, self.velocity = middle, np.zeros(2)  # [m], [m/s], map frame
        self.radius = self._widest = radius  # as it is seen now, and at most so far [m]
        self._discovered = middle  # where it was first seen [m]
        self._entered = 0.0  # share of it that lately was seen where it had been free
        self._config = config
        # Covariance of place and velocity: (pp, pv; pv, vv).
        self._pp, self._pv, self._vv = config.noise**2, 0.0, (0.5 * config.fastest) ** 2

    def predict(self, time: float) -> None:
        """Carry the track forward to a time [s]; never back."""
        dt = time - self.time
        if dt <= 0.0:
            return
        q = self._config.agility
        self.position = self.position + dt * self.velocity
        self._pp += dt * (2.0 * self._pv + dt * (self._vv + q * dt / 3.0))
        self._pv += dt * (self._vv + 0.5 * q * dt)
        self._vv += q * dt
        self.time = time

    def correct(self, middle: np.ndarray, radius: float, entered: float) -> None:
        """Take in where the middle was measured [2] (map frame [m]) at the track's time.

        entered: share of what is seen of it that lies where it was free a moment ago.
        """
        noise = self._config.noise**2
        innovation = middle - self.position
        if innovation @ innovation > _SURPRISE * (self._pp + noise):  # it turned, and may go anywhere
            self.position, self.velocity = middle, np.zeros(2)
            self._pp, self._pv, self._vv = noise, 0.0, (0.5 * self._config.fastest) ** 2
        else:
            along, rate = self._pp / (self._pp + noise), self._pv / (self._pp + noise)
            self.position = self.position + along * innovation
            self.velocity = self.velocity + rate * innovation
            self._vv -= rate * self._pv
            self._pv *= 1.0 - along
            self._pp *= 1.0 - along
        self.radius += float(np.clip(radius - self.radius, -_SHRINKING, _GROWTH))
        self.seen = self.time
        self._entered += _NEWEST * (entered - self._entered)
        speed = math.hypot(*self.velocity)
        fast = speed > max(self._config.moving, 2.0 * math.sqrt(self._vv))
        self._widest = max(self._widest, self.radius)
        if fast and self._elsewhere and self.age >= self._config.settled:
            self.moved = self.time

    @property
    def _elsewhere(self) -> bool:
        """Whether it has changed its place, and not merely its looks."""
        if self._widest > _SLENDER:
            return self._entered > _ALL_OF_IT
        gone = math.dist(self.position, self._discovered)
        return self._entered > self._config.entered or gone > 2.0 * self._widest + _GONE

    @property
    def room(self) -> float:
        """Radius of the room that it takes around its middle [m]."""
        return max(self.radius, self._config.least_radius)

    def doubt(self, ahead: np.ndarray) -> np.ndarray:
        """Standard deviation [t] of where it is at times ahead [t] of the track's own [m], [s]."""
        return np.sqrt(self._pp + ahead * (2.0 * self._pv + ahead * self._vv))

    @property
    def age(self) -> float:
        """Time from its discovery until it was last seen [s]."""
        return self.seen - self.born

    @property
    def moves(self) -> bool:
        """Whether it is on the move, with pauses."""
        return self.time - self.moved <= self._config.rest

    @property
    def stands(self) -> bool:
        """Whether it has been seen for long enough to know that it does not move."""
        return self.age >= self._config.settled and not self.moves

    def expected(self, ahead: np.ndarray) -> np.ndarray:
        """Middle [t, 2] (map frame [m]) at times ahead [t] of the track's own [s]."""
        return self.position + ahead[:, None] * self.velocity

    def reach(self, ahead: np.ndarray) -> np.ndarray:
        """Distance [t] from the expected middle within which all of it is [m], at times ahead [t] [s]."""
        config = self._config
        return self.room + np.minimum(
            config.caution * self.doubt(ahead), config.caution * config.noise + config.fastest * ahead
        )


class MovingObstacles:
    """What moves on the floor of one machine's fleet."""

    def __init__(self, config: MovingConfig):
        self._config = config
        self._tracks: list[_Track] = []
        self._scan_time: dict[int, float] = {}  # of each robot's last scan [s]

    def __len__(self) -> int:
        """Things that move, or of which it is not known yet."""
        return len(self._watched())

    def see(
        self, robot: int, time: float, viewpoint: np.ndarray, returns: np.ndarray, entered: np.ndarray
    ) -> np.ndarray:
        """Take in what a robot saw at a time [s] and neither map nor fleet explains; bool [k]: it may move.

        viewpoint [2] and returns [k, 2] in the map frame [m], in order around the laser; entered bool [k]: lies where
        it was free a moment ago. A scan that was taken in before is not counted again.
        """
        config, restless = self._config, np.zeros(len(returns), bool)
        new = time > self._scan_time.get(robot, -math.inf) + 1e-3
        self._scan_time[robot] = time
        for track, members in self._matched(time, viewpoint, returns):
            known = config.least_radius if track is None else track.room
            middle, radius = _disc(viewpoint, returns[members], known)
            if track is None:
                if not new or len(members) < 2 or 2.0 * radius > config.extent:
                    continue
                track = _Track(time, middle, radius, config)
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
        reach += [track.room + self._config.turning * times for track in walking]
        return np.array(middles).reshape(-1, len(times), 2), np.array(reach).reshape(-1, len(times))

    def _watched(self) -> list[_Track]:
        return [track for track in self._tracks if not track.stands]

    def _matched(
        self, time: float, viewpoint: np.ndarray, returns: np.ndarray
    ) -> list[tuple[_Track | None, np.ndarray]]:
        """The things among the returns [k, 2]: indices of each one's returns, with its track if it is a known one.

        Each thing seen goes to the track whose outline it fits best, the nearest first; what is seen in pieces, behind
        a post, is put together as long as it does not grow by that.
        """
        tracks, matched = self._tracks, []
        clusters = _clusters(returns, self._config.split)
        taken: dict[int, np.ndarray] = {}
        if tracks and clusters:
            places = np.array([t.position + (time - t.time) * t.velocity for t in tracks])
            radii = np.array([t.radius for t in tracks])
            doubt = self._config.caution * np.array([t.doubt(max(time - t.time, 0.0)) for t in tracks])
            least = self._config.least_radius
            middles = np.array([_disc(viewpoint, returns[cluster], least)[0] for cluster in clusters])
            off = np.hypot(*(middles[:, None] - places).transpose(2, 0, 1)) - radii - doubt
            best = np.argmin(off, axis=1)
            left = []
            for k in np.argsort(off.min(axis=1), kind="stable"):
                j, cluster = int(best[k]), clusters[k]
                whole = np.concatenate([taken[j], cluster]) if j in taken else cluster
                fits = off[k, j] <= self._config.gate
                if fits and j in taken:
                    fits = _disc(viewpoint, returns[whole], 0.0)[1] <= tracks[j].radius + _GROWTH
                if fits:
                    taken[j] = whole
                else:
                    left.append(cluster)
            clusters = left
            matched = [(tracks[j], members) for j, members in taken.items()]
        return matched + [(None, cluster) for cluster in clusters]


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
