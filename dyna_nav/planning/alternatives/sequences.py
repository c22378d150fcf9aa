"""What the alternatives share: rounds of proposed action sequences, imagined and judged as Dyna-2 does it.

One cycle: each round proposes sequences for every planned robot, imagines them from the robots' present states with
the same noise, and tells the search what they returned; the best sequence that begins with each action is kept over
all rounds. The rounds divide Dyna-2's rollouts among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from dyna_nav.planning.dyna2 import Dyna2


class SequenceSearch(Dyna2, ABC):
    """A search over action sequences in rounds; subclasses say what to try (``_propose``) and what it taught them."""

    def __init__(self, *arguments, rounds: int = 1, hold: int = 1):
        """``arguments`` are Dyna-2's; rounds per cycle; hold: steps for which each action of a sequence is kept."""
        super().__init__(*arguments)
        self._rounds, self._hold = rounds, hold
        self._decisions = -(-self.config.horizon // hold)

    @abstractmethod
    def _propose(self) -> np.ndarray:
        """Actions [decisions, rows] for this round; a row is one sequence of robot ``_robot[row]``."""

    def _take_in(self, total: np.ndarray) -> None:
        """Learn from what the round returned: total [horizon + 1, rows] are the returns from every step."""

    def _search(self, seconds_left: Callable[[], float]) -> int:
        count = self._prepare_rounds()
        best = _BestSequences(self.robots, len(self.actions), self.config.horizon)
        steps, pace, before = 0, 0.0, seconds_left()
        for self._round in range(count):
            if seconds_left() <= 1.2 * pace:
                self._cut = True
                break
            self._start(self._share)
            self._sequences = self._propose()
            self._first = self._sequences[0]
            ran = self._roll_out(seconds_left)
            if not ran:
                break
            steps = max(steps, ran)
            self._action_value.fill(-np.inf)
            total = self._rank()
            best.keep(self._action_value, self._best_row, self._states, self._chosen, self._length)
            self._take_in(total)
            now = seconds_left()
            pace, before = max(pace, before - now), now
        self._states, self._chosen, self._length = best.states, best.chosen, best.length
        self._best_row, self._action_value = best.rows(), self._worth(best.value)
        return steps

    def _worth(self, best: np.ndarray) -> np.ndarray:
        """What the actions are worth [robots, actions], given the best return of each (-inf: none was imagined)."""
        return best

    def _prepare_rounds(self) -> int:
        """Divide the rollouts of a cycle into rounds in which every action can begin one; tells how many."""
        rollouts = min(self.config.rollouts, self.config.model_rows // self._active.size)
        members = self.model.members
        least = members * -(-(len(self.actions) + 1) // members)
        count = max(1, min(self._rounds, rollouts // least))
        self._share = rollouts // count
        return count

    def _choose(self, step: int) -> None:
        self._chosen[step] = self._sequences[step // self._hold]

    def _doubt(self, step: int) -> None:
        """Doubt is measured along the first round, in which every action begins a sequence; later rounds follow it."""
        if self._round == 0:
            super()._doubt(step)
        else:
            self._follow_doubt(step)


class _BestSequences:
    """The best imagined sequence of each robot and first action, over the rounds of a cycle."""

    def __init__(self, robots: int, actions: int, horizon: int):
        slots = robots * actions
        self.value = np.full((robots, actions), -np.inf)
        self.states = np.zeros((horizon + 1, slots, 5))  # x, y [m], yaw [rad], speed [m/s], battery
        self.chosen = np.zeros((horizon, slots), np.int64)
        self.length = np.zeros(slots, np.int64)

    def keep(self, value, row, states, chosen, length) -> None:
        """Take over what is better: value, row [robots, actions]; states, chosen, length by row."""
        better = value > self.value
        source, slot = row[better], np.flatnonzero(better.ravel())
        self.value[better] = value[better]
        self.states[:, slot], self.chosen[:, slot] = states[:, source], chosen[:, source]
        self.length[slot] = length[source]

    def rows(self) -> np.ndarray:
        """Slot [robots, actions] of each sequence; -1 where none was imagined."""
        return np.where(np.isfinite(self.value), np.arange(self.value.size).reshape(self.value.shape), -1)
