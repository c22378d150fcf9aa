"""A complete controller: turn to the goal, drive straight at it, stop for what the laser sees ahead."""

import numpy as np

from dyna_nav.mdp import GoalTolerance, goal_reached, wrap_angle


class StraightLine:
    def reset(self, site, robots, rng, model):
        self.model = model
        self.goal = np.full((robots, 3), np.nan)

    def assign(self, robot, goal):
        self.goal[robot] = np.nan if goal is None else goal

    def act(self, observation):
        pose, offset = observation.pose, self.goal - observation.pose
        distance = np.hypot(offset[:, 0], offset[:, 1])
        bearing = wrap_angle(np.arctan2(offset[:, 1], offset[:, 0]) - pose[:, 2])
        ahead = np.abs(wrap_angle(observation.scan_angles)) < 0.5
        room = observation.scan[:, ahead].min(axis=1) - self.model.radius - 0.1
        allowed = np.clip(np.minimum(distance, room), 0.0, None)
        speed = np.minimum(self.model.max_speed, np.sqrt(self.model.deceleration * allowed))
        commands = np.stack([speed * (np.abs(bearing) < 0.5), 2.0 * bearing], axis=1)
        commands[:, 1] = np.clip(commands[:, 1], -self.model.max_turn_rate, self.model.max_turn_rate)
        idle = goal_reached(pose, observation.twist[:, 0], self.goal, GoalTolerance())
        idle |= np.isnan(commands).any(axis=1)  # without a goal, or without a pose
        commands[idle] = 0.0
        return commands
