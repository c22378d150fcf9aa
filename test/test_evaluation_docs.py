"""The page for outsiders: its controller is the example that works, and its scenario can be run."""

from __future__ import annotations

import math
import re
from pathlib import Path

import yaml
from campaign_worlds import episode
from evaluation_worlds import course, drive

from dyna_nav.evaluation.benchmark import summarise
from dyna_nav.evaluation.campaign import load_campaign
from dyna_nav.evaluation.controllers import REGISTERED
from dyna_nav.evaluation.course import draw_course
from dyna_nav.evaluation.figures import TARGET_FIGURES
from dyna_nav.evaluation.scenario import load_scenario, shipped_scenarios
from dyna_nav.evaluation.tables import write_trips
from dyna_nav.mdp import RobotModel
from dyna_nav.simulation.config import SimulationConfig
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
    told = re.search(r"Figures that a target can name:.*?\n\n|Figures that a target can name:.*", PAGE, re.DOTALL)[0]
    assert set(re.findall(r"`(\w+)`", told)) - {"controller", "than"} == set(TARGET_FIGURES)


def test_every_figure_and_every_column_of_the_results_is_on_the_page(tmp_path):
    results = [episode("dyna2", 1), episode("astar", 1)]
    summary = summarise(results)
    named = {key for figures in summary["controllers"].values() for key in figures} - {"clusters"}
    write_trips(tmp_path / "trips.csv", results)
    header = (tmp_path / "trips.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert len(named) > 25
    assert len(header) > 15
    assert {name for name in (*named, *header) if f"`{name}`" not in PAGE} == set()


def test_the_readme_tells_what_the_results_say():
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    glance = results.partition("## At a glance")[2].partition("### Targets")[0]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Is it any good?")[2].partition("\n## ")[0]
    ratios = re.findall(r"\d\.\d{3} \[[\d., ]+\]", readme)
    assert len(ratios) == 7
    assert [ratio for ratio in ratios if f"| {ratio} |" not in glance] == []
    trips = re.search(r"\| \*\*all of these\*\* \| \d+ \| ([\d,]+) \|.*\((\d+)\).*\((\d+)\)", glance)
    told = re.sub(r"\s+", " ", readme)
    assert trips[2] == "0"
    assert f"touched nothing in {trips[1]}; the baseline touched something {trips[3]} times" in told


def test_the_page_says_what_sensors_and_base_are_like():
    config = SimulationConfig()
    told = [
        f"{config.mass:g} kg", f"{config.latency:g} s after a command", f"{100 * config.position_noise:g} cm",
        f"{math.degrees(config.heading_noise):.1f} degrees", f"over {config.noise_time:g} s",
        f"{1000 * config.speed_noise:g} mm/s", f"{1000 * config.turn_rate_noise:g} mrad/s",
        f"{100 * config.laser_height:g} cm above the floor", f"{config.beams}\nbeams", f"up to {config.scan_max:g} m",
        f"with {100 * config.scan_noise:g} cm of noise",
    ]  # fmt: skip
    assert [words for words in told if words not in PAGE] == []


def test_every_shipped_scenario_and_controller_is_on_the_page():
    assert set(re.findall(r"^\| `(\w+)` \| \d", PAGE, re.MULTILINE)) == set(shipped_scenarios())
    assert all(f"`{name}`" in PAGE for name in REGISTERED)
