"""Imagined trajectories: a batch of rollouts, and what is kept of it.

A batch starts at the states that the robots are in. One member of the ensemble predicts each of its rows, step by step;
every step is judged by the reward, shaped by the potential, and by how far the ensemble disagrees; where a row ends, or
time does, it is bootstrapped by the sum of both memories. Who chooses the actions, the simulation policy of Dyna-2 or
another search, is told with ``run``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dyna_nav.mdp import STOP
from dyna_nav.planning.config import Dyna2Config
from dyna_nav.planning.fleet_state import Scene
from dyna_nav.planning.rollouts import choose, judge, live_clearances, returns
from dyna_nav.planning.values import Values
from dyna_nav.world_model.encoding import CLEARANCE_POINTS, FEATURES, REWARD, apply_delta, encode_rows

_BEST_HOLD = 3  # steps for which the first rollout of every action holds it
_DOUBT_PERIOD = 5  # imagined steps from one measurement of the ensemble's disagreement to the next


def rows_for(
    planned: np.ndarray, share: int, members: int, actions: int, draw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a batch, member first, then robot: the robot of each, and its number among that robot's rollouts.

    planned bool [robots]: who gets ``share`` rollouts, or few more: at least one for each action, and another one.
    draw [robots], any integers: which of the members, taken in turn, predicts a robot's first rollout.
    """
    per_member = max(-(-(actions + 1) // members), share // members)
    member, robot, number = np.meshgrid(
        np.arange(members), np.flatnonzero(planned), np.arange(per_member), indexing="ij"
    )
    drawn = (number * members + member - draw[robot]) % (members * per_member)
    return np.ascontiguousarray(robot.ravel()), np.ascontiguousarray(drawn.ravel())


def holds(blocks: int, guided: int, horizon: int) -> np.ndarray:
    """For how many steps the first, second ... rollout of every action holds it, before it turns greedy [<= blocks].

    One holds it to the horizon; of the ``guided`` others, for 1, 3, 5 ... steps, the best comes before that, for where
    there is only one of each action.
    """
    others = sorted(range(1, 2 * guided, 2), key=lambda steps: steps != _BEST_HOLD)
    return np.minimum([*others[:1], horizon, *others[1:]], horizon)[:blocks]


class Rollouts:
    """One batch; row i is one rollout of ``robot[i]`` that begins with the action ``first[i]``.

    chosen [horizon, rows] actions; states [horizon + 1, rows, 5] x, y [m], yaw [rad], speed [m/s], battery; length
    [rows] steps that each row took, ``steps`` the most of them; running bool [rows]: has neither crashed nor arrived;
    uncertainty [robots, actions]: epistemic, of the first step; model_calls: rows that the model predicted; cut:
    whether there was no time to reach the horizon.
    """

    def __init__(
        self,
        model,
        values: Values,
        config: Dyna2Config,
        scene: Scene,
        robot: np.ndarray,
        first: np.ndarray,
        measured: np.ndarray,
        after: Rollouts | None = None,
    ):
        """robot, first [rows], ordered as by :func:`rows_for`.

        measured bool [rows]: along these the ensemble's disagreement is measured, for all that begin with the same
        action. A batch that comes ``after`` another one of the same cycle follows what that one has measured.
        """
        self._model, self._values, self._config, self._scene = model, values, config, scene
        self.robot, self.first = robot, first
        self._measured = measured if after is None else np.zeros_like(measured)
        state, rows, horizon = scene.state, robot.size, config.horizon
        shape = (len(state.pose), len(values.actions))
        self._doubts = np.zeros(shape) if after is None else after._doubts  # newest, of each robot's first actions
        self.uncertainty = np.zeros(shape) if after is None else after.uncertainty
        self._pose, self._twist = state.pose[robot].copy(), state.twist[robot].copy()
        self._battery, self._goal = state.battery[robot].copy(), state.goal[robot].copy()
        self._sent, self._from = state.previous[robot].copy(), state.pose[robot, :2].copy()
        potential = np.zeros(len(state.pose))
        for i in np.flatnonzero(state.planned):
            potential[i] = values.potential(i, state.pose[i], state.twist[i, 0])
        self._potential = potential[robot]
        self._penalty, self._delay = np.zeros(rows), np.zeros((horizon, rows))
        self._limit = np.full(rows, horizon)  # steps after which a row ends by the ensemble's doubt
        self._nearness = np.array([config.near, config.near_price])
        self._clearances = np.empty((rows, CLEARANCE_POINTS))
        self._features = np.empty((rows, FEATURES), np.float32)
        self.chosen, self.states = np.full((horizon, rows), STOP), np.zeros((horizon + 1, rows, 5))
        self.length, self.running = np.zeros(rows, np.int64), np.ones(rows, np.bool_)
        self.steps, self.model_calls, self.cut = 0, 0, False
        self._record(0)

    @property
    def rows(self) -> int:
        """Rollouts of all robots together."""
        return self.robot.size

    @property
    def share(self) -> int:
        """Rollouts of each planned robot."""
        return self.rows // int(np.count_nonzero(self._scene.state.planned))

    def run(self, policy: Callable[[Rollouts, int], None], seconds_left: Callable[[], float]) -> None:
        """Imagine step by step while there is time; ``policy`` writes the actions of a step into ``chosen[step]``."""
        horizon, pace, begin = self._config.horizon, 0.0, seconds_left()
        while self.steps < horizon and seconds_left() > 1.5 * pace and (moving := self._moving()).any():
            policy(self, self.steps)
            self._imagine(self.steps)
            self._judge(self.steps, moving)
            self.steps += 1
            pace = 0.0 if math.isinf(begin) else (begin - seconds_left()) / self.steps
        self.cut = self.steps < horizon and bool(self._moving().any())

    def follow_simulation_policy(self, step: int, number: np.ndarray, warm: np.ndarray, dice: np.ndarray) -> None:
        """Choose the actions of a step as :func:`dyna_nav.planning.rollouts.choose` does.

        number [rows] of each among its robot's rollouts, or FREE; warm [robots, steps]: what was best in the last
        cycle; dice [rows, 3] in [0, 1).
        """
        values, scene = self._values, self._scene
        hold = holds((self.share - 1) // len(values.actions), self._config.guided, self._config.horizon)
        choose(
            step, self.robot, number, self.chosen, self.running, self._pose, self._twist, self._battery, warm, dice,
            self._config.change, self._config.greedy, hold, values.fields, values.lattice,
            scene.memories, scene.state.goal_index, values.actions, values.motion, values.limits, values.reward,
            values.radius, scene.clearance, scene.geometry,
        )  # fmt: skip

    def returns(self) -> np.ndarray:
        """Returns [horizon + 1, rows] from every step on; -inf for what a model that answers nonsense imagined."""
        total = np.zeros((self._config.horizon + 1, self.rows))
        returns(
            self.length, self.robot, self.running, self._delay, self.states, self._scene.memories,
            self._scene.state.goal_index, self._values.discount, total,
        )  # fmt: skip
        total[:, ~np.isfinite(self.states).all(axis=(0, 2))] = -np.inf  # nor may the fleet be told of such a path
        return np.nan_to_num(total, copy=False, nan=-np.inf, posinf=-np.inf, neginf=-np.inf)

    def _moving(self) -> np.ndarray:
        """Rows, bool [rows], that take the next step."""
        return self.running & (self._limit > self.steps)

    def _imagine(self, step: int) -> None:
        """One step of every rollout, as its own member expects it.

        What the member does not know of this step (its variance) is not drawn: it is the sensors' noise and the payload
        more than anything that an action could be chosen by.
        """
        scene, command = self._scene, self._values.actions[self.chosen[step]]
        live_clearances(self._pose, scene.clearance, scene.geometry, self._clearances)
        encode_rows(
            self._pose, self._twist, self._battery, self._goal, self._sent, command, self._clearances, self._features
        )
        if step % _DOUBT_PERIOD == 0:
            self._doubt(step)
        mean, _ = self._model.predict(self._features.reshape(self._model.members, -1, FEATURES))
        self.model_calls += self.rows
        self._sent = command
        apply_delta(self._pose, self._twist, self._battery, mean.reshape(self.rows, -1)[:, :REWARD])

    def _doubt(self, step: int) -> None:
        """Measure the ensemble's disagreement along one row of each action; all others follow theirs."""
        rows = np.flatnonzero(self._measured & self.running)
        if rows.size:
            epistemic, _ = self._model.disagreement(self._features[rows])
            self.model_calls += rows.size * self._model.members
            # Actions whose row has ended keep their last value.
            self._doubts[self.robot[rows], self.first[rows]] = epistemic
            if step == 0:
                self.uncertainty = self._doubts.copy()
        self._follow_doubt(step)

    def _follow_doubt(self, step: int) -> None:
        """Every row pays, and ends, by the doubt about the action that it began with."""
        config, doubt = self._config, self._doubts[self.robot, self.first]
        if step == 0:
            self._limit[doubt > config.uncertain] = min(config.cautious_horizon, config.horizon)
        cut_short = doubt > config.very_uncertain
        self._limit[cut_short] = np.minimum(self._limit[cut_short], step + 1)
        # Among familiar actions uncertainty differs by more than their worth does: only the excess is priced.
        self._penalty = config.uncertainty_penalty * np.maximum(doubt - config.uncertain, 0.0)

    def _judge(self, step: int, moving: np.ndarray) -> None:
        values, scene = self._values, self._scene
        going = moving.copy()  # cleared for rows that crash or arrive
        judge(
            step, self.robot, going, self._pose, self._twist, self._goal, values.tolerance, self._potential,
            self._delay, values.fields, values.lattice, values.motion, values.reward, values.radius, values.margins,
            scene.clearance, scene.geometry, scene.expected, scene.contact, self._nearness, self._penalty, self._from,
        )  # fmt: skip
        self.length[moving] = step + 1
        self.running[moving & ~going] = False
        self._record(step + 1)

    def _record(self, step: int) -> None:
        now = self.states[step]
        now[:, :3], now[:, 3], now[:, 4] = self._pose, self._twist[:, 0], self._battery


class Imagined:
    """What one cycle's search found: the best trajectory of each robot and first action; at first, none.

    value [robots, actions]: what the actions are worth, -inf where nothing was imagined; length [robots, actions],
    states [horizon + 1, robots, actions, 5], chosen [horizon, robots, actions] and returns [horizon + 1, robots,
    actions] are those of the trajectories, as in Rollouts. steps: how far the rollouts that count have come;
    uncertainty [robots, actions]; rollouts of each planned robot, model_calls and cut: what there was time for.
    """

    def __init__(self, robots: int, actions: int, horizon: int):
        shape = (robots, actions)
        self.value, self.uncertainty = np.full(shape, -np.inf), np.zeros(shape)
        self.length, self.chosen = np.zeros(shape, np.int64), np.full((horizon, *shape), STOP)
        self.states, self.returns = np.zeros((horizon + 1, *shape, 5)), np.zeros((horizon + 1, *shape))
        self.steps, self.rollouts, self.model_calls, self.cut = 0, 0, 0, False

    def count(self, rollouts: Rollouts) -> None:
        """Note what a batch took."""
        self.rollouts += rollouts.share
        self.model_calls += rollouts.model_calls
        self.uncertainty, self.cut = rollouts.uncertainty, rollouts.cut

    def keep(self, rollouts: Rollouts, returns: np.ndarray) -> None:
        """Take over what is better in a batch than all before; returns [horizon + 1, rows]."""
        self.steps = max(self.steps, rollouts.steps)
        order = np.argsort(returns[0], kind="stable")  # later assignments win: the best row of each robot and action
        row = np.full(self.value.shape, -1)
        row[rollouts.robot[order], rollouts.first[order]] = order
        robot, action = np.nonzero((row >= 0) & (returns[0, row] > self.value))
        row = row[robot, action]
        self.value[robot, action], self.length[robot, action] = returns[0, row], rollouts.length[row]
        self.states[:, robot, action], self.chosen[:, robot, action] = rollouts.states[:, row], rollouts.chosen[:, row]
        self.returns[:, robot, action] = returns[:, row]

    def trajectory(self, robot: int, action: int) -> tuple[np.ndarray, np.ndarray]:
        """Poses [steps, 3] after now and actions [steps] of the best trajectory with that first action; or nothing."""
        length = self.length[robot, action]
        return self.states[1 : length + 1, robot, action, :3], self.chosen[:length, robot, action]
