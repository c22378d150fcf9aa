"""Launch arguments as words: what is taken, and what is refused with a sentence (no launch is needed for that)."""

from __future__ import annotations

import pytest

from dyna_nav.nodes.launch_arguments import log_level, truth, whole_number


@pytest.mark.parametrize(
    ("text", "meaning"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False)]
)
def test_true_and_false_are_read_as_launch_reads_its_conditions(text, meaning):
    assert truth("simulate", text) is meaning


@pytest.mark.parametrize("text", ["", "maybe", "yes", "2"])
def test_what_is_neither_true_nor_false_is_not_guessed(text):
    with pytest.raises(ValueError, match=f"launch argument use_sim_time is '{text}'; give true or false"):
        truth("use_sim_time", text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "abc", "²", "٣"])
def test_only_whole_numbers_count(text):
    with pytest.raises(ValueError, match="launch argument seed is"):
        whole_number("seed", text)


@pytest.mark.parametrize("text", ["debug", "INFO", "planner:=debug"])
def test_a_log_level_is_for_all_or_for_one_logger(text):
    assert log_level(text) == text


def test_a_log_level_that_ros_does_not_know_is_refused():
    with pytest.raises(ValueError, match="launch argument log_level is 'loud'; give one of debug, info"):
        log_level("loud")
