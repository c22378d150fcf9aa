"""What real steps teach the permanent memory: TD(0) on its own error alone (Dyna-2, section 3)."""

from __future__ import annotations

import numpy as np

from dyna_nav.mdp import STEP
from dyna_nav.planning.fleet_state import FleetState
from dyna_nav.planning.values import Values

_LARGEST_ERROR = 1.0  # one real step teaches no more than this: ten seconds of delay


def learn_from_step(
    values: Values,
    last: FleetState,
    state: FleetState,
    elapsed: float,
    drove: np.ndarray,
    arrived: np.ndarray,
    rate: float,
) -> None:
    """The permanent memory learns the delay of the step that really happened, from ``last`` to ``state``.

    elapsed [s] between the two; drove bool [n]: who drove to its goal as it was told to; arrived bool [n]: who stands
    there now; rate: learning rate. A step during which a cycle was missed teaches nothing: what happened took longer.
    """
    if abs(elapsed - STEP) > 0.5 * STEP:
        return
    goal_reward, step_reward, _ = values.reward
    for robot in np.flatnonzero(drove & ~np.isnan(state.pose[:, 0])):
        if not np.array_equal(state.goal[robot], last.goal[robot]):
            continue
        goal_index = state.goal_index[robot]
        old = (last.pose[robot], last.twist[robot, 0], last.battery[robot], goal_index)
        before = values.potential(robot, *old[:2])
        if arrived[robot]:
            target = step_reward + goal_reward - before
        else:
            new = (state.pose[robot], state.twist[robot, 0], state.battery[robot], goal_index)
            after = values.potential(robot, *new[:2])
            target = step_reward + after - before + values.discount * values.permanent.value(*new)
        error = min(max(target - values.permanent.value(*old), -_LARGEST_ERROR), _LARGEST_ERROR)
        values.permanent.learn(*old, error, rate)
