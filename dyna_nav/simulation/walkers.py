"""People who walk their rounds and yield to nobody: where they are is a function of time alone.

The physics knows nothing of them: who walks into a standing robot neither shoves it nor squeezes it against a wall, so
that a run after a hit is still a run. Lasers see them as discs, and touching one is a collision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RADIUS = 0.25  # of a walker, seen from above [m]


@dataclass(frozen=True, eq=False)
class Walker:
    """Somebody who walks a closed round at constant speed, over and over.

    corners [k, 2] (m, map frame): the round, straight from each to the next and from the last to the first; speed
    [m/s]; ahead [s]: how long before time 0 the walker left the first corner. Raises ValueError for a round of no
    length or a speed that is not above 0.
    """

    corners: np.ndarray
    speed: float
    ahead: float = 0.0
    radius: float = RADIUS

    def __post_init__(self):
        closed = np.concatenate([self.corners, self.corners[:1]]).astype(float)
        lengths = np.concatenate([[0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
        if not lengths[-1] > 0.0 or not self.speed > 0.0:
            raise ValueError(f"a walker needs a round and a speed; it got {lengths[-1]:g} m and {self.speed:g} m/s")
        object.__setattr__(self, "_closed", closed)
        object.__setattr__(self, "_lengths", lengths)

    @property
    def round_time(self) -> float:
        """Duration of one round [s]."""
        return float(self._lengths[-1] / self.speed)

    def position(self, time: np.ndarray | float) -> np.ndarray:
        """Where the walker is, [..., 2] (m, map frame), at times [...] (s)."""
        walked = np.mod((np.asarray(time, float) + self.ahead) * self.speed, self._lengths[-1])
        return np.stack([np.interp(walked, self._lengths, self._closed[:, axis]) for axis in (0, 1)], axis=-1)
