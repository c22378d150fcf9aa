"""Small courses for the tests of the evaluation, and controllers that keep or break their contract."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from simulation_worlds import hall, station

from dyna_nav.evaluation.course import Course, draw_course
from dyna_nav.evaluation.episode import CONTROLLER_STREAM, Episode
from dyna_nav.evaluation.results import EpisodeResult
from dyna_nav.evaluation.scenario import Scenario
from dyna_nav.mdp import RobotModel
from dyna_nav.site import Site

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # examples/ lies beside the package

STATIONS = [station(f"s{k}", x, y) for k, (x, y) in enumerate([(2, 2), (2, 8), (18, 2), (18, 8), (10, 2), (10, 8)])]


def open_hall() -> Site:
    """20 x 10 m, six stations, nothing in between."""
    return hall(stations=STATIONS)


def course(site: Site | None = None, seed: int = 1, **scenario) -> Course:
    return draw_course(site or open_hall(), replace(Scenario(name="test"), **scenario), seed, RobotModel())


def drive(the_course: Course, controller=None, **options) -> EpisodeResult:
    """Run an episode; without a controller, the one of the documentation."""
    from examples.straight_line import StraightLine

    return Episode(the_course, controller or StraightLine(), "tested", **options).run()


class Standing:
    """Keeps the contract and does nothing."""

    def reset(self, site, robots, rng, model):
        self.robots = robots

    def assign(self, robot, goal):
        pass

    def act(self, observation):
        return np.zeros((self.robots, 2))


class GoesElsewhere(Standing):
    def reset(self, site, robots, rng, model):
        super().reset(site, robots, rng, model)
        os.chdir("elsewhere")


class Complex(Standing):
    def act(self, observation):
        return [[1j, 0.0]] * self.robots


class FailsWhenMade(Standing):
    def __init__(self):
        raise KeyError("no map")


class Raising(Standing):
    def act(self, observation):
        if observation.time > 0.25:
            raise KeyError("no plan")
        return super().act(observation)


class WrongShape(Standing):
    def act(self, observation):
        return np.zeros(2)


class NotANumber(Standing):
    def act(self, observation):
        return np.full((self.robots, 2), np.nan)


class FailsOnSeed2(Standing):
    """Tells the seed by the first random number of its generator."""

    def reset(self, site, robots, rng, model):
        super().reset(site, robots, rng, model)
        self.fails = rng.random() == np.random.default_rng([2, CONTROLLER_STREAM]).random()

    def act(self, observation):
        return np.full((self.robots, 2), np.nan if self.fails else 0.0)


class Picky(Standing):
    """Refuses every goal."""

    def assign(self, robot, goal):
        if goal is not None:
            raise ValueError("not there")


class NeedsArguments(Standing):
    def __init__(self, model):
        self.model = model


class Leaving(Standing):
    """Cannot be made."""

    def __init__(self):
        raise ValueError("no licence")


class Exiting(Standing):
    """Would end the whole process."""

    def act(self, observation):
        sys.exit(0)


class Silent(Standing):
    """Forgets to return its commands."""

    def act(self, observation):
        super().act(observation)


class SaysHisOwnWay(Standing):
    """Answers with what can be no array of floats, but says so in no way that numpy knows."""

    def act(self, observation):
        return [[10**400, 0]] * self.robots


class ReportsTooLittle(Standing):
    class report:
        stop_reason = ("waiting",)


class ReportsNothingUseful(Standing):
    class report:
        stop_reason = 5


class LosesItsVersion(Standing):
    @property
    def model_version(self):
        raise KeyError("version")


class StartsAnother(Standing):
    """Starts a process and never ends it; writes its id to the file PIDS."""

    def reset(self, site, robots, rng, model):
        super().reset(site, robots, rng, model)
        self.started = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600.0,))
        self.started.start()
        with Path(os.environ["PIDS"]).open("a") as file:
            file.write(f"{self.started.pid}\n")


class ClosesWhatItNeverOpened(Standing):
    def reset(self, site, robots, rng, model):
        raise KeyError("no map")

    def close(self):
        self.file.close()


class Scribbling(Standing):
    """Keeps every observation and overwrites whatever it has ever been given."""

    def reset(self, site, robots, rng, model):
        super().reset(site, robots, rng, model)
        self.seen = []

    def assign(self, robot, goal):
        if goal is not None:
            goal[:] = 0.0

    def act(self, observation):
        self.seen.append(observation)
        for kept in self.seen[-2:]:
            for part in ("pose", "twist", "battery", "goal", "scan", "scan_angles"):
                getattr(kept, part)[:] = 1.0
        return super().act(observation)


class Occupying(Standing):
    """Robot 1, once it has no goal left, drives to where robot 0 is to go and stays; robot 0 never moves."""

    def reset(self, site, robots, rng, model):
        from examples.straight_line import StraightLine

        self.driver, self.wanted = StraightLine(), None
        self.driver.reset(site, robots, rng, model)

    def act(self, observation):
        own, theirs = observation.goal[1], observation.goal[0]
        self.wanted = theirs if self.wanted is None and np.isnan(own[0]) else self.wanted
        self.driver.assign(1, own if np.isfinite(own[0]) else self.wanted)
        return self.driver.act(observation)


class NeedsWhatIsNotThere(Standing):
    def __init__(self):
        import a_package_that_is_not_there  # noqa: F401


class ExitsWhenMade(Standing):
    def __init__(self):
        sys.exit(0)


class Speechless:
    """Has no act()."""

    def reset(self, site, robots, rng, model):
        pass

    def assign(self, robot, goal):
        pass
