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
from dyna_nav.planning.imagination import Rollouts
from dyna_nav.planning.rollouts import FREE

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

    def _prepare(self, rounds: int, share: int) -> None:
        shape = (self.robots, 1 + rounds * share + len(self.actions), len(self.actions))
        self._child = np.full(shape, _NO_NODE)
        self._visits, self._under_way, self._sum = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._nodes = np.ones(self.robots, np.int64)  # in use; node 0 is the root

    def _propose(self, robot: np.ndarray, number: np.ndarray) -> np.ndarray:
        sequences = np.full((self._decisions, robot.size), _NO_NODE)
        self._way = np.full((self._decisions, robot.size), _NO_NODE)  # node in which each decision is taken
        descend(
            robot, self._child, self._visits, self._under_way, self._sum, self._nodes, self._rng.random(robot.size),
            self._mcts.exploration * self._mcts.span, sequences, self._way,
        )  # fmt: skip
        return sequences

    def _measured(self, robot: np.ndarray, number: np.ndarray, first: np.ndarray) -> np.ndarray:
        measured = np.zeros(robot.size, bool)
        measured[np.unique(robot * len(self.actions) + first, return_index=True)[1]] = True
        return measured

    def _follow(self, sequences: np.ndarray, rollouts: Rollouts, step: int) -> None:
        """The way to the leaf, and the simulation policy below it."""
        free = np.full(rollouts.rows, FREE)
        rollouts.follow_simulation_policy(step, free, self._warm, self._rng.random((rollouts.rows, 3)))
        decided = sequences[step // self._hold]
        rollouts.chosen[step] = np.where(decided == _NO_NODE, rollouts.chosen[step], decided)

    def _take_in(self, rollouts: Rollouts, sequences: np.ndarray, returns: np.ndarray) -> None:
        back_up(
            rollouts.robot, sequences, self._way, rollouts.length, returns, self._hold, self._mcts.span, self._visits,
            self._under_way, self._sum,
        )  # fmt: skip

    def _worth(self, best: np.ndarray) -> np.ndarray:
        visits = self._visits[:, 0]
        return np.where(visits > 0, self._sum[:, 0] / np.maximum(visits, 1.0), -np.inf)


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
