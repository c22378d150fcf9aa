"""A planner's cycle ends in time on any machine: as many rollouts as fit into what is left of its budget, and no more.

The machine's speed is what a test says: reading, imagined steps, choosing and sending move a clock on by hand.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from planning_worlds import MODEL, IdealFleet, hall

from dyna_nav.nodes.cycle import SCAN_ANGLES, Cycles
from dyna_nav.nodes.cycle_statistics import DurationHistogram
from dyna_nav.nodes.robot_port import RobotInput
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.planning.config import Dyna2Config
from dyna_nav.safety.deadline import DeadlineConfig
from dyna_nav.world_model.kinematics import KinematicModel

HALL, START, GOAL = hall(14, 6), np.array([2.0, 3.0, 0.0]), np.array([12.0, 3.0, 0.0])
ROLLOUTS, BUDGET = 60, 0.03
CONFIG = PlannerConfig(dyna2=Dyna2Config(rollouts=ROLLOUTS))
HORIZON = CONFIG.dyna2.horizon
IN_TIME = BUDGET + 1e-9  # sums of floats


class HandClock:
    """Stands still until a test moves it on."""

    def __init__(self):
        self.time = 50.0

    def now(self):
        return self.time

    def wait(self, condition, seconds):
        condition.wait()


class Machine:
    """One robot's cycles on a machine of which every part of a cycle takes as long as it is told to [s]."""

    def __init__(self, budget=BUDGET):
        self.clock = HandClock()
        self.takes = {"reading": 0.003, "imagining": 0.001, "choosing": 0.004, "sending": 0.002}
        self.sent, self.told = [], []
        model = KinematicModel(MODEL)
        model.predict = self._taking("imagining", model.predict, self._share)
        self.controller = Dyna2Controller(model, config=CONFIG, clock=self.clock)
        self.controller.reset(HALL, 1, np.random.default_rng(1), MODEL)
        self.controller.assign(0, GOAL)
        self.controller.wait_for_potentials()
        dyna2 = self.controller._dyna2
        dyna2._decide = self._taking("choosing", dyna2._decide)
        port = SimpleNamespace(
            name="r1",
            scan_max=12.0,
            executed=np.zeros(2),
            look=self._taking("reading", lambda: None),
            input=self._input,
            planned=lambda command, begun: None,
            send=self._taking("sending", self.sent.append),
        )
        steady = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=int(1e9 * self.clock.time)))
        logger = SimpleNamespace(warning=self.told.append, error=self.told.append)
        self.cycles = Cycles(
            [port], self.controller, DeadlineConfig(), budget, DurationHistogram(), steady, logger, self.clock
        )
        self.cycles.start()

    @staticmethod
    def _share(features):
        """Of the time that all rollouts take, by the rows [members, rows, FEATURES] of this step."""
        return (features.shape[0] * features.shape[1] + 120) / (ROLLOUTS + 120)

    def _taking(self, part, work, share=lambda *_: 1.0):
        def timed(*arguments):
            self.clock.time += share(*arguments) * self.takes[part]
            return work(*arguments)

        return timed

    def _input(self):
        return RobotInput(START, np.zeros(2), 1.0, np.full(len(SCAN_ANGLES), np.inf), 0.05, 0.05, 0.0, None)

    def cycle(self):
        """One cycle; how long it took [s]."""
        begun = self.clock.now()
        self.cycles.run(GOAL[None])
        took = self.clock.now() - begun
        self.clock.time = begun + 0.1
        return took

    @property
    def imagined(self):
        """Rollouts and their steps in the newest cycle."""
        return self.controller.report.rollouts, self.controller.report.steps


@pytest.fixture
def machine():
    made = []

    def make(**options):
        made.append(Machine(**options))
        return made[-1]

    yield make
    for entry in made:
        entry.cycles.stop()
        entry.controller.close()


def test_a_fast_machine_imagines_to_the_horizon(machine):
    fast = machine()
    fast.cycle()  # the first does not know yet what there is time for
    for _ in range(5):
        assert fast.cycle() <= IN_TIME
        assert fast.imagined == (ROLLOUTS, HORIZON)
    assert (fast.cycles.cut, fast.cycles.imagined_steps) == (0, HORIZON)
    assert 0.8 * ROLLOUTS < fast.cycles.rollouts < ROLLOUTS


def test_a_slow_machine_imagines_fewer_rollouts_and_ends_in_time(machine):
    slow = machine()
    slow.takes = {part: 1.5 * seconds for part, seconds in slow.takes.items()}
    slow.cycle()  # the first knows nothing of what follows the rollouts
    for _ in range(5):
        assert slow.cycle() <= IN_TIME
        rollouts, steps = slow.imagined
        assert rollouts < ROLLOUTS
        assert steps == HORIZON


def test_a_machine_that_is_too_slow_for_rollouts_ends_in_time_until_it_is_faster(machine):
    slow = machine()
    slow.takes = {part: 2.5 * seconds for part, seconds in slow.takes.items()}
    slow.cycle()
    for _ in range(30):
        assert slow.cycle() <= IN_TIME
        assert slow.imagined[1] == 0
        assert slow.sent[-1][0] > 0.0
    slow.takes = {part: seconds / 2.5 for part, seconds in slow.takes.items()}
    for _ in range(50):
        slow.cycle()
    assert slow.imagined == (ROLLOUTS, HORIZON)


@pytest.mark.parametrize("part", ["reading", "choosing", "sending"])
def test_whatever_takes_longer_leaves_fewer_rollouts(machine, part):
    slow = machine()
    slow.cycle()
    slow.takes[part] += 0.012
    for _ in range(10):
        slow.cycle()
    assert slow.cycle() <= IN_TIME
    assert slow.imagined[0] < ROLLOUTS
    assert slow.imagined[1] == HORIZON


def test_a_single_interruption_of_sending_leaves_no_other_cycle_fewer(machine):
    once = machine()
    for _ in range(20):
        once.cycle()
    once.takes["sending"] += 0.03
    assert once.cycle() > BUDGET
    once.takes["sending"] -= 0.03
    for _ in range(20):
        assert once.cycle() <= IN_TIME
        assert once.imagined == (ROLLOUTS, HORIZON)


def test_a_cycle_whose_time_is_over_when_the_inputs_are_read_drives_by_the_memories(machine):
    slow = machine()
    slow.takes["reading"] = 0.05
    slow.cycle()
    assert slow.imagined[1] == 0
    assert slow.cycles.cut == 1
    assert slow.sent[-1][0] > 0.0


def test_a_cycle_that_plans_nothing_says_nothing_of_how_long_choosing_takes(machine):
    idle = machine()
    idle.controller.assign(0, None)
    idle.cycle()
    assert np.isnan(idle.controller.report.choosing_ms)
    assert idle.cycles._reserve.seconds == 0.0
    assert idle.cycles.imagined_steps == 0.0


def test_without_a_budget_no_clock_decides(machine):
    endless = machine(budget=np.inf)
    endless.takes["imagining"] = endless.takes["choosing"] = 0.006
    for _ in range(3):
        endless.cycle()
        assert endless.imagined == (ROLLOUTS, HORIZON)


def test_what_comes_after_the_rollouts_is_reported():
    clock = HandClock()
    controller = Dyna2Controller(KinematicModel(MODEL), clock=clock)
    controller.reset(HALL, 1, np.random.default_rng(1), MODEL)
    controller.assign(0, GOAL)
    controller.wait_for_potentials()
    decide = controller._dyna2._decide

    def slowly(*given):
        clock.time += 0.007
        return decide(*given)

    controller._dyna2._decide = slowly
    controller.act(IdealFleet([START]).observe())
    assert controller.report.choosing_ms == pytest.approx(7.0)
    controller.close()
