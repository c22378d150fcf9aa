"""How a fleet run looks while it lasts: a live table in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from dyna_nav.nodes.fleet_monitor import FleetMonitor

if TYPE_CHECKING:
    from dyna_nav.nodes.fleet_run import FleetOptions

LINE_PERIOD = 5.0  # [s]
TABLE_PERIOD = 0.25  # [s]


def make_view(monitor: FleetMonitor, options: FleetOptions, folder: Path) -> ProgressLines:
    """The live table where there is a terminal and rich is installed, otherwise lines."""
    if options.headless or not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        return ProgressLines(monitor, options)
    return LiveTable(monitor, options, folder)


class ProgressLines:
    """One line every few seconds."""

    def __init__(self, monitor: FleetMonitor, options: FleetOptions) -> None:
        self.monitor, self.options = monitor, options
        self._due = 0.0

    def __enter__(self) -> ProgressLines:
        print(domain(self.monitor), flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def tell(self, news: str) -> None:
        """Say something that must not be missed."""
        print(news, flush=True)

    def update(self) -> None:
        """Show the present state when it is time to."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LINE_PERIOD
        monitor, planner = self.monitor, self.monitor.planner
        robots = ", ".join(f"{name} {in_words(monitor, name)}" for name in monitor.names)
        figures = (
            f"{time.monotonic() - monitor.began:6.1f} s",
            trips(monitor, self.options),
            f"collisions {len(monitor.collisions)}",
            f"cycle p99 {planner.cycle_p99_ms:.1f} ms",
            f"late {planner.deadline_misses}",
            robots,
        )
        print("  ".join(figures), flush=True)


class LiveTable(ProgressLines):
    """A table of all robots, redrawn in place; the newest news below it."""

    def __init__(self, monitor: FleetMonitor, options: FleetOptions, folder: Path) -> None:
        super().__init__(monitor, options)
        from rich.live import Live

        self._folder = folder
        self._news: deque[str] = deque(maxlen=4)
        self._live = Live(auto_refresh=False, get_renderable=self._draw)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, news: str) -> None:
        """Say something that must not be missed."""
        self._news.append(f"{time.monotonic() - self.monitor.began:.0f} s: {news}")

    def update(self) -> None:
        """Redraw when it is time to."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + TABLE_PERIOD
            self._live.refresh()

    def _draw(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        monitor, planner = self.monitor, self.monitor.planner
        table = Table(title=f"dyna_nav fleet on {self.options.map}", title_justify="left", expand=False)
        for column in ("robot", "state", "speed", "battery", "trip", "uncertainty", "why stopped"):
            table.add_column(column, justify="right" if column in ("speed", "battery", "uncertainty") else "left")
        for name in monitor.names:
            report, work = monitor.reports[name], monitor.status.get("robots", {}).get(name, {})
            why = why_stopped(monitor, name)
            trip = f"{work.get('trip') or ''} {work.get('station', '')} {work.get('elapsed_s', 0.0):.0f} s".strip()
            table.add_row(
                name, describe(monitor, name), number(monitor.speeds[name], "{:.2f} m/s"),
                number(monitor.batteries[name], "{:.0%}"), trip, number(report.uncertainty, "{:.3f}"),
                Text(why, style="red" if why else ""),
            )  # fmt: skip
        lines = [
            f"{time.monotonic() - monitor.began:.0f} s   {trips(monitor, self.options)}   "
            f"collisions {len(monitor.collisions)}",
            f"cycle p50 {planner.cycle_p50_ms:.1f} ms, p99 {planner.cycle_p99_ms:.1f} ms, "
            f"max {planner.cycle_max_ms:.1f} ms; {planner.deadline_misses} of {planner.cycles} over the deadline; "
            f"jitter p99 {planner.jitter_p99_ms:.1f} ms",
            f"model {planner.model_version or '-'} on {planner.provider or '-'}; logs {self._folder}",
            domain(monitor),
            *planner.warnings,
            *self._news,
        ]
        return Group(table, Text("\n".join(lines)))


def domain(monitor: FleetMonitor) -> str:
    """What another terminal has to set to see the run's topics."""
    return f"ROS_DOMAIN_ID={monitor.context.get_domain_id()}"


def describe(monitor: FleetMonitor, name: str) -> str:
    """What a robot does, in a word or two: standing when it is held, otherwise what its work is."""
    if why_stopped(monitor, name):
        return "standing"
    work = monitor.status.get("robots", {}).get(name, {})
    return work.get("state", monitor.reports[name].state)


def why_stopped(monitor: FleetMonitor, name: str) -> str:
    """Why a robot is held, by its gate or by the planner; "" when it is not."""
    return monitor.gates[name] or monitor.reports[name].stop_reason


def in_words(monitor: FleetMonitor, name: str) -> str:
    """What a robot does, and why it stands."""
    why = why_stopped(monitor, name)
    return describe(monitor, name) + (f" ({why})" if why else "")


def trips(monitor: FleetMonitor, options: FleetOptions) -> str:
    """How many trips were made, of how many."""
    failed = len(monitor.status.get("trips_failed", []))
    asked = f"/{options.trips}" if options.trips else ""
    return f"trips {monitor.status.get('trips_completed', 0)}{asked}" + (f", {failed} failed" if failed else "")


def number(value: float, form: str) -> str:
    """A number in its form, or a dash when it is not known."""
    return form.format(value) if math.isfinite(value) else "-"
