"""One thing that may move: a Kalman filter of constant velocity with random accelerations (Bar-Shalom, Li and
Kirubarajan, 2001, section 6.2), and what tells a walker from a pallet that is seen from another side.

Where a thing will be is known the worse the less its velocity is, and the farther one looks ahead: ``reach`` tells how
far from its expected place something of it may be. Who drives past a pallet sees another part of it from each place,
and its middle wander; what moves is where it was free a moment ago, or, if it is slender, farther from where it was
discovered than it is wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.parameters import parameter

_SURPRISE = 9.2  # squared normalised innovation that a motion as expected exceeds in 1 of 100 cases (chi^2, 2 dof)
_GROWTH = 0.1  # a thing is hardly ever seen wider than before by more than this [m]
_SHRINKING = 0.01  # of a thing that is partly hidden, per scan [m]
_SLENDER = 0.45  # radius of the widest thing that may have moved because its middle has [m]: a person, no pallet
_ALL_OF_IT = 0.8  # share of a wide thing that is where it was free: along a side that is seen aslant many cells seem so
_GONE = 0.3  # farther than it is wide from where it was discovered [m]
_SLOWING = 3.0  # time constant in which it is believed that somebody walks slower than before [s]
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
        1.3,
        "who walks may turn on the spot and come back as fast as they have walked lately, and at least so [m/s]",
        minimum=0,
        maximum=20,
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


class Track:
    """One thing: where it is, how it moves, and how well that is known; both axes are known equally well."""

    def __init__(self, time: float, middle: np.ndarray, radius: float, config: MovingConfig, standing: bool = False):
        """standing: something is known to stand there, so it need not be watched before it counts as standing."""
        self.time = self.seen = time  # [s]
        self.born = -math.inf if standing else time
        self.moved = -math.inf  # when it was last known to move [s]
        self.position, self.velocity = middle, np.zeros(2)  # [m], [m/s], map frame
        self._pace = 0.0  # speed that it may have again at any time [m/s]
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
        self._pace *= math.exp(-dt / _SLOWING)
        self.time = time

    def correct(self, middle: np.ndarray, radius: float, entered: float) -> None:
        """Take in where the middle was measured [2] (map frame [m]) at the track's time.

        entered: share of what is seen of it that lies where it was free a moment ago.
        """
        noise = self._config.noise**2
        innovation = middle - self.position
        if innovation @ innovation > _SURPRISE * (self._pp + noise):  # it turned, and may go anywhere
            if self.moves:  # to turn is no rest
                self.moved = self.time
            self.position, self.velocity = middle, np.zeros(2)
            self._pp, self._pv, self._vv = noise, 0.0, (0.5 * self._config.fastest) ** 2
        else:
            along, rate = self._pp / (self._pp + noise), self._pv / (self._pp + noise)
            self.position = self.position + along * innovation
            self.velocity = self.velocity + rate * innovation
            self._vv -= rate * self._pv
            self._pv *= 1.0 - along
            self._pp *= 1.0 - along
        self.radius = max(min(radius, self.largest), self.radius - _SHRINKING)
        self.seen = self.time
        self._entered += _NEWEST * (entered - self._entered)
        speed = math.hypot(*self.velocity)
        fast = speed > max(self._config.moving, 2.0 * math.sqrt(self._vv))
        self._widest = max(self._widest, self.radius)
        if fast:
            self._pace = max(self._pace, min(speed, self._config.fastest))
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

    @property
    def largest(self) -> float:
        """Radius that it is hardly ever seen to exceed [m]: who walks does not become wide, two who meet seem to."""
        grown = self.radius + _GROWTH
        return min(grown, _SLENDER) if self.moves and self._widest <= _SLENDER else grown

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

    def back(self, ahead: np.ndarray) -> np.ndarray:
        """Distance [t] from where it is within which all of it is [m], should it turn now, at times ahead [t] [s]."""
        return self.room + max(self._config.turning, self._pace) * ahead

    def reach(self, ahead: np.ndarray) -> np.ndarray:
        """Distance [t] from the expected middle within which all of it is [m], at times ahead [t] [s]."""
        config = self._config
        return self.room + np.minimum(
            config.caution * self.doubt(ahead), config.caution * config.noise + config.fastest * ahead
        )
