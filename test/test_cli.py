"""``dyna-nav``: what cannot be done is said in one sentence, with exit status 2, before any process starts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from simulation_worlds import hall, station

from dyna_nav import __version__
from dyna_nav.cli import main
from dyna_nav.nodes.fleet_results import completed
from dyna_nav.site import save_map


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dyna_nav.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"dyna-nav {__version__}"


BROKEN_MAP = """
image: gone.pgm
resolution: 0.05
origin: [0, 0, 0]
negate: 0
occupied_thresh: 0.65
free_thresh: 0.2
"""


@pytest.fixture
def broken_bundle(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    return str(tmp_path)


@pytest.fixture
def broken_map(tmp_path):
    path = tmp_path / "hall.yaml"
    path.write_text(BROKEN_MAP)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--map", "/nowhere/hall.yaml"], "/nowhere/hall.yaml"),
        (["--map", "random:many"], "random:many"),
        (["--model", "/nowhere/model"], "/nowhere/model"),
        (["--robots", "19"], "19 robots"),
        (["--controller", "nowhere:Class"], "controller 'nowhere:Class' cannot be imported: No module named 'nowhere'"),
        (["--controller", "astar"], "controller 'astar' cannot be used: it must be named as module:Class"),
        (["--trips", "1000001"], "trips is 1000001; it must lie in [0, 1000000]"),
        (["--json", "/nowhere/out.json"], "/nowhere/out.json"),
        (["--json", "/"], "/ cannot be written: it is a folder"),
        (["--memory", "/proc/memory"], "folder /proc/memory cannot be made"),
        (["--picture", "/proc/fleet.png"], "/proc/fleet.png cannot be written"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_exit_status_2(arguments, named, capsys):
    assert main(["fleet", "--headless", "--map", "random:3", *arguments]) == 2
    words = capsys.readouterr()
    assert named in words.err
    assert words.err.count("\n") == 1
    assert words.out == ""


def test_a_broken_map_or_bundle_is_one_sentence_and_exit_status_2(broken_map, broken_bundle, capsys):
    assert main(["fleet", "--headless", "--map", broken_map]) == 2
    assert "gone.pgm" in capsys.readouterr().err
    assert main(["fleet", "--headless", "--map", "random:3", "--model", broken_bundle]) == 2
    assert broken_bundle in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", __file__], f"--out {__file__} is a file"),
        (["--out", "/proc/model/default"], "folder /proc/model cannot be made"),
        (["--work", "/proc/train"], "folder /proc/train cannot be made"),
        (["--docs", "/proc/docs"], "folder /proc/docs cannot be made"),
    ],
)
def test_a_training_that_could_not_be_written_is_refused_before_it_begins(
    arguments, named, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # whether torch is here or not
    assert main(["train", "--quick", "--work", str(tmp_path / "work"), *arguments]) == 2
    words = capsys.readouterr().err
    assert named in words
    assert words.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--processes", "-4"], ["--seed", "-1"], ["--transitions", "4999"]])
def test_a_bad_flag_of_the_training_is_refused_with_its_value(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", *arguments])
    assert end.value.code == 2
    assert arguments[1] in capsys.readouterr().err


def test_the_training_names_the_package_that_it_misses_and_an_extra_that_exists(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["train", "--quick"]) == 2
    words = capsys.readouterr().err
    assert "torch is not installed" in words
    extra = re.search(r"'\.\[(\w+)\]'", words).group(1)
    assert f'"{extra}": [' in (Path(__file__).resolve().parent.parent / "setup.py").read_text()


@pytest.mark.parametrize(
    "flags", ["--robots 0", "--trips -1", "--duration x", "--seed 1.5", "--people 65", "--people -1", "--people some"]
)
def test_a_bad_flag_is_refused_with_its_value(flags, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fleet", *flags.split()])
    assert end.value.code == 2
    assert flags.split()[1] in capsys.readouterr().err


def test_ctrl_c_at_any_time_ends_with_status_130_and_without_a_traceback(monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    assert main(["fleet"]) == 130


def test_the_process_itself_ends_with_status_2_and_without_a_traceback():
    end = command("fleet", "--headless", "--map", "/nowhere/hall.yaml")
    assert end.returncode == 2
    assert end.stderr.startswith("dyna-nav fleet: ")
    assert "Traceback" not in end.stderr


def test_the_robots_processes_import_neither_torch_nor_mujoco_nor_matplotlib():
    program = (
        "import sys, json, dyna_nav.nodes.planner, dyna_nav.nodes.velocity_gate\n"
        "print(json.dumps([name for name in ('torch', 'mujoco', 'matplotlib') if name in sys.modules]))"
    )
    end = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(end.stdout) == []


@pytest.mark.parametrize(
    ("asked", "made", "failed", "collisions", "good"),
    [
        (4, 4, 0, 0, True),
        (4, 3, 0, 0, False),
        (4, 4, 1, 0, False),
        (4, 4, 0, 1, False),
        (0, 7, 0, 0, True),
        (0, 0, 0, 0, False),
    ],
)
def test_a_run_is_good_only_when_every_trip_was_made_without_a_collision(asked, made, failed, collisions, good):
    outcome = {"trips_asked": asked, "trips_completed": made, "trips_failed": failed, "collisions": collisions}
    assert completed(outcome) is good


def test_a_site_too_small_for_people_is_refused_before_any_process_starts(tmp_path, capsys):
    stations = [station("left", 1.5, 2.0), station("right", 2.5, 2.0, "rack")]
    save_map(hall(width=4.0, depth=4.0, stations=stations), tmp_path / "hall.yaml")
    assert main(["fleet", "--headless", "--map", str(tmp_path / "hall.yaml"), "--robots", "1", "--people", "1"]) == 2
    words = capsys.readouterr().err
    assert "has no place 2.5 m away from every robot where people could begin" in words
    assert words.count("\n") == 1
