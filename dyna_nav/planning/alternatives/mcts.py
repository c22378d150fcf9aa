"""Monte Carlo tree search with UCB over the nine actions (UCT: Kocsis and Szepesvari, ECML 2006), for each robot.

Open loop: a node is a sequence of actions, so that members and noise of the model average out below it (Lecarpentier
et al., IJCAI 2018). A round descends for a whole batch of leaves before the model is asked; visits that are under way
count in the exploration term only, so that the batch spreads (Liu et al., ICLR 2020). Below its leaf a rollout follows
Dyna-2's simulation policy on potential and permanent memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from dyna_nav.parameters import check, parameter
from dyna_nav.planning.alternatives.sequences import SequenceSearch
from dyna_nav.planning.rollouts import choose

_NO_NODE = -1


@dataclass(frozen=True)
class MCTSConfig:
    """Shape of the tree and how much it explores."""

    rounds: int = parameter(4, "batches of leaves per cycle", minimum=1, maximum=100)
    hold: int = parameter(3, "steps for which the action of one edge is kept", minimum=1, maximum=100)
    exploration: float = parameter(0.5, "weight of the exploration term, in units of span", minimum=0, maximum=100)
    span: float = parameter(0.1, "returns are limited to plus and minus this in the tree", minimum=0.001, maximum=100)

    def __post_init__(self):
        check(self)


class TreeSearch(SequenceSearch):
    """One tree for each robot and cycle; an action is worth the mean return of what was imagined below it."""

    def __init__(self, *arguments, config: MCTSConfig):
        super().__init__(*arguments, rounds=config.rounds, hold=config.hold)
        self._mcts = config

    def _prepare_rounds(self) -> int:
        count = super()._prepare_rounds()
        shape = (self.robots, 1 + count * self._share + len(self.actions), len(self.actions))
        self._child = np.full(shape, _NO_NODE)
        self._visits, self._under_way, self._sum = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._nodes = np.ones(self.robots, np.int64)  # in use; node 0 is the root
        return count

    def _propose(self) -> np.ndarray:
        sequences = np.full((self._decisions, self._rows), _NO_NODE)
        self._way = np.full((self._decisions, self._rows), _NO_NODE)  # node in which each decision is taken
        descend(
            self._robot, self._child, self._visits, self._under_way, self._sum, self._nodes,
            self._rng.random(self._rows), self._mcts.exploration * self._mcts.span, sequences, self._way,
        )  # fmt: skip
        return sequences

    def _choose(self, step: int) -> None:
        free = np.full(self._rows, len(self.actions) + 1)  # neither holds its action nor repeats the last cycle's
        choose(
            step, self._robot, free, self._chosen, self._running, self._pose, self._twist, self._battery, self._warm,
            self._rng.random((self._rows, 3)), self.config.change, self.config.greedy, self.fields, self._lattice,
            self._memories, self._state.goal_index, self.actions, self._motion, self._limits, self._reward,
            self._radius, self._live.clearance, self._geometry,
        )  # fmt: skip
        decided = self._sequences[step // self._hold]
        self._chosen[step] = np.where(decided == _NO_NODE, self._chosen[step], decided)

    def _doubt(self, step: int) -> None:
        self._number = _first_of_each(self._robot, self._first, len(self.actions))
        super()._doubt(step)

    def _take_in(self, total: np.ndarray) -> None:
        back_up(
            self._robot, self._sequences, self._way, self._length, total, self._hold, self._mcts.span, self._visits,
            self._under_way, self._sum,
        )  # fmt: skip

    def _worth(self, best: np.ndarray) -> np.ndarray:
        visits = self._visits[:, 0]
        return np.where(visits > 0, self._sum[:, 0] / np.maximum(visits, 1.0), -np.inf)


def _first_of_each(robot: np.ndarray, first: np.ndarray, actions: int) -> np.ndarray:
    """Number [rows] of each rollout: its first action where it is the first row with it, more than all others."""
    number = np.full(robot.size, actions + 1)
    _, row = np.unique(robot * actions + first, return_index=True)
    number[row] = first[row]
    return number


@njit(cache=True, nogil=True)
def descend(robot_of, child, visits, under_way, total, nodes, dice, exploration, sequences, way):
    """Choose a leaf for every row by UCB and write the actions leading to it, and the nodes they are taken in.

    child, visits, under_way, total [robots, nodes, actions]; nodes [robots] in use; dice [rows] in [0, 1) break ties;
    sequences, way [decisions, rows], -1 on entry.
    """
    decisions, actions = sequences.shape[0], child.shape[2]
    for row in range(robot_of.size):
        robot, node = robot_of[row], 0
        for depth in range(decisions):
            tried = visits[robot, node].sum() + under_way[robot, node].sum()
            best, best_bound = 0, -np.inf
            offset = int(dice[row] * actions)
            for k in range(actions):
                action = (offset + k) % actions
                seen = visits[robot, node, action]
                count = seen + under_way[robot, node, action]
                if count == 0.0:
                    bound = np.inf
                else:
                    mean = total[robot, node, action] / seen if seen > 0.0 else 0.0
                    bound = mean + exploration * math.sqrt(math.log(tried) / count)
                if bound > best_bound:
                    best, best_bound = action, bound
            sequences[depth, row], way[depth, row] = best, node
            under_way[robot, node, best] += 1.0
            if child[robot, node, best] < 0:
                if nodes[robot] < child.shape[1]:
                    child[robot, node, best] = nodes[robot]
                    nodes[robot] += 1
                break
            node = child[robot, node, best]


@njit(cache=True, nogil=True)
def back_up(robot_of, sequences, way, length, returned, hold, span, visits, under_way, total):
    """Add what each row returned from every decision on to the statistics of the edges it took."""
    for row in range(robot_of.size):
        robot = robot_of[row]
        for depth in range(sequences.shape[0]):
            node, action = way[depth, row], sequences[depth, row]
            if node < 0:
                break
            under_way[robot, node, action] -= 1.0
            if depth * hold < length[row]:  # a rollout may end before its leaf
                visits[robot, node, action] += 1.0
                total[robot, node, action] += min(max(returned[depth * hold, row], -span), span)
