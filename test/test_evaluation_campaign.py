"""``dyna-nav campaign``: reads its file strictly, runs what is not there, keeps what is finished, writes the page."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from campaign_worlds import MadeUp, command, content, run_entry, section, written
from evaluation_worlds import open_hall

import examples.straight_line
from dyna_nav.cli import main
from dyna_nav.evaluation import benchmark, campaign_results, tables
from dyna_nav.evaluation import command as evaluate
from dyna_nav.evaluation.campaign import load_campaign
from dyna_nav.evaluation.module_files import module_files
from dyna_nav.evaluation.scenario import shipped_scenarios
from dyna_nav.planning.ablations import ABLATIONS
from dyna_nav.site import save_map
from dyna_nav.world_model import bundle

TWO = [run_entry(), run_entry(name="second", site="random:3")]


@pytest.fixture
def made_up(monkeypatch):
    stand_in = MadeUp()
    monkeypatch.setattr(benchmark, "run_benchmark", stand_in.run_benchmark)
    monkeypatch.setattr(benchmark, "check", lambda *_: open_hall())
    monkeypatch.setattr(bundle, "load_bundle", lambda: SimpleNamespace(version="model-a"))
    return stand_in


# The file.


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"speed": 3}, ["runs[0] (first).speed is no known field", "known are name, section"]),
        ({"scenario": "quiet"}, ["runs[0] (first).scenario is 'quiet'", "does not exist"]),
        ({"controllers": "dyna3"}, ["runs[0] (first).controllers is 'dyna3'", "is unknown"]),
        ({"seeds": "5-1"}, ["runs[0] (first).seeds is '5-1'", "no range of seeds"]),
        ({"seeds": -1}, ["runs[0] (first).seeds is '-1'"]),
        ({"robots": 0}, ["runs[0] (first).robots is 0", "must lie in"]),
        ({"trips": "many"}, ["runs[0] (first).trips is 'many'", "a whole number"]),
        ({"site": "depot"}, ["runs[0] (first).site is 'depot'", "random:SEED"]),
        ({"map": "$MAPS/a.yaml"}, ["runs[0] (first).map is '$MAPS/a.yaml' although site is 'default'"]),
        ({"plots": ["heat"]}, ["runs[0] (first).plots has 'heat'", "speed_map"]),
        ({"plots": "heat"}, ["runs[0] (first).plots is 'heat'", "a list"]),
        ({"plots_of": "astar"}, ["runs[0] (first).plots_of has 'astar'"]),
        ({"section": "quiet"}, ["runs[0].section is 'quiet'", "known are busy"]),
        ({"name": "../up"}, ["runs[0] (../up).name is '../up'"]),
    ],
)
def test_a_bad_run_is_one_sentence_with_file_run_field_and_value(entry, named, tmp_path, capsys):
    assert command(tmp_path, content([run_entry(**entry)])) == 2
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert all(part in words for part in ["mine.yaml", *named])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"runs": []}, "runs is []; it must be a list of runs"),
        ({"runs": ["busy"]}, "runs[0] is 'busy'"),
        ({"runs": [run_entry(), run_entry()]}, "runs[1].name is 'first', which is taken"),
        ({"sections": [section(), section()]}, "sections[1].name is 'busy', which is taken"),
        ({"targets": [{"section": "x", "runs": "*", "figure": "ratio", "at_most": 1}]}, "targets[0].section is 'x'"),
        ({"colour": "red"}, "colour is no known field"),
        ({"targets": [{"section": "busy", "runs": "first", "figure": "ratio"}]}, "targets[0] has no clear bound"),
        ({"targets": [{"section": "busy", "runs": "x*", "figure": "ratio", "at_most": 1}]}, "which names no run"),
        ({"targets": [{"runs": "*,x*", "figure": "ratio", "at_most": 1}]}, "targets[0].runs has 'x*', which names no"),
        ({"targets": [{"section": "busy", "runs": "*", "figure": "joy", "at_most": 1}]}, "figure is 'joy'; known are"),
        (
            {"targets": [{"runs": "*", "figure": "ratio", "at_most": 1, "than": "astr"}]},
            "targets[0].than is 'astr', which drives in no run; known are dyna2, astar-fleet",
        ),
        ({"targets": [{"runs": "*", "figure": "trips", "at_most": 1, "controller": "x"}]}, "targets[0].controller is"),
        ({"reference": "dyan2"}, "reference is 'dyan2', which drives in no run"),
        ({"baseline": "orca"}, "baseline is 'orca', which drives in no run"),
    ],
)
def test_a_bad_campaign_is_one_sentence(changes, named, tmp_path, capsys):
    assert command(tmp_path, content(**changes)) == 2
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "mine.yaml" in words
    assert named in words


@pytest.mark.parametrize("field", ["name", "section", "shows", "scenario", "controllers", "seeds"])
def test_a_missing_field_is_named(field, tmp_path, capsys):
    entry = run_entry()
    del entry[field]
    assert command(tmp_path, content([entry])) == 2
    assert f"has no {field}; give {field}" in capsys.readouterr().err


def test_what_is_no_yaml_is_named_with_its_line(tmp_path, capsys):
    path = tmp_path / "broken.yaml"
    path.write_text("title: [\n")
    assert main(["campaign", "--campaign", str(path)]) == 2
    assert "broken.yaml: not valid YAML in line" in capsys.readouterr().err


def test_the_shipped_campaign_leaves_nothing_out():
    campaign = load_campaign()
    assert {run.scenario for run in campaign.runs} == set(shipped_scenarios())
    driven = {name.target.rpartition(":")[2] for run in campaign.runs for name in run.names()}
    assert set(ABLATIONS) <= driven
    assert {"dyna2", "astar", "astar-fleet", "mppi", "mppi-kinematic", "orca", "random-shooting"} <= driven
    assert {"cem", "mcts", "StraightLine"} <= driven
    assert {run.section for run in campaign.runs} == {section.name for section in campaign.sections}
    assert all(run.map.startswith("$MAPS/") for run in campaign.runs if run.map)


def test_the_line_that_reproduces_a_run_is_understood_by_evaluate():
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    for run in load_campaign().runs:
        words = shlex.split(run.command())
        assert words[:2] == ["dyna-nav", "evaluate"]
        given = parser.parse_args(words[2:])
        assert (given.scenario, given.site, given.map) == (run.scenario, run.site, run.map)
        assert (given.robots, given.trips, given.seeds) == (run.robots, run.trips, run.seed_list())
        assert evaluate_names(given.controllers) == run.names()


def evaluate_names(text):
    from dyna_nav.evaluation.controllers import parse_controllers

    return parse_controllers(text)


def test_a_module_in_a_folder_that_is_no_package_is_found_and_nothing_of_ours(tmp_path):
    root = Path(examples.straight_line.__file__).parent.parent
    assert module_files("examples.straight_line", root) == [root / "examples" / "straight_line.py"]
    assert module_files("nowhere.to_be_found", tmp_path) == []


# Running it.


def test_what_is_there_is_not_run_again(made_up, tmp_path, capsys):
    assert command(tmp_path, content(TWO)) == 0
    assert made_up.asked == [("busy", "default", [1, 2]), ("busy", "random:3", [1, 2])]
    before = (tmp_path / "out.md").read_text()
    assert command(tmp_path, content(TWO)) == 0
    assert len(made_up.asked) == 2
    assert "campaign: 2/2 second is there" in capsys.readouterr().err
    assert (tmp_path / "out.md").read_text() == before


def test_other_words_about_a_run_do_not_make_it_stale(made_up, tmp_path):
    command(tmp_path, content())
    command(tmp_path, content([run_entry(shows="something else")]))
    assert len(made_up.asked) == 1
    assert "something else" in (tmp_path / "out.md").read_text()


@pytest.mark.parametrize(
    "change", [{"seeds": "1-3"}, {"robots": 3}, {"trips": 7}, {"site": "random:4"}, {"controllers": "dyna2,astar"}]
)
def test_a_result_of_other_arguments_is_made_anew(change, made_up, tmp_path, capsys):
    command(tmp_path, content())
    command(tmp_path, content([run_entry(**change)]))
    assert len(made_up.asked) == 2
    assert "(made with other arguments)" in capsys.readouterr().err


def test_a_result_of_another_model_is_made_anew(made_up, tmp_path, monkeypatch, capsys):
    command(tmp_path, content())
    monkeypatch.setattr(bundle, "load_bundle", lambda: SimpleNamespace(version="model-b"))
    assert command(tmp_path, content(), "--list") == 0
    assert "first: to run: made with model model-a, not model-b" in capsys.readouterr().out
    command(tmp_path, content(), "--write-page-only")
    assert "- `first`: made with model model-a, not model-b." in (tmp_path / "out.md").read_text()
    command(tmp_path, content())
    assert len(made_up.asked) == 2
    assert json.loads((tmp_path / "out" / "first.json").read_text())["campaign"]["model"] == "model-b"


def test_a_result_of_another_source_is_told_and_made_anew_on_request(made_up, tmp_path, monkeypatch, capsys):
    command(tmp_path, content())
    assert "The source has changed" not in (tmp_path / "out.md").read_text()
    monkeypatch.setattr(campaign_results, "source_key", lambda parts: "new")
    command(tmp_path, content())
    assert len(made_up.asked) == 1
    assert "The source has changed since some of these runs: it is new now." in (tmp_path / "out.md").read_text()
    command(tmp_path, content(), "--fresh")
    assert len(made_up.asked) == 2
    assert ", not new)" in capsys.readouterr().err


def test_a_controller_of_ones_own_is_driven_anew_when_its_file_has_changed(made_up, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    mine = content([run_entry(controllers="dyna2,astar=a_planner_of_mine:Planner")])
    for text, asked in (("class Planner: ...\n", 1), ("class Planner: ...\n", 1), ("class Planner: better = 1\n", 2)):
        (tmp_path / "a_planner_of_mine.py").write_text(text)
        assert command(tmp_path, mine) == 0
        assert len(made_up.asked) == asked
    assert "(the source of controller astar has changed)" in capsys.readouterr().err


def test_and_when_a_module_has_that_it_imports(made_up, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "planners_of_mine"
    package.mkdir()
    for file, text in {
        package / "__init__.py": "",
        package / "planner.py": "import numpy\nfrom . import search\nclass Planner: ...\n",
        package / "search.py": "from .costs import WALL\n",
        package / "costs.py": "WALL = 1\n",
        package / "other.py": "",
    }.items():
        file.write_text(text)
    monkeypatch.setattr(
        campaign_results, "file_of", lambda name: package / "planner.py" if ":" in name.target else None
    )
    mine = content([run_entry(controllers="dyna2,astar=planners_of_mine.planner:Planner")])
    for file, text, asked in (("other", "X = 1\n", 1), ("costs", "WALL = 2\n", 2), ("search", "WALL = (\n", 3)):
        command(tmp_path, mine)
        (package / f"{file}.py").write_text(text)
        command(tmp_path, mine)
        assert len(made_up.asked) == asked


@pytest.mark.parametrize("changed", ["hall.yaml", "hall.pgm", "hall.stations.yaml"])
def test_a_map_that_has_changed_behind_its_name_is_driven_anew(changed, made_up, tmp_path, capsys):
    (tmp_path / "maps").mkdir()
    save_map(open_hall(), tmp_path / "maps" / "hall.yaml")
    mine = content([run_entry(map="$MAPS/hall.yaml", site="")])
    for asked in (1, 1):
        assert command(tmp_path, mine) == 0
        assert len(made_up.asked) == asked
    file = tmp_path / "maps" / changed
    file.write_bytes((file.read_bytes() if file.exists() else b"") + b"\n")
    assert command(tmp_path, mine) == 0
    assert len(made_up.asked) == 2
    assert "(the map $MAPS/hall.yaml has changed)" in capsys.readouterr().err


def test_a_result_from_before_maps_were_told_apart_stays_and_so_does_one_whose_map_is_elsewhere(made_up, tmp_path):
    (tmp_path / "maps").mkdir()
    save_map(open_hall(), tmp_path / "maps" / "hall.yaml")
    mine = content([run_entry(map="$MAPS/hall.yaml", site="")])
    command(tmp_path, mine)
    file = tmp_path / "out" / "first.json"
    older = json.loads(file.read_text())
    del older["campaign"]["map"]
    file.write_text(json.dumps(older))
    command(tmp_path, mine)
    (tmp_path / "maps").rename(tmp_path / "elsewhere")
    command(tmp_path, mine)
    assert len(made_up.asked) == 1


def test_a_picture_that_is_asked_for_later_is_drawn(made_up, tmp_path):
    command(tmp_path, content())
    command(tmp_path, content([run_entry(plots=["travel_times"])]))
    assert len(made_up.asked) == 2
    assert (tmp_path / "out" / "first" / "travel_times.png").stat().st_size < 100_000


def test_a_result_of_which_only_a_part_was_driven_is_none(made_up, tmp_path, capsys):
    command(tmp_path, content())
    file = tmp_path / "out" / "first.json"
    whole = json.loads(file.read_text())
    assert (whole["complete"], whole["episodes"]) == (True, 4)
    file.write_text(json.dumps(whole | {"complete": False}))
    command(tmp_path, content(), "--write-page-only")
    assert "- `first`: only a part of it was driven." in (tmp_path / "out.md").read_text()
    assert command(tmp_path, content()) == 0
    assert len(made_up.asked) == 2
    del whole["complete"]  # as results from before it was told have it
    file.write_text(json.dumps(whole))
    assert command(tmp_path, content()) == 0
    assert len(made_up.asked) == 2


def test_a_picture_of_other_controllers_is_drawn_anew(made_up, tmp_path, capsys):
    command(tmp_path, content([run_entry(plots=["travel_times"])]))
    alone = content([run_entry(plots=["travel_times"], plots_of="dyna2")])
    for asked in (2, 2):
        assert command(tmp_path, alone) == 0
        assert len(made_up.asked) == asked
    assert "(its pictures show other controllers)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage", ["{", "[]", "{}", "whole without scenario", "whole without controllers", "whole without machine"]
)
def test_a_damaged_result_is_named_before_anything_is_driven(damage, made_up, tmp_path, capsys):
    command(tmp_path, content(TWO))
    for name in ("first", "second"):
        file = tmp_path / "out" / f"{name}.json"
        whole = json.loads(file.read_text())
        if name == "first":
            file.unlink()
        else:
            kept = {key: value for key, value in whole.items() if key != damage.split()[-1]}
            file.write_text(json.dumps(kept) if "whole" in damage else damage)
    assert command(tmp_path, content(TWO)) == 2
    words = capsys.readouterr().err
    assert "second.json: no result of a campaign can be read from it; delete it" in words
    assert len(made_up.asked) == 2


@pytest.mark.parametrize("cut", [1, 30])
def test_a_table_that_is_cut_off_is_named(cut, made_up, tmp_path, capsys):
    command(tmp_path, content())
    file = tmp_path / "out" / "first.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines)[:-cut] if cut > 1 else "".join(lines[:-1]))
    assert command(tmp_path, content()) == 2
    words = capsys.readouterr().err
    assert "Traceback" not in words
    assert re.search(r"first.csv: cannot be read \(.*\); delete it and run the campaign again", words)


def test_only_some_runs_can_be_asked_for(made_up, tmp_path, capsys):
    assert command(tmp_path, content(TWO), "--only", "sec*,none") == 0
    assert made_up.asked == [("busy", "random:3", [1, 2])]
    assert "- `first`: not made yet." in (tmp_path / "out.md").read_text()
    assert command(tmp_path, content(TWO), "--only", "third") == 2
    assert "--only third names no run of mine.yaml" in capsys.readouterr().err


def test_listing_and_the_page_alone_run_nothing(made_up, tmp_path, capsys):
    assert command(tmp_path, content(TWO), "--list") == 0
    assert "first: to run: not made yet\n  dyna-nav evaluate --scenario busy" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert command(tmp_path, content(TWO), "--write-page-only") == 0
    assert "Nothing yet" in (tmp_path / "out.md").read_text()
    assert made_up.asked == []


def test_a_run_whose_map_is_not_there_is_skipped_and_said(made_up, tmp_path, capsys):
    hall = {"name": "hall", "map": "$MAPS/hall.yaml", "site": ""}
    assert command(tmp_path, content([run_entry(**hall), run_entry()])) == 0
    assert len(made_up.asked) == 1
    assert "campaign: 1/2 hall skipped: $MAPS/hall.yaml is not in" in capsys.readouterr().err
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "hall.yaml").touch()
    assert command(tmp_path, content([run_entry(**hall), run_entry()])) == 0
    assert made_up.asked[1][1] == str(tmp_path / "maps" / "hall.yaml")
    texts = [path.read_text() for path in [tmp_path / "out.md", *(tmp_path / "out").glob("*.*")]]
    assert not any(str(tmp_path) in text for text in texts)  # where the maps lie on this machine is nobody's business


def test_a_run_that_fails_does_not_take_the_others_with_it(made_up, tmp_path, capsys):
    made_up.raises[1] = ValueError("controller 'dyna2' on seed 1 at 0.0 s failed")
    assert command(tmp_path, content(TWO)) == 1
    assert "campaign: 1/2 first failed: controller 'dyna2' on seed 1" in capsys.readouterr().err
    assert not (tmp_path / "out" / "first.json").exists()
    assert (tmp_path / "out" / "second.json").exists()
    page = (tmp_path / "out.md").read_text()
    assert "- `first`: failed: controller 'dyna2' on seed 1 at 0.0 s failed." in page


def test_a_run_that_fails_by_a_mistake_is_shown_where_it_was_made(made_up, tmp_path, capsys):
    made_up.raises[1] = IndexError("no such robot")
    assert command(tmp_path, content(TWO)) == 1
    words = capsys.readouterr().err
    assert re.search(r"Traceback.*campaign: 1/2 first failed: no such robot", words, re.DOTALL)
    assert (tmp_path / "out" / "second.json").exists()


def test_an_interrupted_campaign_goes_on_where_it_was(made_up, tmp_path, capsys):
    made_up.raises[2] = KeyboardInterrupt()
    assert command(tmp_path, content(TWO)) == 130
    assert "interrupted in second" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first.csv", "first.json"]
    assert command(tmp_path, content(TWO)) == 0
    assert [site for _, site, _ in made_up.asked] == ["default", "random:3", "random:3"]


def test_a_run_that_is_interrupted_while_it_is_written_is_not_there(made_up, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as while_writing:
        while_writing.setattr(tables, "write_trips", interrupted)
        assert command(tmp_path, content()) == 130
    assert command(tmp_path, content()) == 0
    assert len(made_up.asked) == 2
    with monkeypatch.context() as while_writing:  # nor is the one that it was to replace: half of it is gone
        while_writing.setattr(campaign_results, "source_key", lambda parts: "new")
        while_writing.setattr(tables, "write_json", interrupted)
        assert command(tmp_path, content(), "--fresh") == 130
    assert command(tmp_path, content(), "--list") == 0
    assert "first: to run: not made yet" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_with_status_130_and_keeps_the_finished_run(number, tmp_path, start_command):
    small = tmp_path / "small.yaml"
    small.write_text("corridor: {length: 2.0, width: 4.6, room: 4.0}\nrobots: 1\ntasks: {kind: crossing}\n")
    line = "dyna2=examples.straight_line:StraightLine"
    short = run_entry(scenario=str(small), site="", controllers=line, seeds="1", trips=1)
    endless = short | {"name": "second", "trips": 100_000}
    given = ["--campaign", written(tmp_path, content([short, endless])), "--out", str(tmp_path / "out"), "--jobs", "1"]
    running = start_command("-m", "dyna_nav.cli", "campaign", *given)
    for line in running.stderr:
        if re.match(r"campaign: 2/2", line):
            break
    os.killpg(running.pid, number)
    _, words = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in words
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first.csv", "first.json"]


def test_maps_are_looked_for_where_the_environment_says(monkeypatch, tmp_path, capsys):
    mine = written(tmp_path, content([run_entry(map="$MAPS/hall.yaml", site="")]))
    for folder in ("here", "there"):
        monkeypatch.setenv("MAPS", str(tmp_path / folder))
        assert main(["campaign", "--campaign", mine, "--out", str(tmp_path / "out"), "--list"]) == 0
        assert f"is not in {tmp_path / folder};" in capsys.readouterr().out
