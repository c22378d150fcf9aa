"""How far an evaluation is: a bar on a terminal, a line for each finished episode elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dyna_nav.evaluation.results import EpisodeResult


class EvaluationProgress:
    """Counts trips; use as a context."""

    def __init__(self, episodes: int, trips: int):
        """episodes to run, of so many trips each."""
        self._episodes, self._done = episodes, 0
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("trips"))
            console = Console(stderr=True)
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
            self._task = self._bar.add_task("evaluate", total=episodes * trips)
        self._trips = trips

    def __enter__(self) -> EvaluationProgress:
        if self._bar is not None:
            self._bar.start()
        else:
            print(f"evaluate: {self._episodes} episode(s) of {self._trips} trips", file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def trip(self) -> None:
        """Another trip has ended."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def episode(self, result: EpisodeResult) -> None:
        """Another episode has ended."""
        self._done += 1
        unfinished = sum(not trip.finished for trip in result.trips)
        collisions = sum(not hit.walked_into for hit in result.collisions)
        line = (
            f"[{self._done}/{self._episodes}] {result.controller}, seed {result.seed}: {len(result.trips)} trips, "
            f"{unfinished} unfinished, {collisions} collisions in {result.simulated_s:.0f} simulated s, "
            f"{result.simulated_s / result.wall_s:.1f} x real time"
        )
        if self._bar is not None:
            self._bar.advance(self._task, self._trips - len(result.trips))  # trips that became void
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)
