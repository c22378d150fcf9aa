"""What the alternatives share: rounds of proposed action sequences, imagined and judged as Dyna-2 does it.

One cycle: each round proposes sequences for every planned robot, imagines them from the robots' present states with
the same noise, and tells the search what they returned; the best sequence that begins with each action is kept over
all rounds. The rounds divide the rollouts of a cycle among them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import numpy as np

from dyna_nav.planning.dyna2 import Dyna2
from dyna_nav.planning.fleet_state import FleetState, Scene
from dyna_nav.planning.imagination import Imagined, Rollouts, rows_for


class SequenceSearch(Dyna2, ABC):
    """A search over action sequences in rounds; subclasses say what to try (``_propose``) and what it taught them."""

    def __init__(self, *arguments, rounds: int = 1, hold: int = 1):
        """``arguments`` are Dyna-2's; rounds per cycle; hold: steps for which each action of a sequence is kept."""
        super().__init__(*arguments)
        self._rounds, self._hold = rounds, hold
        self._decisions = -(-self.config.horizon // hold)

    @abstractmethod
    def _propose(self, robot: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Actions [decisions, rows] for a round; a row is one sequence of ``robot[row]``, its ``number[row]``-th."""

    def _take_in(self, rollouts: Rollouts, sequences: np.ndarray, returns: np.ndarray) -> None:
        """Learn from what a round's sequences returned: returns [horizon + 1, rows] from every step."""

    def _search(self, scene: Scene, imagined: Imagined, seconds_left: Callable[[], float]) -> None:
        """Doubt is measured along the first round, in which every action begins a sequence; later ones follow it."""
        rounds, share = self._divide(scene.state.planned)
        self._prepare(rounds, share)
        rollouts, pace, before = None, 0.0, seconds_left()
        for _ in range(rounds):
            if seconds_left() <= 1.2 * pace:
                imagined.cut = True
                break
            robot, number = rows_for(scene.state.planned, share, self.model.members, len(self.actions), self._draw)
            sequences = self._propose(robot, number)
            measured = self._measured(robot, number, sequences[0])
            rollouts = Rollouts(self.model, self.values, self.config, scene, robot, sequences[0], measured, rollouts)
            rollouts.run(partial(self._follow, sequences), seconds_left)
            imagined.count(rollouts)
            if not rollouts.steps:
                break
            returns = rollouts.returns()
            imagined.keep(rollouts, returns)
            self._take_in(rollouts, sequences, returns)
            now = seconds_left()
            pace, before = max(pace, before - now), now
        imagined.value = self._worth(imagined.value)

    def _learn(self, state: FleetState, imagined: Imagined) -> None:
        """There is no transient memory."""

    def _divide(self, planned: np.ndarray) -> tuple[int, int]:
        """Rounds of a cycle, and the rollouts of each robot in one of them: every action can begin one."""
        rollouts, members = self._share(planned), self.model.members
        least = members * -(-(len(self.actions) + 1) // members)
        rounds = max(1, min(self._rounds, rollouts // least))
        return rounds, rollouts // rounds

    def _prepare(self, rounds: int, share: int) -> None:
        """Begin a cycle of so many rounds, with so many rollouts of each robot in one of them."""

    def _measured(self, robot: np.ndarray, number: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Rows, bool [rows], along which doubt is measured: one for each first action of a robot."""
        return number < len(self.actions)

    def _follow(self, sequences: np.ndarray, rollouts: Rollouts, step: int) -> None:
        """What a rollout does at a step: the actions go into ``rollouts.chosen[step]``."""
        rollouts.chosen[step] = sequences[step // self._hold]

    def _worth(self, best: np.ndarray) -> np.ndarray:
        """What the actions are worth [robots, actions], given the best return of each (-inf: none was imagined)."""
        return best
