"""Sparse, interpolated value memories: corrections to the potential over (x, y, heading, speed, battery, goal).

Dyna-2 (Silver, Sutton and Mueller, ICML 2008) keeps two: a permanent one, learned from real experience, and a transient
one, learned from imagined experience and emptied with every new goal; states are valued by their sum. Only bins that
were visited take memory: an open-addressing hash table from bin number to weight and visits.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from dyna_nav.mdp import Bins

_EMPTY = -1
_CORNERS = 8  # x, y and heading are interpolated between two bins each


@dataclass(frozen=True)
class Grid:
    """Where the bins of x and y lie: corner [m] and extent [m] of the site, map frame."""

    origin: tuple[float, float]
    extent: tuple[float, float]


@njit(cache=True, nogil=True)
def _find(keys, key):
    """Slot of the key, or of the empty place where it would go."""
    mask = keys.size - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64((mixed ^ (mixed >> np.uint64(29))) & np.uint64(mask))
    while keys[slot] != _EMPTY and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def corners(layout, x, y, yaw, speed, battery, goal, bins, shares):
    """Bins [8] around a state and their interpolation shares [8] (sum 1)."""
    ox, oy, sx, sy = layout[0], layout[1], layout[2], layout[3]
    nx, ny, nh = int(layout[4]), int(layout[5]), int(layout[6])
    nv, nb, ng = int(layout[7]), int(layout[8]), int(layout[9])
    u = min(max((x - ox) / sx - 0.5, 0.0), nx - 1.0)
    v = min(max((y - oy) / sy - 0.5, 0.0), ny - 1.0)
    w = (yaw / (2 * math.pi)) % 1.0 * nh
    x0, y0, h0 = int(u), int(v), int(w) % nh
    fx, fy, fh = u - x0, v - y0, w - math.floor(w)
    if nh == 1:
        fh = 0.0  # both neighbours are the same bin, which must not count twice in the gradient
    iv = min(max(int(speed / layout[10] * nv), 0), nv - 1)
    ib = min(max(int(battery * nb), 0), nb - 1)
    ig = min(max(goal, 0), ng - 1)
    k = 0
    for dx in range(2):
        for dy in range(2):
            for dh in range(2):
                ix, iy, ih = min(x0 + dx, nx - 1), min(y0 + dy, ny - 1), (h0 + dh) % nh
                bins[k] = ((((np.int64(ig) * nb + ib) * nv + iv) * nh + ih) * ny + iy) * nx + ix
                shares[k] = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fh if dh else 1 - fh)
                k += 1


@njit(cache=True, nogil=True)
def value(layout, keys, weights, x, y, yaw, speed, battery, goal):
    """Value of one state; 0 where nothing was learned."""
    bins, shares = np.empty(_CORNERS, np.int64), np.empty(_CORNERS)
    corners(layout, x, y, yaw, speed, battery, goal, bins, shares)
    total = 0.0
    for k in range(_CORNERS):
        slot = _find(keys, bins[k])
        if keys[slot] != _EMPTY:
            total += shares[k] * weights[slot]
    return total


@njit(cache=True, nogil=True)
def _adjust(layout, keys, weights, visits, x, y, yaw, speed, battery, goal, error, rate):
    """Move the value of one state by rate times error; returns how many bins were new.

    The gradient of a linear function: each corner moves by its share, normalised so that the state's own value moves
    by exactly ``rate * error``.
    """
    bins, shares = np.empty(_CORNERS, np.int64), np.empty(_CORNERS)
    corners(layout, x, y, yaw, speed, battery, goal, bins, shares)
    norm = 0.0
    for k in range(_CORNERS):
        norm += shares[k] * shares[k]
    fresh = 0
    for k in range(_CORNERS):
        if shares[k] == 0.0:
            continue
        slot = _find(keys, bins[k])
        if keys[slot] == _EMPTY:
            keys[slot] = bins[k]
            fresh += 1
        weights[slot] += rate * error * shares[k] / norm
        visits[slot] += shares[k]
    return fresh


@njit(cache=True, nogil=True)
def _insert(keys, weights, visits, new_keys, new_weights, new_visits):
    for k in range(new_keys.size):
        slot = _find(keys, new_keys[k])
        keys[slot], weights[slot], visits[slot] = new_keys[k], new_weights[k], new_visits[k]


class ValueMemory:
    """A sparse, interpolated table of values for one site.

    ``layout``, ``keys`` and ``weights`` are the arrays that :func:`value` reads inside compiled rollouts.
    """

    def __init__(self, bins: Bins, grid: Grid, max_speed: float, capacity: int = 1 << 12):
        self.bins, self.grid = bins, grid
        self.layout = np.array(
            (
                *grid.origin,
                grid.extent[0] / bins.x,
                grid.extent[1] / bins.y,
                bins.x,
                bins.y,
                bins.heading,
                bins.speed,
                bins.battery,
                bins.goal,
                max_speed,
            ),
            float,
        )
        self._capacity = capacity
        self.clear()

    def __len__(self) -> int:
        return self._used

    def clear(self) -> None:
        """Forget everything."""
        self._fill(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32), self._capacity)

    def forget(self, goal: int) -> None:
        """Forget everything about one goal index."""
        held = np.flatnonzero(self.keys != _EMPTY)
        kept = held[self.keys[held] // int(np.prod(self.layout[4:9])) != goal]
        if len(kept) < len(held):
            self._fill(self.keys[kept], self.weights[kept], self.visits[kept], self._capacity_for(len(kept)))

    def fade(self, share: float) -> None:
        """Keep a share (0..1) of every value: what is not learned again is forgotten bit by bit."""
        self.weights *= np.float32(share)

    def _capacity_for(self, count: int) -> int:
        size = self._capacity
        while size < 2 * (count + _CORNERS):
            size *= 2
        return size

    def value(self, pose, speed: float, battery: float, goal: int) -> float:
        """Value of a state: pose [3] in the map frame, speed [m/s], battery 0..1, goal index."""
        return value(self.layout, self.keys, self.weights, pose[0], pose[1], pose[2], speed, battery, goal)

    def learn(self, pose, speed: float, battery: float, goal: int, error: float, rate: float) -> None:
        """Move the value of a state by ``rate * error``."""
        if 2 * (self._used + _CORNERS) > self.keys.size:
            self._grow()
        self._used += _adjust(
            self.layout,
            self.keys,
            self.weights,
            self.visits,
            pose[0],
            pose[1],
            pose[2],
            speed,
            battery,
            goal,
            error,
            rate,
        )

    def _grow(self) -> None:
        held = np.flatnonzero(self.keys != _EMPTY)
        keys, weights, visits = self.keys[held], self.weights[held], self.visits[held]
        self._fill(keys, weights, visits, 2 * self.keys.size)

    def _fill(self, keys: np.ndarray, weights: np.ndarray, visits: np.ndarray, size: int) -> None:
        self.keys = np.full(size, _EMPTY, np.int64)
        self.weights, self.visits = np.zeros(size, np.float32), np.zeros(size, np.float32)
        _insert(self.keys, self.weights, self.visits, keys, weights, visits)
        self._used = len(keys)

    def content(self) -> dict[str, np.ndarray]:
        """What a file of the memory holds: a copy that later lessons leave as it is."""
        held = np.flatnonzero(self.keys != _EMPTY)
        arrays = {"keys": self.keys, "weights": self.weights, "visits": self.visits}
        return {"layout": self.layout.copy()} | {name: array[held] for name, array in arrays.items()}

    def save(self, path: Path) -> None:
        """Write the memory as it is; see :func:`write`."""
        write(path, self.content())

    def load(self, path: Path) -> str | None:
        """Read a saved memory; the answer is None or one sentence on what was wrong.

        A damaged or foreign file is set aside as ``*.damaged`` and the memory stays as it is; nothing is raised.
        """
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                layout, keys, weights, visits = (archive[name] for name in ("layout", "keys", "weights", "visits"))
            if keys.dtype.kind != "i" or any(array.dtype.kind != "f" for array in (layout, weights, visits)):
                raise ValueError("its arrays are of other types")
            if layout.shape != self.layout.shape or not np.allclose(layout, self.layout):
                raise ValueError("it was made for another site or other bins")
            states = int(np.prod(self.layout[4:10]))
            if not (keys.ndim == 1 and keys.shape == weights.shape == visits.shape):
                raise ValueError("its arrays differ in length")
            if keys.size and (keys.min() < 0 or keys.max() >= states or np.unique(keys).size != keys.size):
                raise ValueError("it names bins that do not exist")
            if not (np.isfinite(weights).all() and np.isfinite(visits).all()):
                raise ValueError("it holds values that are not finite")
        except Exception as error:  # numpy raises nearly anything for a file that is cut, overwritten or foreign
            reason = " ".join(str(error).split()) or type(error).__name__
            aside = path.with_name(path.name + ".damaged")
            try:
                os.replace(path, aside)
            except OSError as refusal:
                return f"permanent memory {path} cannot be used ({reason}) nor set aside ({refusal}); starting empty"
            return f"permanent memory {path} cannot be used ({reason}); set aside as {aside.name}, starting empty"
        self._fill(keys, weights, visits, self._capacity_for(len(keys)))
        return None


def write(path: Path, content: dict[str, np.ndarray]) -> None:
    """Write a memory's content atomically (numpy archive without objects): a crash leaves the old file or the new one.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
