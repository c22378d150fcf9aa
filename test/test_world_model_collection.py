"""Collected experience: reproducible, resumable, and consistent with what the robot would have encoded."""

import numpy as np
import pytest

pytest.importorskip("mujoco")

from dyna_nav.mdp import Reward
from dyna_nav.simulation.timing import Timing
from dyna_nav.world_model.collection import (
    Episode,
    EpisodePlan,
    collect_shard,
    plan_episodes,
    run_episode,
)
from dyna_nav.world_model.encoding import FEATURE_NAMES, REWARD, apply_delta

PLAN = EpisodePlan("random:3", 3, 60)


@pytest.fixture(scope="module")
def episode():
    return run_episode(PLAN)


@pytest.fixture
def punctual(monkeypatch):
    monkeypatch.setattr(Timing, "draw", classmethod(lambda cls, rng: cls()))
    return run_episode(PLAN)


def test_the_same_plan_gives_the_same_numbers(episode):
    again = run_episode(PLAN)
    for name, values in vars(episode).items():
        np.testing.assert_array_equal(getattr(again, name), values, err_msg=name)


def test_the_recorded_changes_lead_along_the_recorded_path(punctual):
    episode = punctual
    pose, twist = episode.pose[:, 0].copy(), episode.twist[:, 0].astype(float)
    battery = np.ones(len(pose))
    for k in range(1, PLAN.steps):
        apply_delta(pose, twist, battery, episode.targets[:, k])
        np.testing.assert_allclose(pose[:, :2], episode.pose[:, k, :2], atol=1e-6)
        np.testing.assert_allclose(twist, episode.twist[:, k], atol=1e-5)


def test_each_command_is_the_previous_one_of_the_next_step(episode):
    command = FEATURE_NAMES.index("command_speed")
    previous = FEATURE_NAMES.index("previous_speed")
    np.testing.assert_array_equal(episode.features[:, 1:, previous], episode.features[:, :-1, command])


def test_rewards_are_those_of_the_decision_problem(episode):
    reward = Reward()
    assert set(np.unique(episode.targets[..., REWARD])) <= {reward.step, reward.goal, reward.collision}
    np.testing.assert_array_equal(episode.targets[..., REWARD] == reward.collision, episode.collisions)


def test_an_episode_reads_back_as_it_was_written(episode, tmp_path):
    episode.save(tmp_path / "episode.npz")
    again = Episode.load(tmp_path / "episode.npz")
    assert all(np.array_equal(getattr(again, name), values) for name, values in vars(episode).items())
    assert [path.name for path in tmp_path.iterdir()] == ["episode.npz"]


def test_a_shard_that_is_there_is_not_recorded_again(episode, tmp_path):
    episode.save(tmp_path / PLAN.name)
    before = (tmp_path / PLAN.name).stat().st_mtime_ns
    assert collect_shard(tmp_path, PLAN) == episode.learnable.size
    assert (tmp_path / PLAN.name).stat().st_mtime_ns == before


def test_no_two_parts_of_a_run_share_a_site():
    plans = [plan.site for first in (0, 1000, 2000) for plan in plan_episodes(40_000, first, 500)]
    assert len(set(plans)) == len(plans)
