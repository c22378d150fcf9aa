"""The sweep that tunes the baseline: what it drives, what it keeps, and how it tells what a candidate is worth."""

from __future__ import annotations

import csv
import sys

import pytest

from dyna_nav.baselines.controller import BaselineConfig
from dyna_nav.evaluation import baseline_sweep as sweep
from dyna_nav.evaluation.campaign import load_campaign

CASES = (sweep.Case("corridors", "head_on", 1, trips=2),)


@pytest.fixture
def sweep_of(monkeypatch, tmp_path, capsys):
    """Runs the sweep over the smallest of cases, and two values of one parameter; returns its table."""
    monkeypatch.setattr(sweep, "CASES", CASES)
    monkeypatch.setattr(sweep, "SWEEP", {"pursuit.lookahead_time": (0.6, 2.0)})

    def run(*arguments: str) -> list[str]:
        monkeypatch.setattr(
            sys, "argv", ["sweep", "--out", str(tmp_path / "sweep.csv"), "--processes", "1", *arguments]
        )
        sweep.main()
        return capsys.readouterr().out.splitlines()

    return run


def test_every_candidate_drives_and_what_has_been_driven_is_not_driven_again(sweep_of, tmp_path, monkeypatch):
    asked = ("replan_period=2,pursuit.lookahead_time=0.6", "pursuit.lookahead_time=2")  # the second would be anyway
    table = sweep_of(*(word for words in asked for word in ("--candidate", words)))
    named = {line.split(" | ")[0].strip("| ") for line in table[2:]}
    assert named == {
        "default", "pursuit.lookahead_time=0.6", "pursuit.lookahead_time=2",
        "replan_period=2,pursuit.lookahead_time=0.6",
    }  # fmt: skip
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(named)
    assert len({row["travel_s"] for row in rows}) > 1  # it makes a difference what they are
    driven = sweep.drive
    monkeypatch.setattr(sweep, "drive", None)
    assert sweep_of() == table
    monkeypatch.setattr(sweep, "drive", driven)
    monkeypatch.setattr(sweep, "source_key", lambda parts: "another")
    sweep_of("--only")  # what drove before no longer counts, and stays in the file
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["candidate"] for row in rows].count("default") == 2
    assert len(sweep_of("--table")) == 3


def test_a_candidate_is_compared_with_the_defaults_case_by_case():
    def row(candidate, case, travel):
        values = (candidate, case, "alone", str(travel), "10.0", "2", "0", "0", "2.0", "now")
        return dict(zip(sweep.COLUMNS, values, strict=True))

    rows = [row("default", "a", 12), row("default", "b", 24), row("x=1", "a", 15), row("x=1", "b", 18)]
    rows.append(row("y=1", "a", 1))  # has not driven everything
    table = sweep.table(rows).splitlines()
    assert len(table) == 4
    assert "| x=1 | 1.650 |" in table[2] or "| x=1 | 1.650 |" in table[3]
    assert "1.000 ± 0.250" in sweep.table(rows)  # 15 / 12 and 18 / 24


@pytest.mark.parametrize(
    "words",
    [
        "pursuit.lookahead_time", "pursuit.wings=2", "replan_period=-1", "replan_period=fast", "pursuit=2",
        "replan_period.real=2", "pursuit.smoothing=0.9", "pursuit.smoothing=nan",
    ],
)  # fmt: skip
def test_a_candidate_that_cannot_be_is_refused_in_one_sentence(sweep_of, capsys, words):
    with pytest.raises(SystemExit) as end:
        sweep_of("--candidate", words)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert words.partition("=")[0] in told


@pytest.mark.parametrize("arguments", [(), ("--table",)])
def test_where_nothing_can_be_written_or_read_is_said_before_anything_is_driven(sweep_of, tmp_path, capsys, arguments):
    (tmp_path / "sweep.csv").mkdir()
    with pytest.raises(SystemExit) as end:
        sweep_of(*arguments)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "sweep.csv is a folder" in told


def test_the_scenarios_belong_to_what_the_figures_depend_on():
    files = {f"evaluation/scenarios/{case.scenario}.yaml" for case in (*sweep.CASES, *sweep.OTHER_CASES)}
    assert {part for part in sweep.DRIVEN_BY if part.endswith(".yaml")} == files


def test_every_value_that_is_tried_is_another_one_and_within_its_range():
    for name, values in sweep.SWEEP.items():
        for value in values:
            assert sweep.with_values(BaselineConfig(), {name: value}) != BaselineConfig()


def test_nothing_is_tuned_on_what_is_reported():
    cases = {(case.scenario, case.site, case.seed) for case in sweep.CASES + sweep.OTHER_CASES}
    for run in load_campaign().runs:
        for seed in run.seed_list():
            assert (run.scenario, run.site, seed) not in cases
