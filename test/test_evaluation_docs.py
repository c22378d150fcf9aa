"""The page for outsiders: its controller is the example that works, and its scenario can be run."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from evaluation_worlds import course, drive

from dyna_nav.evaluation.campaign import load_campaign
from dyna_nav.evaluation.controllers import REGISTERED
from dyna_nav.evaluation.course import draw_course
from dyna_nav.evaluation.figures import COLUMNS, TARGET_FIGURES
from dyna_nav.evaluation.scenario import load_scenario, shipped_scenarios
from dyna_nav.mdp import RobotModel
from dyna_nav.site import resolve_site

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "writing_a_controller.md").read_text(encoding="utf-8")


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def test_the_controller_of_the_page_is_the_example():
    example = (ROOT / "examples" / "straight_line.py").read_text(encoding="utf-8")
    assert block("python") == example
    assert len(example.splitlines()) <= 35


def test_the_controller_of_the_page_drives_on_an_open_floor():
    names: dict = {}
    exec(compile(block("python"), "page", "exec"), names)
    result = drive(course(robots=1, trips=4), names["StraightLine"]())
    assert [trip.finished for trip in result.trips] == [True] * 4
    assert not result.collisions
    assert max(trip.ratio for trip in result.trips) < 2.0


def test_the_scenario_of_the_page_can_be_drawn(tmp_path):
    path = tmp_path / "page.yaml"
    path.write_text(block("yaml"))
    assert set(yaml.safe_load(block("yaml"))) <= set(vars(load_scenario(str(path))))
    drawn = draw_course(resolve_site("default"), load_scenario(str(path)), 1, RobotModel())
    assert len(drawn.walkers) == 2
    assert len(drawn.timeline) >= 4


def test_the_campaign_of_the_page_can_be_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(block("yaml", 1))
    assert [run.name for run in load_campaign(path).runs] == ["hall-busy"]
    assert all(f"`{name}`" in PAGE for name in TARGET_FIGURES if name not in COLUMNS)


def test_every_shipped_scenario_and_controller_is_on_the_page():
    assert set(re.findall(r"^\| `(\w+)` \| \d", PAGE, re.MULTILINE)) == set(shipped_scenarios())
    assert all(f"`{name}`" in PAGE for name in REGISTERED)
