"""Model predictive path integral control (Williams et al., ICRA 2017) by the package pytorch-mppi.

The package samples, weighs and averages the command sequences of all robots in one batch (``MPPI_Batched``); what a
sequence leads to and what that costs is told it here: the learned ensemble or ideal kinematics, and Dyna-2's own
shaped reward with the sign turned, so that both planners want the same. Commands are continuous. A collision monitor
brakes for the laser, because the average of two good ways can be a bad one. Needs the extra ``outsiders``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pytorch_mppi import MPPI_Batched

from dyna_nav.controller import Observation
from dyna_nav.mdp import STEP, Reward, RobotModel
from dyna_nav.outsiders.laser_brake import speed_for_laser
from dyna_nav.outsiders.surroundings import Surroundings
from dyna_nav.parameters import check, parameter
from dyna_nav.planning.rollouts import judge, live_clearances, steps_to_go
from dyna_nav.site import Site
from dyna_nav.world_model.bundle import default_bundle, load_bundle
from dyna_nav.world_model.encoding import CLEARANCE_POINTS, FEATURES, REWARD, apply_delta, encode_rows
from dyna_nav.world_model.kinematics import KinematicModel
from dyna_nav.world_model.runtime import WorldModel

_NO_MARGINS = np.zeros(2)  # nothing brakes for it that it would have to reckon with
_STATE = 8  # x, y [m], yaw [rad], speed [m/s], turn rate [rad/s], battery, and the last command [m/s, rad/s]


@dataclass(frozen=True)
class MPPIConfig:
    """Sampling and cost of the outsider."""

    samples: int = parameter(200, "command sequences per robot and cycle", minimum=10, maximum=10_000)
    horizon: int = parameter(20, "steps of a sequence", minimum=1, maximum=100)
    hold: int = parameter(4, "steps that share one sampled deviation", minimum=1, maximum=100)
    temperature: float = parameter(0.003, "lambda: how much a worse sequence still counts", minimum=1e-6, maximum=100)
    speed_noise: float = parameter(1.0, "standard deviation of sampled speeds [m/s]", minimum=0.01, maximum=5)
    turn_noise: float = parameter(1.2, "standard deviation of sampled turn rates [rad/s]", minimum=0.01, maximum=10)
    margin: float = parameter(0.1, "distance to anything below which it counts as hit [m]", minimum=0, maximum=1)
    near: float = parameter(0.4, "gap to another robot below which coming nearer costs [m]", minimum=0.01, maximum=5)
    near_price: float = parameter(0.2, "price of touching distance to another robot, per second", minimum=0, maximum=10)
    brake_margin: float = parameter(0.08, "gap left when braking for the laser [m]", minimum=0, maximum=1)

    def __post_init__(self):
        check(self)


class MPPIController:
    """Drives a fleet by MPPI (a :class:`dyna_nav.controller.Controller`) with any model of WorldModel's interface."""

    def __init__(self, model=None, config: MPPIConfig | None = None):
        """``model`` predicts one step; None: ideal kinematics of the robot that ``reset`` names."""
        self._given, self._config = model, config or MPPIConfig()
        self._surroundings: Surroundings | None = None

    def reset(self, site: Site, robots: int, rng: np.random.Generator, model: RobotModel) -> None:
        """Begin a run on a site."""
        self.close()
        config, reward = self._config, Reward()
        self._surroundings = Surroundings(site, robots, model)
        self._model = self._given or KinematicModel(model)
        members = self._model.members
        self._samples = -(-config.samples // members) * members  # every member predicts as many
        self._robots, self._robot_model = robots, model
        self._radius = model.radius + config.margin
        self._reward = np.array([reward.goal, reward.step, reward.collision])
        tolerance = self._surroundings.tolerance
        self._tolerance = np.array([tolerance.position, tolerance.heading, tolerance.speed])
        self._nearness = np.array([config.near, config.near_price])
        self._limits = np.array([model.max_speed, model.max_turn_rate])
        self._sent = np.zeros((robots, 2))
        self._nominal = np.zeros((robots, config.horizon, 2))  # what the last cycle settled on
        self._torch_seed = int(rng.integers(2**62))

    def assign(self, robot: int, goal: np.ndarray | None) -> None:
        """Give a robot a goal pose [3] (map frame), or none. Raises ValueError for one where it cannot stand."""
        self._surroundings.assign(robot, goal)
        self._nominal[robot] = 0.0

    def act(self, observation: Observation) -> np.ndarray:
        """Commands [robots, 2] (m/s, rad/s); robots without a goal or with bad inputs get zero."""
        going = np.flatnonzero(self._surroundings.update(observation))
        commands = np.zeros((self._robots, 2))
        if going.size:
            commands[going] = self._plan(observation, going)
            allowed = speed_for_laser(observation, self._robot_model, self._config.brake_margin)
            commands[going, 0] = np.minimum(commands[going, 0], allowed[going])
        self._sent = commands.copy()
        return commands

    def wait_for_potentials(self) -> None:
        """Block until the ways that were asked for are there; for runs that are to be repeatable, before each cycle."""
        self._surroundings.wait()

    def close(self) -> None:
        """Stop the background thread."""
        if self._surroundings is not None:
            self._surroundings.close()
            self._surroundings = None

    def _plan(self, observation: Observation, going: np.ndarray) -> np.ndarray:
        """One cycle of the package for the robots ``going`` [k]; commands [k, 2].

        What it samples are deviations from the last cycle's commands: its price of control, which would draw the robots
        to a standstill, then vanishes, as the small gamma of other MPPI controllers has it.
        """
        config, count = self._config, going.size
        self._nominal = np.concatenate([self._nominal[:, 1:], self._nominal[:, -1:]], axis=1)
        self._base = np.repeat(self._nominal[going], self._samples, axis=0)  # [rows, horizon, 2]
        knots = -(-config.horizon // config.hold)
        variance = torch.tensor([config.speed_noise, config.turn_noise], dtype=torch.float64) ** 2
        limit = torch.from_numpy(self._limits)
        with torch.random.fork_rng(devices=[]):  # the package draws from torch's one generator
            torch.manual_seed(self._torch_seed)
            mppi = MPPI_Batched(
                self._imagine, self._cost, _STATE, torch.diag(variance), count, num_samples=self._samples,
                horizon=knots, lambda_=config.temperature, u_min=-limit, u_max=limit, step_dependent_dynamics=True,
            )  # fmt: skip
            mppi.U = torch.zeros((count, knots, 2), dtype=torch.float64)
            command = mppi.command(torch.from_numpy(self._begin(observation, going)), shift_nominal_trajectory=False)
            self._torch_seed = int(torch.randint(2**62, ()))
        deviation = mppi.U.numpy().repeat(config.hold, axis=1)[:, : config.horizon]
        self._nominal[going] = self._bounded(self._nominal[going] + deviation)
        return self._bounded(self._nominal[going, 0] - deviation[:, 0] + command.numpy())

    def _begin(self, observation: Observation, going: np.ndarray) -> np.ndarray:
        """Prepare the rows (samples of each robot, one robot after the other); states [k, 8] they start from."""
        horizon, rows = self._config.horizon, going.size * self._samples
        steps = np.arange(horizon + 1)[:, None] * STEP
        yaw, speed = observation.pose[:, 2], observation.twist[:, 0]
        velocity = speed[:, None] * np.column_stack([np.cos(yaw), np.sin(yaw)])
        fleet = observation.pose[:, None, :2] + steps * velocity[:, None, :]  # others go on as they do
        self._predicted, self._contact = self._surroundings.live.moving.beside(fleet, self._radius)
        self._robot = np.repeat(going, self._samples)
        surroundings = self._surroundings
        field, lattice, motion = surroundings.fields, surroundings.lattice, surroundings.motion
        togo = [steps_to_go(field[i], lattice, *observation.pose[i], speed[i], motion) for i in going]
        self._potential = np.repeat(self._reward[0] + self._reward[1] * np.array(togo), self._samples)
        self._running = np.ones(rows, np.bool_)
        self._delay = np.zeros((horizon, rows))
        self._goal = surroundings.goal[self._robot]
        self._start = observation.pose[self._robot, :2].copy()
        self._geometry = np.array([*surroundings.live.origin, surroundings.live.resolution])
        self._clearances = np.empty((rows, CLEARANCE_POINTS))
        self._features = np.empty((rows, FEATURES), np.float32)
        battery = np.nan_to_num(observation.battery, nan=1.0)
        return np.column_stack([observation.pose, observation.twist, battery, self._sent])[going]

    def _imagine(self, state: torch.Tensor, deviation: torch.Tensor, knot: int) -> torch.Tensor:
        """The package's dynamics: all steps of one knot; state [rows, 8], deviation [rows, 2] -> state [rows, 8]."""
        values = state.numpy()
        pose, twist = values[:, :3].copy(), values[:, 3:5].copy()
        battery, sent = values[:, 5].copy(), values[:, 6:].copy()
        for step in range(knot * self._config.hold, min((knot + 1) * self._config.hold, self._config.horizon)):
            command = self._bounded(self._base[:, step] + deviation.numpy())
            live_clearances(pose, self._surroundings.live.clearance, self._geometry, self._clearances)
            encode_rows(pose, twist, battery, self._goal, sent, command, self._clearances, self._features)
            apply_delta(pose, twist, battery, self._predict())
            self._judge(step, pose, twist)
            sent = command
        return torch.from_numpy(np.column_stack([pose, twist, battery, sent]))

    def _predict(self) -> np.ndarray:
        """Expected change [rows, 6] of each row, by one member: the same share of every robot's samples for each."""
        members, share = self._model.members, self._samples // self._model.members
        blocks = self._features.reshape(-1, members, share, FEATURES).transpose(1, 0, 2, 3)
        mean, _ = self._model.predict(np.ascontiguousarray(blocks).reshape(members, -1, FEATURES))
        back = mean[:, :, :REWARD].reshape(members, -1, share, REWARD).transpose(1, 0, 2, 3)
        return np.ascontiguousarray(back).reshape(-1, REWARD).astype(float)

    def _judge(self, step: int, pose: np.ndarray, twist: np.ndarray) -> None:
        surroundings = self._surroundings
        judge(
            step, self._robot, self._running, pose, twist, self._goal, self._tolerance, self._potential, self._delay,
            surroundings.fields, surroundings.lattice, surroundings.motion, self._reward, self._radius,
            _NO_MARGINS, surroundings.live.clearance, self._geometry, self._predicted, self._contact, self._nearness,
            np.zeros(len(pose)), self._start,
        )  # fmt: skip

    def _cost(self, state: torch.Tensor, deviation: torch.Tensor, knot: int) -> torch.Tensor:
        """The package's running cost [rows]: the delays of one knot's steps; their sum holds the final time to go."""
        hold = self._config.hold
        return torch.from_numpy(-self._delay[knot * hold : (knot + 1) * hold].sum(axis=0))

    def _bounded(self, command: np.ndarray) -> np.ndarray:
        """Commands [..., 2] within what the nine actions span: no reversing."""
        return np.clip(command, (0.0, -self._limits[1]), self._limits)


class KinematicMPPI(MPPIController):
    """MPPI with ideal kinematics."""


class LearnedMPPI(MPPIController):
    """MPPI with the learned ensemble of the default bundle, one member per sample, its mean."""

    def __init__(self, config: MPPIConfig | None = None):
        super().__init__(WorldModel(load_bundle(default_bundle())), config)
