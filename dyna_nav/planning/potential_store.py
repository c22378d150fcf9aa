"""Potentials on request: computed one after the other in a thread of their own, and kept while they are young."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from queue import Empty, PriorityQueue

import numpy as np

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.planning.lattice import Lattice, PotentialConfig
from dyna_nav.planning.potential import time_to_go

_AT_ONCE, _GOAL, _DETOUR = range(3)  # the order in which what waits is served


class PotentialStore:
    """Potentials by goal, computed one after the other in a thread of their own and kept while they are young.

    Who has a new goal and no way yet comes before those that want a better one.
    """

    def __init__(
        self, lattice: Lattice, robot: RobotModel, tolerance: GoalTolerance, config: PotentialConfig, capacity: int = 6
    ):
        self.lattice = lattice
        self._robot, self._tolerance, self._config = robot, tolerance, config
        self._capacity = capacity
        self._fields: OrderedDict[tuple, Future] = OrderedDict()
        self._askers: weakref.WeakKeyDictionary[Future, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._waiting: PriorityQueue[tuple[int, int, Future | None, tuple]] = PriorityQueue()
        self._number = count()
        self._end = weakref.finalize(self, self._waiting.put, (_AT_ONCE, 0, None, ()))  # at most once
        self._worker = threading.Thread(target=_work, args=(lattice, self._waiting), name="potential", daemon=True)
        self._worker.start()

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

        ``obstacles`` and ``flow`` are those of :func:`time_to_go`; ``version`` tells apart potentials of the same goal
        with different obstacles. The traffic of one moment is never that of another: what has a flow is not kept for
        others. Whoever wants it no longer may say so (``withdraw``). RuntimeError after ``close``.
        """
        key = (*np.round(np.asarray(goal, float), 3).tolist(), version)
        with self._lock:
            if not self._end.alive:  # nobody would ever compute it
                raise RuntimeError("the potential store is closed")
            if flow is not None:
                future = self._queue(_DETOUR, goal, obstacles, flow)
            else:
                future = self._fields.get(key)
                if future is None or future.cancelled():
                    order = _GOAL if obstacles is None else _DETOUR
                    future = self._fields[key] = self._queue(order, goal, obstacles, None)
                    while len(self._fields) > self._capacity:
                        self._fields.popitem(last=False)
                self._fields.move_to_end(key)
            self._askers[future] = self._askers.get(future, 0) + 1
            return future

    def _queue(self, order: int, goal: np.ndarray, obstacles: np.ndarray | None, flow: np.ndarray | None) -> Future:
        future: Future = Future()
        wanted = (np.array(goal, float), self._robot, self._tolerance, self._config, obstacles, flow)
        self._waiting.put((order, next(self._number), future, wanted))
        return future

    def withdraw(self, future: Future) -> None:
        """Take one request back: nobody computes it any more unless it was asked for by somebody else too."""
        with self._lock:
            self._askers[future] -= 1
            if not self._askers[future]:
                future.cancel()

    def close(self) -> None:
        """Stop the thread; a computation that has begun is finished first."""
        with self._lock:
            self._end()
        self._worker.join()


def _work(lattice: Lattice, waiting: PriorityQueue) -> None:
    """The life of the thread; it knows nothing of the store, which may go without having been closed."""
    while True:
        _, _, future, wanted = waiting.get()
        if future is None:
            break
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(time_to_go(lattice, *wanted))
            except Exception as error:  # raised by result() for whoever asked
                future.set_exception(error)
    with suppress(Empty):
        while True:
            waiting.get_nowait()[2].cancel()
