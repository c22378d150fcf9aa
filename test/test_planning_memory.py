"""The value memories: sparse, interpolated, exact in what they learn, and hard to break on disk."""

from __future__ import annotations

import io
import math
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyna_nav.mdp import Bins
from dyna_nav.planning.memory import Grid, ValueMemory

GRID = Grid((-3.0, 5.0), (30.0, 20.0))
MAX_SPEED = 1.5

poses = st.tuples(st.floats(-5, 29), st.floats(3, 27), st.floats(-7, 7))
states = st.tuples(poses, st.floats(-0.5, 2.0), st.floats(0, 1), st.integers(0, 19))
bins = st.builds(
    Bins, *(st.integers(1, n) for n in (30, 30, 12, 4, 5)), goal=st.just(20)
)  # one bin in a dimension is no interpolation in it


def memory(layout=None, capacity=1 << 12):
    return ValueMemory(layout or Bins(), GRID, MAX_SPEED, capacity)


def taught(count=200, seed=0):
    """A memory with some experience, and the states it was taught."""
    rng, table = np.random.default_rng(seed), memory()
    lessons = [
        (
            (*rng.uniform((-3, 5), (27, 25)), rng.uniform(-3, 3)),
            rng.uniform(0, 1.5),
            rng.uniform(),
            int(rng.integers(20)),
        )
        for _ in range(count)
    ]
    for lesson in lessons:
        table.learn(*lesson, error=rng.normal(), rate=0.5)
    return table, lessons


@given(bins, st.lists(st.tuples(states, st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=20))
def test_learning_moves_the_value_of_the_state_by_rate_times_error(layout, lessons):
    table = memory(layout)
    for state, error, rate in lessons:
        before = table.value(*state)
        table.learn(*state, error, rate)
        assert table.value(*state) - before == pytest.approx(rate * error, abs=2e-4)


@given(st.tuples(st.floats(-5, 29), st.floats(3, 27), st.floats(-7, 7)), st.sampled_from(np.eye(3).tolist()))
@settings(max_examples=200)
def test_the_value_has_no_jumps_in_position_or_heading(pose, direction):
    table = memory(Bins(x=7, y=6, heading=5))
    rng = np.random.default_rng(1)
    for _ in range(300):
        table.learn((*rng.uniform((-3, 5), (27, 25)), rng.uniform(-4, 4)), 0.0, 1.0, 0, rng.normal(), 1.0)
    step = 1e-7 * np.array(direction)
    below, above = (table.value(np.array(pose) + s, 0.0, 1.0, 0) for s in (-step, step))
    assert abs(below - above) < 1e-4


def test_a_state_beyond_the_site_counts_as_one_at_its_edge():
    table = memory()
    table.learn((-3.0, 5.0, 0.0), 0.0, 0.0, 0, 1.0, 1.0)
    for beyond in [(-30.0, -50.0, 0.0), (-3.1, 4.9, 0.0)]:
        assert table.value(beyond, -1.0, -0.5, 0) == pytest.approx(table.value((-3.0, 5.0, 0.0), 0.0, 0.0, 0))


@given(states, st.sampled_from(["speed", "battery", "goal"]))
def test_what_is_learned_of_one_speed_battery_or_goal_says_nothing_of_another(state, dimension):
    pose, _, _, goal = state
    table = memory()
    table.learn(pose, 0.1, 0.1, goal, 1.0, 1.0)
    other = {
        "speed": (pose, 1.4, 0.1, goal),
        "battery": (pose, 0.1, 0.9, goal),
        "goal": (pose, 0.1, 0.1, (goal + 1) % 20),
    }
    assert table.value(pose, 0.1, 0.1, goal) == pytest.approx(1.0, abs=1e-5)
    assert table.value(*other[dimension]) == 0.0


def test_the_memory_holds_what_was_visited_and_nothing_else():
    table = memory()
    assert len(table) == 0
    table.learn((5.0, 10.0, 0.3), 0.5, 0.9, 3, 1.0, 0.1)
    once = len(table)
    assert 1 <= once <= 8
    for _ in range(50):
        table.learn((5.0, 10.0, 0.3), 0.5, 0.9, 3, 1.0, 0.1)
        table.value((20.0, 20.0, 0.0), 0.0, 0.5, 7)
    assert len(table) == once
    table.learn((20.0, 20.0, 0.0), 0.0, 0.5, 7, 1.0, 0.1)
    assert once < len(table) <= once + 8


@given(st.integers(1, 400), st.sampled_from([16, 64]))
@settings(max_examples=25)
def test_growing_keeps_every_value(count, capacity):
    small, large = memory(capacity=capacity), memory(capacity=1 << 14)
    rng = np.random.default_rng(count)
    for _ in range(count):
        lesson = (
            (*rng.uniform((-3, 5), (27, 25)), rng.uniform(-3, 3)),
            rng.uniform(0, 1.5),
            rng.uniform(),
            int(rng.integers(20)),
        )
        for table in (small, large):
            table.learn(*lesson, 1.0, 0.3)
        assert small.value(*lesson) == large.value(*lesson)
    assert len(small) == len(large)
    assert len(small) * 2 <= small.keys.size


def test_forgetting_a_goal_empties_that_goal_only():
    table, lessons = taught()
    before = [table.value(*lesson) for lesson in lessons]
    table.forget(3)
    for lesson, old in zip(lessons, before, strict=True):
        assert table.value(*lesson) == (0.0 if lesson[3] == 3 else old)
    for goal in range(20):
        table.forget(goal)
    assert len(table) == 0


def test_a_memory_that_was_emptied_learns_again():
    table, lessons = taught()
    table.clear()
    assert len(table) == 0
    assert table.value(*lessons[0]) == 0.0
    table.learn(*lessons[0], 2.0, 0.5)
    assert table.value(*lessons[0]) == pytest.approx(1.0, abs=1e-5)


def test_what_was_saved_is_what_is_loaded(tmp_path):
    table, lessons = taught()
    table.save(tmp_path / "a" / "memory.npz")
    other = memory()
    assert other.load(tmp_path / "a" / "memory.npz") is None
    assert [other.value(*lesson) for lesson in lessons] == [table.value(*lesson) for lesson in lessons]
    assert (len(other), other.visits.sum()) == (len(table), table.visits.sum())
    assert os.listdir(tmp_path / "a") == ["memory.npz"]


def test_no_file_is_no_problem(tmp_path):
    assert memory().load(tmp_path / "none.npz") is None


def archive(**changes):
    table, _ = taught(20)
    held = np.flatnonzero(table.keys >= 0)
    arrays = {
        "layout": table.layout,
        "keys": table.keys[held],
        "weights": table.weights[held],
        "visits": table.visits[held],
    }
    arrays.update(changes)
    file = io.BytesIO()
    np.savez_compressed(file, **{name: array for name, array in arrays.items() if array is not None})
    return file.getvalue()


def flipped(data):
    """The archive with bits flipped inside its compressed arrays, where the zip directory stays whole."""
    start = data.index(b"keys.npy") + 60
    return data[:start] + bytes(byte ^ 0xFF for byte in data[start : start + 24]) + data[start + 24 :]


def plain_array():
    file = io.BytesIO()
    np.save(file, np.zeros(4))
    return file.getvalue()


DAMAGED = {
    "empty": lambda: b"",
    "text": lambda: b"not a memory at all\n" * 20,
    "cut short": lambda: archive()[:-40],
    "cut to half": lambda: archive()[: len(archive()) // 2],
    "bits flipped": lambda: flipped(archive()),
    "pickle": lambda: pickle.dumps({"keys": [1, 2]}),
    "objects": lambda: archive(weights=np.array([object()] * 3, dtype=object)),
    "plain array": plain_array,
    "an array is missing": lambda: archive(visits=None),
    "other site": lambda: archive(layout=memory(Bins(x=3)).layout),
    "layout of words": lambda: archive(layout=np.array(["a"] * 11)),
    "keys out of range": lambda: archive(keys=np.array([10**12]), weights=np.ones(1), visits=np.ones(1)),
    "keys negative": lambda: archive(keys=np.array([-1]), weights=np.ones(1), visits=np.ones(1)),
    "keys twice": lambda: archive(keys=np.array([4, 4]), weights=np.ones(2), visits=np.ones(2)),
    "keys with fractions": lambda: archive(keys=np.array([4.5]), weights=np.ones(1), visits=np.ones(1)),
    "lengths differ": lambda: archive(weights=np.ones(1)),
    "NaN": lambda: archive(keys=np.array([4]), weights=np.array([math.nan]), visits=np.ones(1)),
    "complex": lambda: archive(keys=np.array([4]), weights=np.array([1j]), visits=np.ones(1)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_or_foreign_file_is_set_aside_with_one_sentence(tmp_path, damage):
    path, data = tmp_path / "memory.npz", DAMAGED[damage]()
    path.write_bytes(data)
    table = memory()
    said = table.load(path)
    assert said is not None
    assert str(path) in said
    assert "\n" not in said
    assert len(table) == 0
    assert not path.exists()
    assert (tmp_path / "memory.npz.damaged").read_bytes() == data
    table.learn((0.0, 10.0, 0.0), 0.0, 0.5, 0, 1.0, 1.0)
    assert table.value((0.0, 10.0, 0.0), 0.0, 0.5, 0) == pytest.approx(1.0)
    table.save(path)
    assert memory().load(path) is None


def test_a_damaged_file_that_cannot_be_set_aside_is_said_and_left(tmp_path, monkeypatch):
    path = tmp_path / "memory.npz"
    path.write_bytes(b"damaged")

    def refuse(source, target):
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "replace", refuse)
    assert "read-only" in memory().load(path)
    assert path.read_bytes() == b"damaged"


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    table, lessons = taught()
    path = tmp_path / "memory.npz"
    table.save(path)
    known = table.value(*lessons[0])
    table.learn(*lessons[0], 5.0, 1.0)

    def full(file, **arrays):
        file.write(b"half of")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        table.save(path)
    other = memory()
    assert other.load(path) is None
    assert other.value(*lessons[0]) == known
    assert os.listdir(tmp_path) == ["memory.npz"]
