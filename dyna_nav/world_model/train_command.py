"""``dyna-nav train``: from nothing to a model bundle. Collect, train, calibrate, evaluate, export, in that order.

Every stage leaves its result in the work folder and is not repeated when it is there: an interrupted run goes on, and
the same seed gives the same bundle on the same machine. Files are npz without pickle, ONNX and JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from dyna_nav.share import share_roots
from dyna_nav.whole_file import make_folder
from dyna_nav.workers import run_jobs


@dataclass(frozen=True)
class Sizes:
    """How much of everything a run makes."""

    transitions: int
    calibration: int  # transitions on other sites, for the OOD detector's threshold
    evaluation: int  # and for its false alarms
    episodes: int  # per family of novel states
    epochs: int
    vae_epochs: int


FULL = Sizes(240_000, 100_000, 160_000, 24, 20, 15)
QUICK = Sizes(24_000, 12_000, 12_000, 6, 20, 12)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        help="folder of the bundle (default: models/default; with --quick: bundle in the work folder)",
    )
    parser.add_argument("--work", type=Path, default=Path("runs/train"), help="folder of the stages' results")
    parser.add_argument(
        "--transitions", type=_whole(5_000, 10**8), help=f"for the ensemble (default: {FULL.transitions})"
    )
    parser.add_argument("--seed", type=_whole(0, 10**6), default=1, help="of everything")
    parser.add_argument(
        "--processes", type=_whole(1, 4096), default=os.cpu_count() or 1, help="that collect side by side"
    )
    parser.add_argument("--quick", action="store_true", help="a small bundle in a few minutes, to try the command")
    parser.add_argument("--docs", type=Path, default=None, help="write model.md and its plots into this folder")


def _whole(least: int, most: int) -> Callable[[str], int]:
    """The reader of an option that takes whole numbers from least to most."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]+", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def bundle_folder(args: argparse.Namespace) -> Path:
    """Where the bundle goes: one that was made to try the command does not replace the one that robots drive with."""
    if args.out is not None:
        return args.out
    return args.work / "bundle" if args.quick else share_roots()[0] / "models" / "default"


def run(args: argparse.Namespace) -> int:
    """Carry the command out; returns the exit status. Raises ValueError or OSError, one sentence, when it cannot."""
    console = Console(stderr=True)
    for package in ("torch", "onnx", "mujoco", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"{package} is not installed; install it in the package's folder with: pip install '.[training]'"
            )
    sizes = QUICK if args.quick else FULL
    if args.transitions is not None:
        sizes = dataclasses.replace(sizes, transitions=args.transitions)
    out = bundle_folder(args)
    # What could not be written is said before the quarter of an hour is spent, not after it.
    for folder in (args.work, out, args.docs):
        if folder is not None:
            make_folder(folder.parent if folder == out else folder)
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out {out} is a file; name a folder, new or of a bundle that may be replaced")
    from dyna_nav.world_model.pipeline import Pipeline

    columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with SpokenProgress(*columns, TextColumn("{task.fields[note]}"), console=console) as progress:
        pipeline = Pipeline(args.work, sizes, args.seed, args.processes, progress)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        quick = " --quick" if args.quick else ""
        docs = "" if args.docs is None else f" --docs {args.docs}"
        command = f"dyna-nav train --transitions {sizes.transitions} --seed {args.seed}{quick}{docs}"
        bundle = pipeline.run(out, command, created)
    console.print(f"{out}: bundle {bundle.version}")
    if args.docs is not None:
        from dyna_nav.world_model.report import write_report

        write_report(bundle, args.docs)
        console.print(f"{args.docs / 'model.md'}: written")
    return 0


class SpokenProgress(Progress):
    """Bars on a terminal; elsewhere, as in a log file, a line for every tenth of a task."""

    def update(self, task_id: TaskID, **change) -> None:
        """Move a task on, as rich does."""
        task = self.tasks[task_id]
        before = task.percentage // 10
        super().update(task_id, **change)
        if task.percentage // 10 > before and not self.console.is_terminal:
            figures = f"{task.completed:g} of {task.total:g}  {task.fields['note']}"
            self.console.print(f"{task.description}: {figures}", markup=False, highlight=False)


def parallel(function, calls: list[tuple], processes: int, progress: Progress, title: str) -> list:
    """Call function with each tuple of arguments in processes of their own; results in the order of calls.

    An interrupt ends them at once: what was not finished is made anew by the next run.
    """
    task = progress.add_task(title, total=len(calls), note="")
    began = time.monotonic()

    def count(_: object) -> None:
        progress.update(task, advance=1, note=f"{(time.monotonic() - began):.0f} s")

    return run_jobs(_call, [(function, arguments) for arguments in calls], processes, lambda: None, count)


def _call(job: tuple[Callable, tuple], _: Callable[[], None]) -> object:
    function, arguments = job
    return function(*arguments)
