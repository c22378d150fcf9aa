"""Potentials on request: computed one after the other in a thread of their own, and kept while they are young."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.potential import time_to_go


class PotentialStore:
    """Potentials by goal, computed one after the other in a thread of their own and kept while they are young."""

    def __init__(
        self, lattice: Lattice, robot: RobotModel, tolerance: GoalTolerance, config: PotentialConfig, capacity: int = 6
    ):
        self.lattice = lattice
        self._robot, self._tolerance, self._config = robot, tolerance, config
        self._capacity = capacity
        self._fields: OrderedDict[tuple, Future] = OrderedDict()
        self._askers: weakref.WeakKeyDictionary[Future, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="potential")

    @property
    def reach(self) -> float:
        """Distance [m] from a robot's way beyond which nothing that stands makes that way dearer."""
        return self.lattice.radius + max(self._config.wall_margin, self._config.full_speed_room)

    def request(
        self,
        goal: np.ndarray,
        obstacles: np.ndarray | None = None,
        flow: np.ndarray | None = None,
        version: Hashable = (),
    ) -> Future:
        """The potential of a goal pose [3] as a Future of float32 [rows, cols, headings].

        ``version`` tells apart potentials of the same goal with different ``obstacles`` and ``flow``, which are those
        of :func:`time_to_go`. Whoever wants it no longer may say so (``withdraw``).
        """
        key = (*np.round(np.asarray(goal, float), 3).tolist(), version)
        with self._lock:
            future = self._fields.get(key)
            if future is None or future.cancelled():
                future = self._worker.submit(
                    time_to_go, self.lattice, np.array(goal, float), self._robot, self._tolerance, self._config,
                    obstacles, flow,
                )  # fmt: skip
                self._fields[key] = future
                while len(self._fields) > self._capacity:
                    self._fields.popitem(last=False)
            self._fields.move_to_end(key)
            self._askers[future] = self._askers.get(future, 0) + 1
            return future

    def withdraw(self, future: Future) -> None:
        """Take one request back: nobody computes it any more unless it was asked for by somebody else too."""
        with self._lock:
            self._askers[future] -= 1
            if not self._askers[future]:
                future.cancel()

    def close(self) -> None:
        """Stop the thread; a computation that has begun is finished first."""
        self._worker.shutdown(wait=True, cancel_futures=True)
