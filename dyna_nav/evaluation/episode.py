"""One episode: one controller drives one course, in lockstep; the same inputs give the same result, bit for bit.

Travel time begins when the goal is assigned and ends when ``mdp.goal_reached`` holds of what the robot itself observes.
A robot that did not finish a trip in time is carried to where the trip was to end (see ``carrying.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from dyna_nav.controller import Controller, Observation
from dyna_nav.evaluation.carrying import Carrying
from dyna_nav.evaluation.course import Course
from dyna_nav.evaluation.driver import ControllerFailure, Driver
from dyna_nav.evaluation.happenings import Happenings
from dyna_nav.evaluation.incidents import IncidentConfig, NearMissLog, StopLog, box_clearance, robot_clearance
from dyna_nav.evaluation.least_time import least_time
from dyna_nav.evaluation.results import TIMED_OUT, EpisodeResult, Trip
from dyna_nav.mdp import STEP, GoalTolerance, RobotModel, goal_reached
from dyna_nav.parameters import parameter
from dyna_nav.simulation import Simulation

CONTROLLER_STREAM = 11  # of the seed, for the controller's own random numbers


@dataclass(frozen=True)
class TripConfig:
    """When a trip is given up."""

    timeout: float = parameter(60.0, "no trip is given up before this time [s]", minimum=1, maximum=1e5)
    timeout_ratio: float = parameter(8.0, "nor before so many times its ideal time", minimum=1, maximum=1000)


@dataclass
class _Running:
    """A trip under way."""

    number: int
    assigned: float
    geodesic: float
    first_step: int
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
        self._course, self._label = course, label
        self._model = robot_model or RobotModel()
        self._trip_config = trip_config or TripConfig()
        self._incident_config = incident_config or IncidentConfig()
        self._on_trip = on_trip
        tasks = course.tasks
        self._robots = len(tasks.starts)
        self._driver = Driver(controller, label, course.seed, self._robots)
        self._simulation = Simulation(
            course.site, self._robots, course.seed, robot_model=self._model,
            poses=tasks.places[list(tasks.starts)], walkers=course.walkers,
        )  # fmt: skip
        self._happenings = Happenings(course, self._simulation)
        self._near = NearMissLog(self._incident_config)
        self._stops = StopLog(self._robots, self._incident_config)
        self._carrying = Carrying(self._simulation, self._happenings)
        self._next = [0] * self._robots  # number of each robot's next trip
        self._running: list[_Running | None] = [None] * self._robots
        self._finished: list[tuple[_Running, int, float, str]] = []  # trip, robot, end, why not finished
        self._own = np.zeros((self._robots, len(tasks.places)), bool)  # which places are each robot's
        for robot, own in enumerate(tasks.own):
            self._own[robot, list(own)] = True
        self._pose: list[np.ndarray] = []
        self._speed: list[np.ndarray] = []
        self._driving: list[np.ndarray] = []
        self._reasons: dict[str, float] = {}

    def run(self) -> EpisodeResult:
        """Drive all trips. Raises ControllerError or ControllerFailure for what a controller does wrong."""
        began, computed = time.monotonic(), time.process_time()
        rng = np.random.default_rng([self._course.seed, CONTROLLER_STREAM])
        try:
            self._driver.reset(self._course.site, rng, self._model)
            while not self._done():
                self._step()
        except BaseException:
            with suppress(ControllerFailure):  # what went wrong first is told
                self._driver.close()
            raise
        self._driver.close()
        self._stops.close(self._simulation.time)
        return self._result(time.monotonic() - began, time.process_time() - computed)

    # One step, in the order in which it happens.

    def _step(self) -> None:
        simulation = self._simulation
        self._happenings.step()
        observation = simulation.observe()
        self._end_trips(observation)
        carried, left = self._carrying.step()
        for robot in left:
            self._forgo(robot)
        if self._give_goals(carried) or carried:
            observation = simulation.observe()
        if carried:  # nobody knows where a robot in somebody's arms is
            observation.pose[carried] = np.nan
        simulation.step(self._driver.act(observation))
        self._watch()

    def _end_trips(self, observation: Observation) -> None:
        there = goal_reached(observation.pose, observation.twist[:, 0], self._simulation.goals, GoalTolerance())
        for robot, running in enumerate(self._running):
            if running is None:
                continue
            if self._happenings.stalled[robot]:
                running.void = True
                running.assigned += STEP  # it has as long as before once it drives again
                continue
            if there[robot]:
                self._end(robot, "")
            elif self._simulation.time - running.assigned >= self._patience(running) - 1e-9:
                self._end(robot, TIMED_OUT)

    def _patience(self, running: _Running) -> float:
        """Time after which a trip is given up, and which it then counts for [s]."""
        config = self._trip_config
        return max(config.timeout, config.timeout_ratio * running.geodesic / self._model.max_speed)

    def _end(self, robot: int, note: str) -> None:
        running = self._running[robot]
        self._finished.append((running, robot, self._simulation.time, note))
        self._running[robot] = None
        if note:
            tasks = self._course.tasks
            self._carrying.strand(robot, tasks.places[tasks.goals[robot][running.number]])
        self._on_trip()

    def _forgo(self, robot: int) -> None:
        """Give up all further trips of a robot that cannot be put where the next begins; it stays where it is."""
        tasks, now = self._course.tasks, self._simulation.time
        for number in range(self._next[robot], len(tasks.goals[robot])):
            start = tasks.places[tasks.stop_before(robot, number), :2]
            geodesic = self._course.distances.length(start, tasks.goals[robot][number])
            self._finished.append((_Running(number, now, geodesic, len(self._pose)), robot, now, "its start was taken"))
            self._on_trip()
        self._next[robot] = len(tasks.goals[robot])

    def _give_goals(self, carried: list[int]) -> bool:
        """Give the next goal to every robot that has none and stands on its place; returns whether any goal changed."""
        tasks, simulation, changed = self._course.tasks, self._simulation, False
        for robot in range(self._robots):
            if self._running[robot] is not None or simulation.time < tasks.delays[robot] - 1e-9:
                continue
            waiting = robot in self._carrying or robot in carried
            if not waiting and self._next[robot] < len(tasks.goals[robot]):
                self._begin(robot)
                changed = True
            elif np.isfinite(simulation.goals[robot, 0]):
                simulation.goals[robot], changed = np.nan, True
                self._driver.assign(robot, None)
        return changed

    def _begin(self, robot: int) -> None:
        tasks, simulation, number = self._course.tasks, self._simulation, self._next[robot]
        place = tasks.goals[robot][number]
        geodesic = self._course.distances.length(simulation.true_pose[robot, :2], place)
        self._next[robot] += 1
        self._running[robot] = _Running(number, simulation.time, geodesic, len(self._pose))
        simulation.goals[robot] = tasks.places[place]
        refused = self._driver.assign(robot, tasks.places[place])
        if refused:
            self._end(robot, f"refused: {refused}")

    def _watch(self) -> None:
        simulation, course = self._simulation, self._course
        now, pose, speed = simulation.time, simulation.true_pose, simulation.true_twist[:, 0]
        driving = np.array([running is not None for running in self._running])
        self._pose.append(pose.astype(np.float32))
        self._speed.append(speed.astype(np.float32))
        self._driving.append(driving)
        radius, config = self._model.radius, self._incident_config
        moving = np.abs(speed) > config.still
        either, alone = moving[:, None] | moving[None, :], moving[:, None]
        robots = [f"robot:{other}" for other in range(self._robots)]
        self._near.see(now, pose, "robot", robots, robot_clearance(pose, radius), either)
        wall = simulation.hall.clearance_at(pose[:, :2]) - radius
        self._near.see(now, pose, "wall", ["wall"], wall[:, None], alone & ~self._docking(pose)[:, None])
        boxes = box_clearance(pose, self._happenings.boxes(), radius)
        self._near.see(now, pose, "pallet", self._happenings.names(), boxes, np.broadcast_to(alone, boxes.shape))
        walkers = simulation.walker_positions
        gaps = np.hypot(*(pose[:, None, :2] - walkers[None]).transpose(2, 0, 1)) - radius - course.walker_radius
        people = [f"walker:{k}" for k in range(len(walkers))]
        self._near.see(now, pose, "walker", people, gaps, np.broadcast_to(alone, gaps.shape))
        reasons = self._driver.stop_reasons()
        for reason in filter(None, reasons):
            self._reasons[reason] = self._reasons.get(reason, 0.0) + STEP
        self._stops.see(now, pose, speed, driving & ~self._happenings.stalled, reasons)

    def _docking(self, pose: np.ndarray) -> np.ndarray:
        """Whether each robot [n] is about to arrive at a place of its own or has just left one."""
        away = np.hypot(*(pose[:, None, :2] - self._course.tasks.places[:, :2]).transpose(2, 0, 1))
        return np.where(self._own, away, np.inf).min(axis=1) < self._incident_config.docking

    def _done(self) -> bool:
        """Whether nothing is left to drive: robots that never resume are not waited for."""
        for robot, running in enumerate(self._running):
            if self._happenings.gone[robot]:
                continue
            if (
                running is not None
                or robot in self._carrying
                or self._next[robot] < len(self._course.tasks.goals[robot])
            ):
                return False
        return True

    # What it comes to.

    def _result(self, wall: float, cpu: float) -> EpisodeResult:
        simulation = self._simulation
        pose, speed = np.array(self._pose), np.array(self._speed)
        trips = [self._row(*entry, pose, speed) for entry in self._finished if not entry[0].void]
        planned = sum(len(goals) for goals in self._course.tasks.goals)
        return EpisodeResult(
            controller=self._label, seed=self._course.seed, trips=trips, void_trips=planned - len(trips),
            collisions=simulation.collisions, near_misses=self._near.near_misses, stops=self._stops.stops,
            stop_reasons=self._reasons, plan_ms=np.array(self._driver.plan_ms), wait_ms=np.array(self._driver.wait_ms),
            pose=pose, speed=speed, driving=np.array(self._driving), pallets=self._happenings.placed(),
            walkers=self._walker_tracks(), simulated_s=simulation.time, wall_s=wall, cpu_s=cpu,
            version=self._driver.version,
        )  # fmt: skip

    def _walker_tracks(self) -> np.ndarray:
        times = STEP * np.arange(1, len(self._pose) + 1)
        tracks = [walker.position(times) for walker in self._course.walkers]
        return np.stack(tracks, axis=1).astype(np.float32) if tracks else np.empty((len(times), 0, 2), np.float32)

    def _row(self, running: _Running, robot: int, end: float, note: str, pose: np.ndarray, speed: np.ndarray) -> Trip:
        tasks = self._course.tasks
        last = running.first_step + round((end - running.assigned) / STEP)
        steps, plan_ms = slice(max(0, running.first_step - 1), last), self._driver.plan_ms[running.first_step : last]
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
            least_s=least_time(running.geodesic, self._model, GoalTolerance()),
            travel_s=self._patience(running) if note else end - running.assigned,
            geodesic_m=running.geodesic,
            path_length_m=float(np.hypot(*np.diff(way, axis=0).T).sum()),
            collisions=sum(during(hit) and not hit.walked_into for hit in self._simulation.collisions),
            near_misses=sum(map(during, self._near.near_misses)),
            mean_abs_jerk=float(jerk.mean()) if len(jerk) else 0.0,
            plan_ms_p99=float(np.percentile(plan_ms, 99)) if plan_ms else 0.0,
            finished=not note,
            note=note,
        )
