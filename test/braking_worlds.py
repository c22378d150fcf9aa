"""Robots under the braking rule and nothing else: they do whatever is wished for, as far as it lets them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
from planning_worlds import MODEL, hall

from dyna_nav.mdp import STEP, STOP, action_set
from dyna_nav.planning.admissible import BrakingConfig, admissible_actions, braking_path, path_length
from dyna_nav.planning.braking_rule import BrakingRule
from dyna_nav.planning.fleet_state import FleetState

ACTIONS = action_set(MODEL)
CONFIG = BrakingConfig()
LIMITS = np.array([MODEL.acceleration, MODEL.deceleration, MODEL.turn_acceleration])
POINTS = path_length(MODEL, CONFIG)
ROOM = hall(6, 5)
NOTHING = np.empty((0, 2))  # no laser returns
NOBODY = np.empty((0, POINTS, 2)), np.empty((0, POINTS))  # who moves: where, and within what reach


def margins(config):
    return np.array([config.margin, config.speed_margin, config.return_margin, config.return_speed_margin])


class Rule:
    """The braking rule: its parts, asked one by one, and the planner's own use of them (``planners``)."""

    def __init__(self, site, robots, config=CONFIG):
        self.field, self.geometry = site.clearance.astype(np.float32), np.array([*site.map.origin, site.map.resolution])
        self.timing = np.array([config.latency, STEP])
        self.margins = margins(config)
        self.previous = np.zeros((robots, 2))
        self.robots = robots
        self.people = NOBODY
        self.planners = BrakingRule(MODEL, ACTIONS, config)

    def path(self, fleet, robot, command, hold, latency=None):
        out = np.empty((POINTS, 2))
        latency = self.timing[0] if latency is None else latency
        braking_path(fleet.pose[robot], fleet.twist[robot], self.previous[robot], command, LIMITS, latency, hold, out)
        return out

    def allowed(self, fleet, robot, paths, returns=NOTHING, halts=None, people=None):
        out = np.zeros(len(ACTIONS), bool)
        admissible_actions(
            robot, fleet.pose[robot], fleet.twist[robot], self.previous[robot], ACTIONS, paths,
            paths if halts is None else halts, returns, *(people or self.people), LIMITS, self.timing,
            MODEL.radius, self.margins, self.field, self.geometry, out,
        )  # fmt: skip
        return out

    def commands(self, fleet, wishes, order):
        """One cycle of the planner's own: each robot takes the first of its wishes [robots, actions] that it may."""
        self.begin(fleet)
        chosen = np.full(self.robots, STOP)
        for robot in order:
            allowed = self.planners.admissible(robot)
            chosen[robot] = next((action for action in wishes[robot] if allowed[action]), STOP)
            self.planners.commit(robot, chosen[robot])
        self.previous = ACTIONS[chosen]
        return self.previous

    def begin(self, fleet, returns=NOTHING, lateness=0.0):
        """The planner's rule takes in the fleet as it is; the braking paths [robots, points, 2] that it tells."""
        nothing, everyone = np.full((self.robots, 3), np.nan), np.ones(self.robots, bool)
        state = FleetState(
            pose=fleet.pose.copy(), twist=fleet.twist.copy(), battery=np.ones(self.robots), goal=nothing,
            previous=self.previous, goal_index=np.zeros(self.robots, int), planned=everyone, fallback=~everyone,
            speed_scale=np.ones(self.robots), lateness=np.full(self.robots, lateness),
        )  # fmt: skip
        live = SimpleNamespace(
            clearance=self.field, origin=self.geometry[:2], resolution=self.geometry[2],
            returns=[returns] * self.robots, moving=SimpleNamespace(possible=lambda times: self.people),
        )  # fmt: skip
        paths = np.full((self.robots, POINTS, 2), np.nan)
        self.planners.begin(state, live, paths)
        return paths


def standing_apart(site, robots, rng):
    """Random poses at which nobody stands within the margins of anything."""
    poses = []
    while len(poses) < robots:
        pose = np.array([*rng.uniform(site.map.origin, np.add(site.map.origin, site.map.size)), rng.uniform(-3.1, 3.1)])
        apart = all(math.hypot(*(pose - other)[:2]) > 2 * (MODEL.radius + CONFIG.margin) + 0.02 for other in poses)
        if apart and site.clearance_at(pose[:2]) > MODEL.radius + CONFIG.margin + 0.02:
            poses.append(pose)
    return poses
