"""The shipped detector: calm on familiar driving, stops for what is new, goes on when it is over."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

from dyna_nav.mdp import STEP, action_set
from dyna_nav.ood import OODConfig, OODDetector
from dyna_nav.ood.alarm import Alarm, verdicts
from dyna_nav.ood.features import FEATURE_NAMES, SECTORS, SUMMARY, expected_ranges, scan_summary
from dyna_nav.planning import Dyna2Controller, PlannerConfig
from dyna_nav.simulation import Simulation
from dyna_nav.simulation.drivers import CAREFUL, ExplorationDriver
from dyna_nav.site import OccupancyMap, Site, resolve_site
from dyna_nav.viewpoint import arc, compose, seen_from
from dyna_nav.world_model import WorldModel, load_bundle
from dyna_nav.world_model.bundle import OODCalibration
from dyna_nav.world_model.residual import ResidualTracker, confirmed


class Watched:
    """Two robots that drive carefully through the default warehouse, watched by the shipped detector."""

    def __init__(self, seed):
        bundle, self.site = load_bundle(), resolve_site("default")
        self.simulation = Simulation(self.site, 2, seed, payloads=[0.0, 30.0])
        self.driver = ExplorationDriver(self.site, 2, np.random.default_rng(seed), style=CAREFUL)
        self.detector = OODDetector(bundle, self.site, "cpu")
        self.residuals = ResidualTracker(WorldModel(bundle, "cpu"), self.site, 2)
        self.actions = action_set(self.simulation.robot_model)

    def drive(self, seconds, silent=lambda cycle: False):
        """Verdicts of each cycle [cycles, 2]; in silent cycles the newest measurements are carried forward instead."""
        novel, measured = [], self.simulation.observe()
        for cycle in range(round(seconds / STEP)):
            observation = self.simulation.observe()
            if silent(cycle):
                observation = carried_forward(measured, observation.time)
            else:
                measured = observation
            residual, _ = self.residuals.update(observation, STEP)
            self.report = self.detector.update(observation, residual)
            novel.append(self.report.novel)
            commands = self.actions[self.driver.act(observation)]
            self.residuals.commanded(observation, commands)
            self.simulation.step(commands)
        return np.array(novel)


def carried_forward(measured, time):
    age = time - measured.time
    pose, scan = measured.pose.copy(), measured.scan.copy()
    for robot, twist in enumerate(measured.twist):
        pose[robot] = compose(pose[robot], arc(twist, age))
        scan[robot] = seen_from(scan[robot], measured.scan_angles, arc(twist, age))
    return replace(measured, time=time, pose=pose, scan=scan, pose_age=age, scan_age=age)


@pytest.fixture(scope="module")
def watched():
    return Watched(seed=5)


def test_familiar_driving_raises_no_alarm(watched):
    assert not watched.drive(30.0).any()
    assert watched.report.reason == ("", "")


def test_measurements_that_fail_to_come_for_a_while_are_not_novel():
    watched = Watched(seed=7)
    novel = watched.drive(60.0, silent=lambda cycle: cycle % 10 > 7)
    assert not novel.any()


def test_only_what_two_steps_agree_on_is_confirmed():
    nothing = np.nan
    found = confirmed(np.array([3.0, -3.0, 2.0, nothing, 1.0]), np.array([1.0, -5.0, -9.0, 1.0, nothing]))
    assert np.array_equal(found, [1.0, -3.0, 0.0, nothing, nothing], equal_nan=True)


def test_a_single_late_command_is_not_novel():
    watched = Watched(seed=8)
    watched.drive(3.0)
    step = watched.simulation.step
    for _ in range(8):
        late = np.zeros((2, 2))
        watched.simulation.step = lambda commands, late=late: step(late)  # what was sent arrives a step too late
        novel = watched.drive(STEP)
        watched.simulation.step = step
        assert not novel.any()
        assert not watched.drive(1.5).any()


def test_a_dead_laser_is_novel_at_once_and_over_when_it_is_repaired(watched):
    watched.simulation.set_scan_fault(0, "dead")
    novel = watched.drive(1.0)
    assert novel[5:, 0].all()
    assert not novel[:, 1].any()
    assert watched.report.reason[0].startswith("novel laser")
    watched.simulation.set_scan_fault(0, None)
    novel = watched.drive(1.5)
    assert novel[:9, 0].all()
    assert not novel[-1].any()


@pytest.mark.parametrize("resume", [0.5, 2.0])
def test_the_planner_is_told_how_long_a_state_has_to_be_familiar_again(resume):
    site, stand = resolve_site("default"), np.zeros((1, 2))
    config = PlannerConfig(detector=OODConfig(resume=resume))
    vigilance = Dyna2Controller.from_bundle(config=config, provider="cpu")._vigilance
    vigilance.reset(site, 1)
    simulation, novel = Simulation(site, 1, 3), []
    for cycle in range(50):
        simulation.set_scan_fault(0, "dead" if 10 <= cycle < 20 else None)
        novel.append(vigilance.watch(simulation.observe()).novel[0])
        simulation.step(stand)
    last = int(np.flatnonzero(novel)[-1])
    assert last == pytest.approx(20 + resume / STEP, abs=2)


def test_a_jump_of_the_odometry_is_novel(watched):
    watched.simulation.jump_odometry(1, 0.8, -0.5, 0.2)
    assert watched.drive(1.0)[-1, 1]
    watched.simulation.jump_odometry(1, -0.8, 0.5, -0.2)
    watched.drive(3.0)


def test_a_lifted_robot_is_novel_once_its_wheels_turn():
    watched = Watched(seed=6)
    watched.drive(4.0)
    watched.simulation.lift(0)
    assert watched.drive(4.0)[:, 0].any()


def test_a_robot_with_bad_inputs_has_no_score(watched):
    observation = watched.simulation.observe()
    observation.pose[0] = np.nan
    report = watched.detector.update(observation, np.full((2, 6), np.nan))
    assert np.isnan(report.score[0])
    assert np.isfinite(report.score[1])


def test_a_robot_that_was_reset_is_judged_anew(watched):
    watched.simulation.set_scan_fault(0, "shifted")
    assert watched.drive(1.0)[-1, 0]
    watched.detector.reset(0)
    watched.simulation.set_scan_fault(0, None)
    assert not watched.drive(0.1)[0, 0]


RULE = OODCalibration(threshold=1.0, persistence=3, window=5)


def test_two_suspicious_cycles_are_not_an_alarm_and_three_are():
    scores = np.array([[2.0, 2.0, 0, 0, 0, 0, 0, 0], [2.0, 0, 2.0, 0, 2.0, 0, 0, 0]])
    novel = verdicts(scores, RULE, resume=1.0, step=0.1)
    assert not novel[0].any()
    assert novel[1, 4:].all()
    assert not novel[1, :4].any()


def test_an_alarm_ends_after_the_resume_time_without_suspicion():
    scores = np.zeros((1, 40))
    scores[0, :5] = 2.0
    novel = verdicts(scores, RULE, resume=1.0, step=0.1)
    assert novel[0, 2:14].all()
    assert not novel[0, 15:].any()


def test_a_missing_score_changes_no_verdict():
    alarm = Alarm(1, RULE, resume=0.0)
    for k in range(4):
        alarm.update(np.array([2.0]), 0.1 * k)
    assert alarm.update(np.array([np.nan]), 9.0)[0]


def room(moved=0.0):
    """A hall of 10 x 10 m with a rack of 2 x 1 m in the middle, possibly moved [m]."""
    cells = np.zeros((200, 200), np.int8)
    cells[[0, -1], :] = cells[:, [0, -1]] = 100
    shift = round(moved / 0.05)
    cells[90:110, 80 + shift : 120 + shift] = 100
    return Site.from_map("room", OccupancyMap(cells, 0.05, (0.0, 0.0)))


ANGLES = np.arange(360) * (2 * np.pi / 360) - np.pi


def ranges(site, pose, reach=12.0):
    out = np.empty(len(ANGLES))
    grid = (site.clearance, site.map.cells, *site.map.origin, site.map.resolution)
    expected_ranges(*pose, ANGLES, reach, *grid, out)
    return out


def summary(site, pose, scan):
    out = np.empty((1, SUMMARY), np.float32)
    grid = (site.clearance, site.map.cells, *site.map.origin, site.map.resolution)
    robot, laser = (np.array([pose]), np.zeros((1, 2)), np.zeros(1)), (scan[None], ANGLES, 12.0)
    scan_summary(*robot, *laser, *grid, np.empty(len(ANGLES)), out)
    return out[0, :SECTORS], out[0, SECTORS : 2 * SECTORS], out[0, 2 * SECTORS + 1 : -1], out[0, -1]


def test_expected_ranges_are_those_of_the_map():
    found = ranges(room(), (2.0, 5.0, 0.0))
    assert found[180] == pytest.approx(2.0, abs=0.06)  # ahead: the rack begins at x = 4
    assert found[0] == pytest.approx(1.95, abs=0.06)  # behind: the wall


def test_a_scan_that_fits_the_map_shows_no_difference():
    pose = (2.0, 5.0, 0.7)
    _, through, short, invalid = summary(room(), pose, ranges(room(), pose))
    assert through.max() == short.max() == invalid == 0.0


def test_a_pallet_is_short_and_a_rack_that_went_away_is_looked_through():
    pose = (2.0, 5.0, 0.0)
    scan = ranges(room(), pose)
    scan[175:185] = 1.0
    _, through, short, _ = summary(room(), pose, scan)
    assert short.max() > 0.1
    assert through.max() == 0.0
    _, through, _, _ = summary(room(), pose, ranges(room(moved=1.5), pose))
    assert through.max() > 0.4


def test_one_or_two_beams_through_a_gap_mean_nothing_and_three_do():
    pose = (2.0, 5.0, 0.0)
    scan = ranges(room(), pose)
    scan[180:182] += 2.0
    assert summary(room(), pose, scan)[1].max() == 0.0
    scan[182] += 2.0
    assert summary(room(), pose, scan)[1].max() > 0.0


def test_beams_that_are_not_numbers_are_counted():
    pose = (2.0, 5.0, 0.0)
    scan = ranges(room(), pose)
    scan[:36] = np.nan
    assert summary(room(), pose, scan)[3] == pytest.approx(0.1)


def test_unknown_space_promises_nothing():
    site = room()
    cells = site.map.cells.copy()
    cells[90:110, 80:120] = -1
    unknown = Site.from_map("room", OccupancyMap(cells, 0.05, (0.0, 0.0)))
    _, through, short, _ = summary(unknown, (2.0, 5.0, 0.0), np.full(360, 12.0))
    assert through[5] < through[0]  # ahead lies the unknown block, behind a wall that the scan looks through
    assert short.max() == 0.0


def test_every_feature_has_a_name():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


@pytest.mark.parametrize(("heard", "alarm"), [(False, False), (True, True)])
def test_who_stands_against_its_orders_is_novel_unless_nobody_knows_whether_they_were_passed_on(heard, alarm):
    """At the start of a fleet the velocity gate is heard later than the first commands are sent."""
    watched, ahead, novel = Watched(seed=9), np.array([[0.75, 0.0]] * 2), False
    for _ in range(30):
        observation = watched.simulation.observe()
        watched.residuals.executed(ahead if heard else np.full((2, 2), np.nan))
        residual, _ = watched.residuals.update(observation, STEP)
        novel |= watched.detector.update(observation, residual).novel.any()
        watched.residuals.commanded(observation, ahead)
        watched.simulation.step(np.zeros((2, 2)))
    assert novel == alarm
