"""``dyna-nav train`` as a person at a terminal meets it: where its bundle goes, how its processes end."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

import pytest

from dyna_nav.world_model.train_command import add_arguments, bundle_folder

ROOT = Path(__file__).resolve().parent.parent

ENDLESS = """
import os
import time

from rich.progress import Progress

from dyna_nav.world_model.train_command import parallel


def collect(number):
    os.write(1, b"begun\\n")  # in one piece
    time.sleep(600)


if __name__ == "__main__":
    with Progress(disable=True) as progress:
        parallel(collect, [(number,) for number in range(8)], 2, progress, "collecting")
"""


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ("", ROOT / "models/default"),
        ("--quick --work there", Path("there/bundle")),
        ("--quick --out here", Path("here")),
    ],
)
def test_a_quick_bundle_replaces_the_one_that_ships_only_when_told_to(flags, folder):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert bundle_folder(parser.parse_args(flags.split())) == folder


@pytest.mark.parametrize(
    "end",
    [
        lambda process: os.killpg(process.pid, signal.SIGINT),  # as a terminal does: to all processes of the command
        lambda process: process.kill(),  # the first one only, which cannot end the others any more
    ],
    ids=["Ctrl-C", "killed"],
)
def test_all_processes_end_together_and_nothing_more_begins(end, tmp_path, start_command):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    running = start_command(script)
    assert [running.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    end(running)
    more, _ = running.communicate(timeout=20)  # the pipe closes when the last of them has ended
    assert running.returncode != 0
    assert more == ""
