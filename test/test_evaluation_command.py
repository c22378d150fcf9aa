"""``dyna-nav evaluate``: what it writes, that processes change nothing, and one sentence for what cannot be done."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from campaign_worlds import episode

from dyna_nav.cli import main
from dyna_nav.evaluation import tables
from dyna_nav.evaluation.benchmark import versions
from dyna_nav.evaluation.command import parse_seeds
from dyna_nav.evaluation.controllers import make_named, parse_controllers
from dyna_nav.evaluation.incidents import NearMiss
from dyna_nav.simulation import Collision
from dyna_nav.workers import run_jobs

ROOT = Path(__file__).resolve().parent.parent
LINE = "line=examples.straight_line:StraightLine"
SMALL = """
corridor: {length: 2.0, width: 4.6, room: 4.0}
robots: 1
trips: 2
tasks: {kind: crossing}
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def sentences(words):
    """Lines of stderr that are no progress."""
    return sum(not line.startswith(("evaluate: ", "[")) for line in words.splitlines())


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_writes_summary_table_and_plots(small, tmp_path, capsys):
    standing = "idle=evaluation_worlds:Standing"
    wanted = ("--json", tmp_path / "e.json", "--plots", tmp_path / "plots")  # the table beside the summary
    both = ("--controllers", f"{LINE},{standing}")
    assert evaluate("--scenario", small, *both, "--seeds", "1-2", "--jobs", 1, *wanted) == 0
    summary = json.loads((tmp_path / "e.json").read_text())
    assert (summary["complete"], summary["episodes"], summary["episodes_asked"]) == (True, 4, 4)
    assert set(summary["controllers"]) == {"line", "idle"}
    asked = {"trips", "unfinished", "travel_time_mean_s", "travel_time_vs_ideal", "collisions"}
    asked |= {"collisions_per_traversal", "near_misses", "plan_ms_p99"}
    for figures in summary["controllers"].values():
        assert asked <= set(figures)
        assert figures["trips"] == 4
    assert summary["controllers"]["idle"]["unfinished"] == 4
    (pair,) = summary["comparisons"]
    assert (pair["a"], pair["b"]) == ("line", "idle")
    assert pair["ci95"][0] <= pair["travel_time_ratio"] <= pair["ci95"][1]
    assert pair["travel_time_ratio"] < 1.0
    table = rows(tmp_path / "e.csv")
    assert len(table) == 8
    asked = {"controller", "seed", "robot", "trip", "start", "goal", "ideal_s", "travel_s", "ratio", "path_length_m"}
    asked |= {"geodesic_m", "collisions", "near_misses", "finished", "mean_abs_jerk", "plan_ms_p99"}
    assert asked <= set(table[0])
    assert len(summary["incidents"]) == sum(figures["near_misses"] for figures in summary["controllers"].values())
    pictures = {path.name for path in (tmp_path / "plots").iterdir()}
    assert pictures == {"travel_times.png", "speed_map.png", "trajectories.png", "incidents.png"}
    assert "travel time of line over idle" in capsys.readouterr().out


def test_processes_change_nothing_but_the_time_it_takes(small, tmp_path):
    tables = []
    for jobs in (1, 2):
        file = tmp_path / f"{jobs}.csv"
        evaluate(
            "--scenario", small, "--controllers", LINE, "--seeds", "1-3", "--trips-table", file, "--jobs", jobs
        )  # fmt: skip
        tables.append(rows(file))
        assert all(float(row.pop("plan_ms_p99")) > 0.0 for row in tables[-1])
    assert tables[0] == tables[1]
    assert [row["seed"] for row in tables[0]] == ["1", "1", "2", "2", "3", "3"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--scenario", "quiet"], "scenario 'quiet' does not exist"),
        (["--controllers", "dyna3"], "controller 'dyna3' is unknown"),
        (["--controllers", "nowhere:Class"], "'nowhere:Class' cannot be imported: No module named 'nowhere'"),
        (["--controllers", "examples.straight_line:Curve"], "module examples.straight_line has no Curve"),
        (["--controllers", f"{LINE},{LINE}"], "controller 'line' is given twice"),
        (["--controllers", "evaluation_worlds:Speechless"], "has no method act"),
        (["--controllers", "evaluation_worlds:NeedsArguments"], "missing a required argument: 'model'"),
        (["--controllers", "bad=evaluation_worlds:NotANumber"], "controller 'bad' on seed 1 at 0.0 s"),
        (["--map", "/nowhere/hall.yaml"], "/nowhere/hall.yaml"),
        (["--site", "random:many"], "random:many"),
        (["--robots", "60"], "use fewer robots"),
        (["--robots", "65"], "robots is 65; it must lie in [1, 64]"),
        (["--trips", "100001"], "trips is 100001; it must lie in [1, 100000]"),
        (["--controllers", "bad=evaluation_worlds:Leaving"], "controller 'bad' cannot be made: no licence"),
        (["--controllers", "bad=evaluation_worlds:NeedsWhatIsNotThere"], "'bad' cannot be made: No module named 'a_pa"),
        (
            ["--controllers", "bad=evaluation_worlds:ExitsWhenMade"],
            "'bad' cannot be made: it ends the process, with st",
        ),
        (["--controllers", "bad=evaluation_worlds:Complex"], "not an array [1, 2]: its numbers are complex"),
        (["--controllers", "bad=.worlds:Class"], "controller 'bad' cannot be used: it must be named as module:Class"),
        (["--controllers", "bad=builtins:dict"], "controller 'bad' has no method reset"),
        (["--json", "e.csv", "--trips-table", "./e.csv"], "summary and table of trips would both be e.csv"),
        (["--json", "e.csv"], "summary and table of trips would both be e.csv"),
        (["--json", "/"], "/ cannot be written: it is a folder"),
        (["--json", "/nowhere/out.json"], "/nowhere/out.json"),
        (["--json", "/proc/out.json"], "/proc/out.json cannot be written"),
        (["--trips-table", "/"], "/ cannot be written: it is a folder"),
        (["--plots", "/proc/plots"], "folder /proc/plots cannot be made"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_exit_status_2(arguments, named, small, capsys):
    given = ["--scenario", small, "--controllers", LINE, "--jobs", 1, *arguments]
    assert evaluate(*given) == 2
    words = capsys.readouterr()
    assert sentences(words.err) == 1
    assert named in words.err
    assert words.out == ""


def test_a_script_that_is_no_module_does_not_end_the_evaluation_as_if_it_were_done(
    small, tmp_path, monkeypatch, capsys
):
    (tmp_path / "a_script.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert evaluate("--scenario", small, "--controllers", "bad=a_script:Class") == 2
    words = capsys.readouterr().err
    assert "'bad' cannot be imported: module a_script ends the process, with status 0" in words
    assert sentences(words) == 1


def test_a_seed_that_has_no_room_is_named(tmp_path, capsys):
    """What seed 1 has room for need not fit on another, perhaps hours later."""
    path = tmp_path / "late.yaml"
    path.write_text("robots: 1\ntrips: 2\nevents: [{at: 900.0, pallet: {in_way: true}}]\n")
    assert evaluate("--scenario", path, "--controllers", LINE, "--seeds", "4-5") == 2
    assert "seed 4: scenario 'late': site 'default' has no place for event pallet" in capsys.readouterr().err


def test_a_single_robot_on_a_single_seed_gets_no_interval(small, tmp_path, capsys):
    both = f"{LINE},idle=evaluation_worlds:Standing"
    assert evaluate("--scenario", small, "--controllers", both, "--jobs", 1, "--json", tmp_path / "e.json") == 0
    (pair,) = json.loads((tmp_path / "e.json").read_text())["comparisons"]
    assert pair["travel_time_ratio"] < 1.0
    assert pair["ci95"] == [None, None]
    assert all(difference["ci95"] == [None, None] for difference in pair["differences"].values())
    assert "no interval (2 trips, 1 robots of a seed)" in capsys.readouterr().out


def test_what_is_refused_in_a_process_of_its_own_is_one_sentence_too(small, capsys):
    bad = "bad=evaluation_worlds:NotANumber"
    assert evaluate("--scenario", small, "--controllers", bad, "--seeds", "1-2", "--jobs", 2) == 2
    words = capsys.readouterr()
    assert sentences(words.err) == 1
    assert "controller 'bad' on seed" in words.err


def test_a_controller_that_leaves_does_not_take_the_evaluation_with_it(small):
    bad = "bad=evaluation_worlds:Exiting"
    with pytest.raises(RuntimeError, match=r"controller 'bad' on seed 1 at 0\.0 s failed in act: SystemExit"):
        evaluate("--scenario", small, "--controllers", bad, "--jobs", 1)


def test_a_controller_that_fails_before_it_drives_is_named_too(small, tmp_path, monkeypatch):
    (tmp_path / "half_written.py").write_text("class Half(\n")
    monkeypatch.syspath_prepend(tmp_path)
    for target, named in (
        ("evaluation_worlds:FailsWhenMade", r"controller 'bad' cannot be made: KeyError: 'no map'"),
        ("half_written:Half", r"controller 'bad' cannot be imported: SyntaxError: .*half_written\.py, line 1"),
    ):
        with pytest.raises(RuntimeError, match=named):
            evaluate("--scenario", small, "--controllers", f"bad={target}")


def test_a_site_in_place_of_a_corridor_is_said(small, tmp_path, capsys):
    file = tmp_path / "e.json"
    assert evaluate("--scenario", small, "--site", "random:3", "--controllers", LINE, "--json", file) == 0
    assert "random:3 takes the place of small's corridor" in capsys.readouterr().err
    assert json.loads(file.read_text())["scenario"]["corridor"] is None


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_mistake_in_a_controller_is_shown_where_it_was_made(jobs, small):
    bad = "bad=evaluation_worlds:Raising"
    with pytest.raises(RuntimeError, match="controller 'bad' on seed") as failure:
        evaluate("--scenario", small, "--controllers", bad, "--seeds", "1-2", "--jobs", jobs)
    shown = "".join(traceback.format_exception(failure.value))
    assert 'raise KeyError("no plan")' in shown


def test_a_mistake_in_the_evaluation_is_no_sentence_for_its_user(small, monkeypatch):
    def mistaken(self):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("dyna_nav.evaluation.episode.Episode._step", mistaken)
    with pytest.raises(RuntimeError, match="episode of 'line' on seed 1 failed"):
        evaluate("--scenario", small, "--controllers", LINE, "--jobs", 1)


def test_a_worker_that_is_killed_is_named_by_its_status():
    with pytest.raises(RuntimeError, match="a worker process ended with status -9"):
        run_jobs(kill_oneself, [1, 2, 3], 2, lambda: None, lambda result: None)


def test_workers_never_hear_ctrl_c_and_their_parent_does_once_they_have_begun():
    assert run_jobs(hears_interrupts, [1, 2], 2, lambda: None, lambda result: None) == [False, False]
    assert hears_interrupts(None, None)


def hears_interrupts(job, tell):
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def kill_oneself(job, tell):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--robots", "0"],
        ["--trips", "x"],
        ["--seeds", "5-1"],
        ["--seeds", "1-"],
        ["--seeds", "1-99999999"],
        ["--seeds", "1-5000,6001-12000"],
        ["--seeds", "1,2,"],
        ["--seeds", "1-3,2"],
        ["--jobs", "0"],
    ],
)
def test_a_bad_flag_is_refused_with_its_value(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        evaluate(*arguments)
    assert end.value.code == 2
    assert arguments[1] in capsys.readouterr().err


def test_seeds_are_ranges_and_single_ones():
    assert parse_seeds("1-3, 7,5-6") == [1, 2, 3, 7, 5, 6]


def test_every_contact_and_near_miss_is_told_with_time_and_place():
    touched = [Collision(1.23456, 0, "wall", 2.0, 3.0, 0.5), Collision(2.0, 1, "walker:0", 1.0, 1.0, 0.0)]
    result = replace(episode("dyna2", 4, touched), near_misses=[NearMiss(1.0, 0, "robot:1", 2.0, 2.9)])
    told = tables.incidents([result])
    whose = {"controller": "dyna2", "seed": 4}
    hit = {"kind": "collision", "time": 1.2346, "robot": 0, "other": "wall", "x": 2.0, "y": 3.0, "speed": 0.5}
    assert told[0] == whose | hit
    assert [row["kind"] for row in told] == ["collision", "walked_into", "near_miss"]
    assert told[2]["other"] == "robot:1"


def test_results_stay_where_they_were_asked_for_when_a_controller_goes_elsewhere(small, tmp_path, monkeypatch):
    wanted = ("--json", "e.json", "--plots", "plots")
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    restless = "evaluation_worlds:GoesElsewhere"
    assert evaluate("--scenario", small, "--controllers", restless, "--jobs", 1, *wanted) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"e.json", "e.csv", "plots"}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_map_and_site_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as end:
        evaluate("--map", "a.yaml", "--site", "default")
    assert end.value.code == 2


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_it_with_status_130_and_without_a_traceback(jobs, small, start_command):
    command = ["-m", "dyna_nav.cli", "evaluate", "--scenario", small, "--controllers", LINE]
    running = start_command(*command, "--trips", "2000", "--seeds", "0-200", "--jobs", jobs, "--robots", "1")
    assert "evaluate: " in running.stderr.readline()  # it has begun
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, words = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Traceback" not in words


def kept(folder):
    """Summary and rows of an evaluation that ended early."""
    return json.loads((folder / "e.json").read_text()), rows(folder / "e.csv")


def test_a_controller_may_start_processes_of_its_own_and_they_end_with_it(small, start_command, tmp_path):
    pids = tmp_path / "pids"
    command = ["-m", "dyna_nav.cli", "evaluate", "--scenario", small, "--seeds", "1-2", "--jobs", "2"]
    tests = Path(__file__).resolve().parent
    path = os.pathsep.join(map(str, (tests.parent, tests)))
    running = start_command(
        *command, "--controllers", "evaluation_worlds:StartsAnother", PIDS=str(pids), PYTHONPATH=path
    )
    _, words = running.communicate(timeout=120)
    assert running.returncode == 0, words
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in started if psutil.pid_exists(pid)], timeout=10)
    assert not alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_driven_before_it_was_interrupted_is_written(number, jobs, small, tmp_path, start_command):
    command = ["-m", "dyna_nav.cli", "evaluate", "--scenario", small, "--controllers", LINE]
    command += ["--seeds", "1-2000", "--jobs", jobs, "--json", tmp_path / "e.json", "--trips-table", tmp_path / "e.csv"]
    running = start_command(*command, "--plots", tmp_path / "plots")
    for line in running.stderr:
        if line.startswith("[3/2000]"):
            break
    os.killpg(running.pid, number)
    _, words = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in words
    summary, table = kept(tmp_path)
    assert summary["complete"] is False
    assert 3 <= summary["episodes"] < summary["episodes_asked"] == 2000
    assert summary["controllers"]["line"]["trips"] == len(table) == 2 * summary["episodes"]
    assert [row["seed"] for row in table] == sorted((row["seed"] for row in table), key=int)
    assert f"{summary['episodes']} of 2000 episodes were finished, written to {tmp_path}" in words
    assert not list((tmp_path / "plots").iterdir())


def test_one_bad_controller_does_not_cost_what_the_others_have_driven(small, tmp_path, capsys):
    late = "late=evaluation_worlds:FailsOnSeed2"
    both = ("--controllers", f"{LINE},{late}", "--seeds", "1-2", "--jobs", 1)
    wanted = ("--json", tmp_path / "e.json", "--trips-table", tmp_path / "e.csv")
    assert evaluate("--scenario", small, *both, *wanted) == 2
    words = capsys.readouterr()
    assert sentences(words.err) == 1
    assert "controller 'late' on seed 2" in words.err
    summary, table = kept(tmp_path)
    assert {(row["controller"], row["seed"]) for row in table} == {("line", "1"), ("late", "1"), ("line", "2")}
    assert (summary["complete"], summary["episodes"]) == (False, 3)
    (pair,) = summary["comparisons"]
    assert pair["trips"] == 2  # of seed 1, the only one that both drove
    assert "3 of 4 episodes were finished" in words.err
    assert "travel time of line over late" in words.out


@pytest.mark.parametrize(("seeds", "status"), [("1", 2), ("1-2", 2)])
def test_what_cannot_be_printed_is_written_and_hides_no_other_fault(
    seeds, status, small, tmp_path, capsys, monkeypatch
):
    def unprintable(summary):
        raise UnicodeEncodeError("ascii", "→", 0, 1, "not in this terminal")

    monkeypatch.setattr(tables, "text", unprintable)
    late = f"{LINE},late=evaluation_worlds:FailsOnSeed2"
    given = ("--seeds", seeds, "--jobs", 1, "--json", tmp_path / "e.json")
    assert evaluate("--scenario", small, "--controllers", late, *given) == status
    summary, table = kept(tmp_path)
    assert summary["complete"] is (seeds == "1")
    assert len(table) == summary["episodes"] * 2
    words = capsys.readouterr().err
    assert "not in this terminal" in words
    assert ("controller 'late' on seed 2" in words) is (seeds == "1-2")


def test_who_ends_before_the_first_episode_leaves_an_older_result_alone(small, tmp_path, capsys):
    (tmp_path / "e.json").write_text("{}")
    bad = "bad=evaluation_worlds:NotANumber"
    assert evaluate("--scenario", small, "--controllers", bad, "--jobs", 1, "--json", tmp_path / "e.json") == 2
    assert "evaluate: ended early; 0 of 1 episodes were finished\n" in capsys.readouterr().err
    assert (tmp_path / "e.json").read_text() == "{}"


def test_a_missing_package_is_one_sentence_that_says_what_to_install(small, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "dyna_nav.evaluation.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)  # as if it were not there
    assert evaluate("--scenario", small, "--plots", tmp_path / "plots") == 2
    words = capsys.readouterr().err
    assert "pip install '.[evaluation]'" in words
    assert sentences(words) == 1


def test_a_missing_package_of_an_outsider_is_one_sentence_that_says_what_to_install(small, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "dyna_nav.outsiders.orca", raising=False)
    monkeypatch.setitem(sys.modules, "pyrvo", None)  # as if it were not there
    assert evaluate("--scenario", small, "--controllers", "orca") == 2
    words = capsys.readouterr().err
    assert "pip install '.[outsiders]'" in words
    assert sentences(words) == 1


def test_names_of_controllers():
    names = parse_controllers("dyna2,mine=package.module:Class,other:Class.Inner")
    assert [name.label for name in names] == ["dyna2", "mine", "other:Class.Inner"]
    assert make_named(parse_controllers("dyna2-kinematic")[0]).model_version == "kinematics"


def test_the_versions_name_what_is_installed_and_nothing_else(monkeypatch):
    def version(name):
        if name == "onnxruntime":
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    found = versions()
    assert found["onnxruntime-gpu"] == found["numpy"] == "1.2.3"
    assert "onnxruntime" not in found
