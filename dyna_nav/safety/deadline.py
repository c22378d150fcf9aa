"""The planner's hard deadline: it looks at the clock itself, and a watchdog acts when it does not.

An answer that comes late is not driven: the previous commands are sent again, and the miss is counted; only an order
to stand counts at once. Late several times in a row, or by far, the robots are stopped until cycles have been on time
again for a while.

:class:`DeadlineMonitor` judges each finished cycle in the planner's own thread. :class:`Watchdog` is a thread that acts
at the deadline of a cycle that has not finished; it needs the interpreter for a moment, which ONNX Runtime and numba
(nogil) let it have. When the whole process hangs, the velocity gate hears silence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dyna_nav.parameters import parameter


@dataclass(frozen=True)
class DeadlineConfig:
    """When a cycle is late, and how late is too late."""

    budget: float = parameter(0.08, "time of a cycle until its commands are out [s]", minimum=0.005, maximum=1)
    misses_to_stop: int = parameter(3, "cycles late in a row that stop the robots", minimum=1, maximum=100)
    overrun_to_stop: float = parameter(0.1, "a cycle later than this stops the robots [s]", minimum=0, maximum=1)
    cycles_to_resume: int = parameter(5, "cycles on time in a row after which they drive on", minimum=1, maximum=1000)


class SteadyClock:
    """Time as it passes; tests put one in its place that passes when they say so."""

    def now(self) -> float:
        """Seconds since some fixed instant."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait for the condition to be notified, or until the time has passed; for ever with None."""
        condition.wait(seconds)


class Deadline:
    """The end of one cycle's time."""

    def __init__(self, budget: float, clock: SteadyClock) -> None:
        """The deadline lies `budget` seconds from now."""
        self._clock = clock
        self.time = clock.now() + budget

    def remaining(self) -> float:
        """Seconds left; negative when the deadline has passed."""
        return self.time - self._clock.now()


@dataclass(frozen=True)
class Verdict:
    """What to send at the end of a cycle: commands [robots, 2] (m/s, rad/s); why the robots are stopped, or None."""

    commands: np.ndarray
    late: bool
    reason: str | None = None


class DeadlineMonitor:
    """Judges the duration of each cycle: on time, late (the previous commands again) or too late (stop)."""

    def __init__(self, config: DeadlineConfig | None = None) -> None:
        self._config = config or DeadlineConfig()
        self.cycles = 0
        self.misses = 0
        self._in_a_row = 0
        self._in_a_row_before = 0  # the cycle that is being judged
        self._on_time = 0
        self._late = False
        self._previous: np.ndarray | None = None
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why the robots are stopped, None while they are not."""
        return self._reason

    def finish(self, duration: float, commands: np.ndarray) -> Verdict:
        """Judge a cycle that took `duration` [s] and answered `commands` [robots, 2]."""
        self.cycles += 1
        self._in_a_row_before = self._in_a_row
        self._late = not duration <= self._config.budget
        if self._late:
            self._count_miss(duration)
        else:
            self._in_a_row, self._on_time = 0, self._on_time + 1
            if self._on_time >= self._config.cycles_to_resume:
                self._reason = None
        stop = np.zeros_like(commands)
        if self._reason is not None:
            answer = stop
        elif self._late:  # an order to stand counts at once, however late it comes
            previous = stop if self._previous is None else self._previous
            answer = np.where((commands == 0).all(axis=1, keepdims=True), 0.0, previous)
        else:
            answer = commands
        self._previous = answer.copy()
        return Verdict(answer, self._late, self._reason)

    def sent(self, duration: float) -> bool:
        """The commands of the cycle just judged were out after `duration` [s]; returns whether the cycle was late.

        Late in sending is a miss as well; where it is one too many, `reason` says so and the next answer is to stand.
        """
        if not self._late and not duration <= self._config.budget:
            self._late, self._in_a_row = True, self._in_a_row_before
            self._count_miss(duration)
        return self._late

    def skip(self, slots: int) -> None:
        """So many cycles of the schedule never began: each is a miss."""
        self.misses += slots

    def _count_miss(self, duration: float) -> None:
        config = self._config
        self.misses += 1
        self._in_a_row, self._on_time = self._in_a_row + 1, 0
        if duration > config.budget + config.overrun_to_stop:
            self._reason = f"deadline: a cycle took {1e3 * duration:.0f} ms of {1e3 * config.budget:.0f} ms"
        elif self._in_a_row >= config.misses_to_stop:
            self._reason = f"deadline: {self._in_a_row} cycles in a row over {1e3 * config.budget:.0f} ms"


class Watchdog:
    """A thread that acts when a cycle passes its deadline: first it sends the previous commands again, then it stops.

    `resend` (optional) is called at the deadline of a cycle that has not finished, once; `stop` is called with a
    sentence when the cycle is late by more than `overrun_to_stop` or is the last of `misses_to_stop` in a row, once.
    Both run in the watchdog's thread, never after `end` has returned, and must not call the watchdog. An exception in
    them ends the watchdog and comes out of the next `begin`.

    Use: ``start()``, then ``begin()`` and ``end()`` around each cycle, then ``stop()``.
    """

    def __init__(
        self,
        config: DeadlineConfig,
        stop: Callable[[str], None],
        resend: Callable[[], None] | None = None,
        clock: SteadyClock | None = None,
    ) -> None:
        self._config, self._stop, self._resend = config, stop, resend
        self._clock = clock or SteadyClock()
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._deadline: Deadline | None = None
        self._acted = self._stopped = self._closing = False
        self._in_a_row = 0
        self._failure: BaseException | None = None
        self.misses = 0  # cycles that it saw pass their deadline
        self.stops = 0  # of these, how often it stopped the robots

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def begin(self) -> Deadline:
        """A cycle begins; returns its deadline. Raises RuntimeError when the watchdog has died."""
        with self._condition:
            if self._failure is not None:
                raise RuntimeError("the watchdog died of an error in its callback") from self._failure
            self._acted = self._stopped = False
            self._deadline = Deadline(self._config.budget, self._clock)
            self._condition.notify_all()
            return self._deadline

    def end(self) -> None:
        """The cycle has finished; the watchdog keeps quiet until the next one."""
        with self._condition:
            self._deadline = None
            if not self._acted:
                self._in_a_row = 0

    def stop(self) -> None:
        """End the thread; harmless when it never started."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        with self._condition:
            while not self._closing:
                if self._deadline is None or self._stopped:
                    self._clock.wait(self._condition, None)
                    continue
                grace = self._config.overrun_to_stop if self._acted else 0.0
                remaining = self._deadline.remaining() + grace
                if remaining > 0.0:
                    self._clock.wait(self._condition, remaining)
                    continue
                try:
                    self._act()
                except BaseException as error:
                    self._failure = error
                    return

    def _act(self) -> None:
        """The deadline has passed, or, once that was answered, the time for which the old commands may hold."""
        config = self._config
        if not self._acted:
            self._acted = True
            self.misses += 1
            self._in_a_row += 1
            if self._in_a_row < config.misses_to_stop:
                if self._resend is not None:
                    self._resend()
                return
            reason = f"{self._in_a_row} cycles in a row over {1e3 * config.budget:.0f} ms"
        else:
            late = config.budget + config.overrun_to_stop
            reason = f"a cycle has not finished after {1e3 * late:.0f} ms"
        self._stopped = True
        self.stops += 1
        self._stop(reason)
