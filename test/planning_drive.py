"""A controller of Dyna-2 and a fleet of ideal robots in a hall: what the tests of the planner set off."""

from __future__ import annotations

import math

import numpy as np
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.world_model.kinematics import KinematicModel

HALL = hall(12, 8, [(4, 3.5, 8, 4.5)], stations=[(1, 1, 0.0), (11, 7, 0.0), (1, 7, 0.0), (11, 1, 0.0)])
CORNERS = [(1.5, 1.5, 0.0), (10.5, 6.5, math.pi), (1.5, 6.5, 0.0), (10.5, 1.5, math.pi)]
LOCKSTEP = PlannerConfig(budget_ms=0.0)  # no clock decides


class Drive:
    """A controller and a fleet in a hall; every robot starts in a corner and drives to the opposite one."""

    def __init__(self, robots=1, site=HALL, goals=None, poses=None, seed=0, config=LOCKSTEP, model=None, **more):
        self.fleet = IdealFleet(poses or CORNERS[:robots])
        self.controller = Dyna2Controller(model or KinematicModel(MODEL), config=config, **more)
        self.controller.reset(site, robots, np.random.default_rng(seed), MODEL)
        opposite = [CORNERS[k ^ 1] for k in range(robots)]
        for robot, goal in enumerate(opposite if goals is None else goals):
            self.assign(robot, goal)
        self.commands, self.way = [], []

    def assign(self, robot, goal):
        self.controller.assign(robot, None if goal is None else np.array(goal, float))
        self.fleet.goals[robot] = np.nan if goal is None else goal
        self.controller.wait_for_potentials()

    def steps(self, count, change=lambda observation: observation):
        for _ in range(count):
            command = self.controller.act(change(self.fleet.observe()))
            self.controller.wait_for_potentials()  # no clock decides
            self.commands.append(command)
            self.way.append(self.fleet.step(command))
        return np.array(self.commands)

    def distance(self, robot=0):
        return math.hypot(*(self.fleet.pose[robot] - self.fleet.goals[robot])[:2])

    def until_arrived(self, seconds):
        while max(self.distance(robot) for robot in range(len(self.fleet.pose))) > 0.25 and self.fleet.time < seconds:
            self.steps(1)
        return self.fleet.time

    @property
    def dyna2(self):
        return self.controller._dyna2
