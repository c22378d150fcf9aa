"""What goes into one cycle of a planner and what comes out of it: one row per robot of the machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FleetState:
    """What a cycle starts from; row i is robot i, all arrays in the map frame."""

    pose: np.ndarray  # [n, 3] x, y [m], yaw [rad]; NaN: nothing known
    twist: np.ndarray  # [n, 2] m/s, rad/s
    battery: np.ndarray  # [n] 0..1
    goal: np.ndarray  # [n, 3]
    previous: np.ndarray  # [n, 2] the command that is still acting
    goal_index: np.ndarray  # [n] nearest station of the goal
    planned: np.ndarray  # [n] bool: has a goal, a potential and good inputs, and the model may be used
    fallback: np.ndarray  # [n] bool: has them too, but the model may not be used
    speed_scale: np.ndarray  # [n] share of full speed that may be driven
    lateness: np.ndarray  # [n] commands may take so much longer than the braking rule's latency [s]


@dataclass(frozen=True)
class Scene:
    """What the imagination of one cycle starts from, and what it meets on the way."""

    state: FleetState
    memories: tuple[np.ndarray | float, ...]  # layout, keys, weights: permanent, transient; most that they may add
    clearance: np.ndarray  # float32 [rows, cols] of the live map [m]
    geometry: np.ndarray  # [3] its origin x, y and resolution [m]
    expected: np.ndarray  # [others, steps, 2] positions from now on, the fleet first; NaN: absent
    contact: np.ndarray  # [others] distance at which each is touched [m]


@dataclass(frozen=True)
class Plan:
    """One cycle's outcome."""

    action: np.ndarray  # [n] index of the chosen action; STOP for robots that are not planned
    value: np.ndarray  # [n, actions] best imagined return of each action; -inf where none was imagined
    admissible: np.ndarray  # [n, actions] bool
    uncertainty: np.ndarray  # [n] epistemic, of the chosen action
    path: np.ndarray  # [n, horizon + 1, 3] imagined poses of the choice; constant for robots that stand
    model_calls: int
    steps: int  # imagined steps that fitted into the budget
    rollouts: int  # imagined for each planned robot; fewer than configured where time is short
    cut: bool  # whether there was no time to reach the horizon
