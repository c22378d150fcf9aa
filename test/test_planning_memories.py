"""The two memories while robots drive: what each learns, what is forgotten, what is kept on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planning_drive import CORNERS, HALL, LOCKSTEP
from planning_worlds import MODEL, hall

from dyna_nav.mdp import STEP, Bins
from dyna_nav.planning.config import Dyna2Config
from dyna_nav.planning.experience import learn_from_step
from dyna_nav.planning.site_memories import SiteMemories


def live_through(run, late, elapsed=STEP, drove=True, **other):
    """One real step of the only robot, which ends so far [m] behind where the last cycle began."""
    last = run.controller._last
    state = {"pose": last.pose[0] - (late, 0.0, 0.0)} | other
    state = replace(last, **{name: np.array([value]) for name, value in state.items()})
    learn_from_step(run.dyna2.values, last, state, elapsed, np.array([drove]), np.array([False]), rate=0.05)


def contents(memory):
    held = np.flatnonzero(memory.keys >= 0)
    return dict(zip(memory.keys[held].tolist(), memory.weights[held].tolist(), strict=True))


def test_the_transient_memory_is_empty_after_a_new_goal_and_only_that_robots(drive_dyna2):
    run = drive_dyna2(2)
    run.steps(15)
    transient = run.dyna2.values.transient
    per_robot = int(np.prod(transient.layout[4:9]))

    def belonging_to(robot):
        return {key: weight for key, weight in contents(transient).items() if key // per_robot == robot}

    others = belonging_to(1)
    assert belonging_to(0)
    assert others
    run.assign(0, CORNERS[2])
    assert not belonging_to(0)
    assert belonging_to(1) == others


def test_what_is_not_imagined_again_counts_half_after_its_half_life(drive_dyna2):
    """Where somebody stood in the way the values are bad; they must not stay so when nobody imagines going there."""
    run = drive_dyna2(config=replace(LOCKSTEP, dyna2=Dyna2Config(transient_half_life=1.0)))
    run.steps(1)
    far, transient = (6.0, 7.0, 0.0), run.dyna2.values.transient
    transient.learn(far, 0.0, 1.0, 0, -0.8, 1.0)
    run.steps(10)
    assert transient.value(far, 0.0, 1.0, 0) == pytest.approx(-0.4, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_who_was_held_up_for_a_minute_drives_on_as_soon_as_the_way_is_free(drive_dyna2, seed):
    """The permanent memory learns that standing there costs; the transient one must not make a treasure of it."""
    aisle = hall(26, 7, [(8, 0, 18, 2.9), (8, 4.1, 18, 7)])
    run = drive_dyna2(2, site=aisle, poses=[(10, 3.5, 0.0), (10.9, 3.5, 0.0)], goals=[(22, 3.5, 0), None], seed=seed)
    noise = np.random.default_rng(seed)

    def localised(observation):
        return replace(observation, pose=observation.pose + noise.normal(scale=(0.01, 0.01, 0.005), size=(2, 3)))

    run.steps(600, localised)
    assert run.fleet.pose[0, 0] < 10.3
    run.fleet.pose[1] = 24, 1.5, 0
    run.steps(40, localised)
    assert run.fleet.pose[0, 0] > 11.0


def test_no_memory_promises_more_than_the_potential(drive_dyna2):
    """Beside a place that was learned to be bad an interpolated table may hold a treasure: nobody stays for it."""
    ways = []
    for treasure in (0.0, 3.0):
        run = drive_dyna2(site=hall(20, 6), poses=[(2, 3, 0.0)], goals=[(17, 3, 0.0)])
        run.steps(1)
        values, state = run.dyna2.values, run.controller._last
        for heading in np.linspace(-np.pi, np.pi, 8, endpoint=False):
            values.permanent.learn((2, 3, heading), 0.0, 1.0, state.goal_index[0], treasure, 1.0)
            values.transient.learn((2, 3, heading), 0.0, 1.0, 0, treasure, 1.0)
        ways.append(run.until_arrived(30))
    assert ways[1] <= ways[0] + 0.5


def test_planning_never_writes_the_permanent_memory(drive_dyna2):
    run = drive_dyna2(2)
    run.steps(10)
    before = contents(run.dyna2.values.permanent)
    state, live = run.controller._last, run.controller._live
    transient = contents(run.dyna2.values.transient)
    for _ in range(5):
        run.dyna2.plan(state, live)
    assert contents(run.dyna2.values.permanent) == before
    assert contents(run.dyna2.values.transient) != transient


def test_what_really_happens_is_learned_by_the_permanent_memory_alone(drive_dyna2):
    run = drive_dyna2()
    run.steps(10)
    before, transient = contents(run.dyna2.values.permanent), contents(run.dyna2.values.transient)
    live_through(run, late=0.3)
    assert contents(run.dyna2.values.permanent) != before
    assert contents(run.dyna2.values.transient) == transient


def test_a_real_delay_makes_its_place_worth_less(drive_dyna2):
    run = drive_dyna2()
    run.steps(10)
    last, values = run.controller._last, run.dyna2.values
    state = (last.pose[0], last.twist[0, 0], last.battery[0], last.goal_index[0])
    before = values.permanent.value(*state)
    live_through(run, late=0.3)
    assert values.permanent.value(*state) < before


@pytest.mark.parametrize(
    "how",
    [
        {"elapsed": 2 * STEP},  # a cycle was missed
        {"drove": False},
        {"goal": (3.0, 3.0, 0.0)},  # it has another goal since
        {"pose": (np.nan, np.nan, np.nan)},
    ],
)
def test_what_was_no_step_to_the_goal_teaches_nothing(drive_dyna2, how):
    run = drive_dyna2()
    run.steps(10)
    before = contents(run.dyna2.values.permanent)
    live_through(run, late=0.3, **how)
    assert contents(run.dyna2.values.permanent) == before


def test_one_error_moves_the_sum_of_both_memories_once(drive_dyna2):
    """Imagination moves the transient memory by its rate times the error of the sum; the sum must not move twice."""
    run = drive_dyna2(config=replace(LOCKSTEP, dyna2=Dyna2Config(transient_rate=0.5)))
    run.steps(1)
    values, pose = run.dyna2.values, run.fleet.pose[0]
    values.transient.clear()
    values.permanent.learn(pose, 0.0, 1.0, run.controller._last.goal_index[0], 4.0, 1.0)
    lessons = []
    learn = values.transient.learn

    def watch(pose, speed, battery, goal, error, rate):
        def total():
            return values.learned(goal, pose, speed, battery, run.controller._last.goal_index[0])

        before = total()
        learn(pose, speed, battery, goal, error, rate)
        lessons.append((total() - before, rate * error))

    values.transient.learn = watch
    run.dyna2.plan(run.controller._last, run.controller._live)
    moved, meant = np.array(lessons).T
    assert len(lessons) > 3
    assert np.abs(meant).max() > 0.1
    np.testing.assert_allclose(moved, meant, atol=1e-3)


def test_the_permanent_memory_is_saved_on_close_and_read_on_reset(drive_dyna2, tmp_path):
    run = drive_dyna2(memory_dir=tmp_path)
    run.steps(40)
    learned = contents(run.dyna2.values.permanent)
    assert learned
    run.controller.close()
    again = drive_dyna2(memory_dir=tmp_path)
    assert contents(again.dyna2.values.permanent) == pytest.approx(learned)
    other = drive_dyna2(memory_dir=tmp_path, site=hall(12, 8))
    assert not contents(other.dyna2.values.permanent)


def test_a_memory_that_cannot_be_written_is_a_warning_and_the_run_ends_in_order(drive_dyna2, tmp_path):
    run = drive_dyna2(memory_dir=tmp_path / "memory")
    run.steps(3)
    (tmp_path / "memory").write_text("a file where the folder should be")
    run.controller.close()
    assert "permanent-" in run.controller.warnings[-1]
    assert "cannot be written" in run.controller.warnings[-1]


def test_the_permanent_memory_is_written_once_a_minute_while_the_robots_drive(tmp_path):
    """Whoever cuts the power, or kills the planner, takes no more than that."""
    memories = SiteMemories(HALL, 1, MODEL.max_speed, Bins(), None, tmp_path)
    memories.permanent.learn((1.0, 1.0, 0.0), 0.0, 1.0, 0, -1.0, 0.5)
    learned = contents(memories.permanent)
    for now in (1000.0, 1059.0):
        assert memories.keep(now) is None
        assert not list(tmp_path.iterdir())
    memories.keep(1060.0)
    memories.permanent.learn((3.0, 1.0, 0.0), 0.0, 1.0, 0, -1.0, 0.5)  # while it is being written, perhaps
    memories.close()
    assert contents(SiteMemories(HALL, 1, MODEL.max_speed, Bins(), None, tmp_path).permanent) == pytest.approx(learned)


def test_what_was_learned_about_another_potential_is_not_read(tmp_path):
    for potential, held in ((1.0, 0), (1.0, 1), (2.0, 0)):
        memories = SiteMemories(HALL, 1, MODEL.max_speed, Bins(), potential, tmp_path)
        assert bool(contents(memories.permanent)) == bool(held)
        memories.permanent.learn((1.0, 1.0, 0.0), 0.0, 1.0, 0, -1.0, 0.5)
        assert memories.save() is None
        memories.close()


def test_that_it_cannot_be_written_is_told_and_tried_again(tmp_path):
    memories = SiteMemories(HALL, 1, MODEL.max_speed, Bins(), None, tmp_path / "memory")
    (tmp_path / "memory").write_text("a file where the folder should be")
    told = []
    for now in range(0, 600, 30):
        told.append(memories.keep(float(now)))
        assert memories._writing is None or memories._writing.result() is not None
    assert sum(problem is not None for problem in told) == 8  # of nine times, the last has not been asked about
    memories.close()


def test_the_same_warning_is_given_once(drive_dyna2, monkeypatch):
    run = drive_dyna2()
    monkeypatch.setattr(run.controller._memories, "keep", lambda now: "the disk is full")
    run.steps(3)
    assert run.controller.warnings.count("the disk is full") == 1


def test_a_damaged_memory_file_is_a_warning_and_no_obstacle(drive_dyna2, tmp_path):
    drive_dyna2(memory_dir=tmp_path).controller.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"damaged")
    run = drive_dyna2(memory_dir=tmp_path)
    assert len(run.controller.warnings) == 1
    assert run.steps(5).any()


def test_each_goal_draws_the_members_that_predict_anew(drive_dyna2):
    run = drive_dyna2()
    drawn = set()
    for k in range(40):
        run.assign(0, CORNERS[1 + k % 3])
        drawn.add(int(run.dyna2._draw[0]))
    assert drawn == set(range(run.dyna2.model.members))
