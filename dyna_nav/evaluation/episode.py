"""One episode: one controller drives one course, in lockstep; the same inputs give the same result, bit for bit.

Travel time begins when the goal is assigned and ends when ``mdp.goal_reached`` holds of what the robot itself observes.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dyna_nav.controller import Controller, Observation
from dyna_nav.evaluation.course import Course
from dyna_nav.evaluation.happenings import Happenings
from dyna_nav.evaluation.incidents import IncidentConfig, NearMissLog, StopLog, box_clearance, robot_clearance
from dyna_nav.evaluation.results import EpisodeResult, Trip
from dyna_nav.mdp import STEP, GoalTolerance, RobotModel, goal_reached
from dyna_nav.parameters import parameter
from dyna_nav.simulation import Simulation

CONTROLLER_STREAM = 11  # of the seed, for the controller's own random numbers


@dataclass(frozen=True)
class TripConfig:
    """When a trip is given up."""

    timeout: float = parameter(60.0, "no trip is given up before this time [s]", minimum=1, maximum=1e5)
    timeout_ratio: float = parameter(8.0, "nor before so many times its ideal time", minimum=1, maximum=1000)


class ControllerError(ValueError):
    """A controller that broke the contract; the message names it, the seed and the time."""


@dataclass
class _Running:
    """A trip under way."""

    number: int
    assigned: float
    geodesic: float
    first_step: int
    displaced: bool
    void: bool = False  # the robot stalled in it


class Episode:
    """A fleet on its course. Use :meth:`run` once."""

    def __init__(
        self,
        course: Course,
        controller: Controller,
        label: str,
        *,
        robot_model: RobotModel | None = None,
        trip_config: TripConfig | None = None,
        incident_config: IncidentConfig | None = None,
        on_trip: Callable[[], None] = lambda: None,
    ):
        """label: the controller's name in errors and results. on_trip is called after each trip."""
        self._course, self._controller, self._label = course, controller, label
        self._model = robot_model or RobotModel()
        self._trip_config = trip_config or TripConfig()
        self._incident_config = incident_config or IncidentConfig()
        self._on_trip = on_trip
        tasks = course.tasks
        self._robots = len(tasks.starts)
        self._simulation = Simulation(
            course.site, self._robots, course.seed, robot_model=self._model,
            poses=tasks.places[list(tasks.starts)], walkers=course.walkers,
        )  # fmt: skip
        self._happenings = Happenings(course, self._simulation)
        self._near = NearMissLog(self._incident_config)
        self._stops = StopLog(self._robots, self._incident_config)
        self._displaced = [False] * self._robots  # does not stand where its next trip is to begin
        self._next = [0] * self._robots  # number of each robot's next trip
        self._running: list[_Running | None] = [None] * self._robots
        self._finished: list[tuple[_Running, int, float, str]] = []  # trip, robot, end, why not finished
        self._void = 0
        self._pose: list[np.ndarray] = []
        self._speed: list[np.ndarray] = []
        self._driving: list[np.ndarray] = []
        self._plan_ms: list[float] = []
        self._wait_ms: list[float] = []
        self._reasons: dict[str, float] = {}

    def run(self) -> EpisodeResult:
        """Drive all trips. Raises ControllerError for a controller that raises or returns what is no command."""
        began = time.monotonic()
        rng = np.random.default_rng([self._course.seed, CONTROLLER_STREAM])
        try:
            self._ask("reset", self._course.site, self._robots, rng, self._model)
            while not self._done():
                self._step()
        finally:
            if hasattr(self._controller, "close"):
                self._ask("close")
        self._stops.close(self._simulation.time, self._simulation.true_pose)
        return self._result(time.monotonic() - began)

    # One step, in the order in which it happens.

    def _step(self) -> None:
        simulation = self._simulation
        self._happenings.step()
        observation = simulation.observe()
        self._end_trips(observation)
        self._give_goals()
        observation = simulation.observe()  # the same readings, with the new goals
        if hasattr(self._controller, "wait_for_potentials"):
            waited = time.perf_counter()
            self._ask("wait_for_potentials")
            self._wait_ms.append(1e3 * (time.perf_counter() - waited))
        planned = time.perf_counter()
        commands = self._commands(self._ask("act", observation))
        self._plan_ms.append(1e3 * (time.perf_counter() - planned))
        simulation.step(commands)
        self._watch()

    def _end_trips(self, observation: Observation) -> None:
        there = goal_reached(observation.pose, observation.twist[:, 0], self._simulation.goals, GoalTolerance())
        for robot, running in enumerate(self._running):
            if running is None:
                continue
            if self._happenings.stalled[robot]:
                running.void = True
                continue
            if there[robot]:
                self._end(robot, "")
            elif self._simulation.time - running.assigned >= self._patience(running) - 1e-9:
                self._end(robot, "timed out")

    def _patience(self, running: _Running) -> float:
        """Time after which a trip is given up, and which it then counts for [s]."""
        config = self._trip_config
        return max(config.timeout, config.timeout_ratio * running.geodesic / self._model.max_speed)

    def _end(self, robot: int, note: str) -> None:
        running = self._running[robot]
        self._finished.append((running, robot, self._simulation.time, note))
        self._running[robot] = None
        self._displaced[robot] = bool(note)
        self._on_trip()

    def _give_goals(self) -> None:
        tasks, simulation = self._course.tasks, self._simulation
        for robot in range(self._robots):
            while self._running[robot] is None and simulation.time >= tasks.delays[robot] - 1e-9:
                number = self._next[robot]
                if number >= len(tasks.goals[robot]):
                    if np.isfinite(simulation.goals[robot, 0]):
                        simulation.goals[robot] = np.nan
                        self._ask("assign", robot, None)
                    break
                place = tasks.goals[robot][number]
                geodesic = self._course.distances.length(simulation.true_pose[robot, :2], place)
                self._next[robot] += 1
                self._running[robot] = _Running(
                    number, simulation.time, geodesic, len(self._pose), self._displaced[robot]
                )
                simulation.goals[robot] = tasks.places[place]
                try:
                    self._controller.assign(robot, tasks.places[place].copy())
                except ValueError as error:  # the contract's way to refuse a goal
                    self._end(robot, f"refused: {error}")
                except Exception as error:
                    raise self._failed("assign", error) from error

    def _watch(self) -> None:
        simulation, course = self._simulation, self._course
        now, pose, speed = simulation.time, simulation.true_pose, simulation.true_twist[:, 0]
        driving = np.array([running is not None for running in self._running])
        self._pose.append(pose.astype(np.float32))
        self._speed.append(speed.astype(np.float32))
        self._driving.append(driving)
        radius, config = self._model.radius, self._incident_config
        moving = np.abs(speed) > config.still
        pairs = moving[:, None] | moving[None, :]
        self._near.see(now, pose, "robot", robot_clearance(pose, radius), pairs)
        wall = simulation.hall.clearance_at(pose[:, :2]) - radius
        self._near.see(now, pose, "wall", wall[:, None], (moving & ~self._docking(pose))[:, None])
        boxes = self._happenings.boxes()
        self._near.see(now, pose, "pallet", box_clearance(pose, boxes, radius), np.tile(moving[:, None], len(boxes)))
        walkers = simulation.walker_positions
        gaps = np.hypot(*(pose[:, None, :2] - walkers[None]).transpose(2, 0, 1)) - radius - course.walker_radius
        self._near.see(now, pose, "walker", gaps, np.tile(moving[:, None], len(walkers)))
        reasons = self._reported()
        for reason in filter(None, reasons):
            self._reasons[reason] = self._reasons.get(reason, 0.0) + STEP
        self._stops.see(now, pose, speed, driving & ~self._happenings.stalled, reasons)

    def _docking(self, pose: np.ndarray) -> np.ndarray:
        """Whether each robot [n] is about to arrive at a place of its own or has just left one."""
        tasks = self._course.tasks
        return np.array(
            [
                np.hypot(*(tasks.places[list(own), :2] - pose[robot, :2]).T).min() < self._incident_config.docking
                for robot, own in enumerate(tasks.own)
            ]
        )

    def _done(self) -> bool:
        """Whether nothing is left to drive: robots that never resume are not waited for."""
        for robot, running in enumerate(self._running):
            if self._happenings.gone[robot]:
                continue
            if running is not None or self._next[robot] < len(self._course.tasks.goals[robot]):
                return False
        return True

    # What the controller says.

    def _ask(self, method: str, *arguments):
        try:
            return getattr(self._controller, method)(*arguments)
        except Exception as error:
            raise self._failed(method, error) from error

    def _failed(self, method: str, error: Exception) -> ControllerError:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return ControllerError(
            f"controller {self._label!r} failed in {method} on seed {self._course.seed} "
            f"at {self._simulation.time:.1f} s: "
            f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
        )

    def _commands(self, answer) -> np.ndarray:
        where = f"controller {self._label!r} on seed {self._course.seed} at {self._simulation.time:.1f} s"
        try:
            commands = np.array(answer, float)
        except (TypeError, ValueError):
            raise ControllerError(
                f"{where} returned {type(answer).__name__}; act must return an array [{self._robots}, 2]"
            ) from None
        if commands.shape != (self._robots, 2):
            raise ControllerError(
                f"{where} returned commands of shape {list(commands.shape)}; it must be [{self._robots}, 2]"
            )
        if not np.isfinite(commands).all():
            robot = int(np.flatnonzero(~np.isfinite(commands).all(axis=1))[0])
            raise ControllerError(f"{where} commands {commands[robot].tolist()} for robot {robot}; both must be finite")
        return commands

    def _reported(self) -> list[str]:
        """Why each robot stands, as the controller's optional report says."""
        reasons = getattr(getattr(self._controller, "report", None), "stop_reason", None)
        return [""] * self._robots if reasons is None else [str(reason) for reason in reasons]

    # What it comes to.

    def _result(self, wall: float) -> EpisodeResult:
        simulation = self._simulation
        pose, speed = np.array(self._pose), np.array(self._speed)
        trips = [self._row(*entry, pose, speed) for entry in self._finished if not entry[0].void]
        planned = sum(len(goals) for goals in self._course.tasks.goals)
        return EpisodeResult(
            controller=self._label, seed=self._course.seed, trips=trips, void_trips=planned - len(trips),
            collisions=simulation.collisions, near_misses=self._near.near_misses, stops=self._stops.stops,
            stop_reasons=self._reasons, plan_ms=np.array(self._plan_ms), wait_ms=np.array(self._wait_ms),
            pose=pose, speed=speed, driving=np.array(self._driving), pallets=self._happenings.placed(),
            walkers=self._walker_tracks(), simulated_s=simulation.time, wall_s=wall,
            version=str(getattr(self._controller, "model_version", "")),
        )  # fmt: skip

    def _walker_tracks(self) -> np.ndarray:
        times = STEP * np.arange(1, len(self._pose) + 1)
        tracks = [walker.position(times) for walker in self._course.walkers]
        return np.stack(tracks, axis=1).astype(np.float32) if tracks else np.empty((len(times), 0, 2), np.float32)

    def _row(self, running: _Running, robot: int, end: float, note: str, pose: np.ndarray, speed: np.ndarray) -> Trip:
        tasks = self._course.tasks
        steps = slice(max(0, running.first_step - 1), running.first_step + round((end - running.assigned) / STEP))
        way, pace = pose[steps, robot, :2].astype(float), speed[steps, robot].astype(float)
        jerk = np.abs(np.diff(pace, 2)) / STEP**2

        def during(incident) -> bool:
            involved = incident.robot == robot or incident.other == f"robot:{robot}"
            return involved and running.assigned < incident.time <= end

        return Trip(
            robot=robot,
            trip=running.number,
            start=tasks.names[tasks.stop_before(robot, running.number)],
            goal=tasks.names[tasks.goals[robot][running.number]],
            assigned_s=running.assigned,
            ideal_s=running.geodesic / self._model.max_speed,
            travel_s=self._patience(running) if note else end - running.assigned,
            geodesic_m=running.geodesic,
            path_length_m=float(np.hypot(*np.diff(way, axis=0).T).sum()),
            collisions=sum(map(during, self._simulation.collisions)),
            near_misses=sum(map(during, self._near.near_misses)),
            mean_abs_jerk=float(jerk.mean()) if len(jerk) else 0.0,
            finished=not note,
            displaced=running.displaced,
            note=note,
        )
