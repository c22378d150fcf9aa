"""The tables of parameters in README.md and docs/parameters.md, made from the declarations themselves.

``python -m dyna_nav.nodes.parameter_table`` prints both; with ``--write`` it puts them into the files of the checkout.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dyna_nav.mdp import GoalTolerance, RobotModel
from dyna_nav.nodes.dispatcher import DispatcherConfig
from dyna_nav.nodes.map_publisher import MapPublisherConfig
from dyna_nav.nodes.planner_parameters import PARAMETERS as PLANNER_PARAMETERS
from dyna_nav.nodes.planner_parameters import PlannerNodeConfig
from dyna_nav.nodes.simulator import SimulatorConfig
from dyna_nav.nodes.trips import TripConfig
from dyna_nav.nodes.velocity_gate import VelocityGateParameters
from dyna_nav.safety.gate import GateConfig
from dyna_nav.safety.inputs import LaserMount
from dyna_nav.simulation import SimulationConfig

Parts = Sequence[tuple[type, str]]  # configuration classes and the prefixes of their parameters

MAIN: dict[str, Parts] = {  # what one sets first
    "planner": ((PlannerNodeConfig, ""), (RobotModel, "robot"), (LaserMount, "laser")),
    "velocity_gate": ((GateConfig, "gate"), (LaserMount, "laser")),
    "dispatcher": ((DispatcherConfig, ""), (TripConfig, "")),
    "simulator": ((SimulatorConfig, ""),),
}
ALL: dict[str, Parts] = {
    "planner": PLANNER_PARAMETERS,
    "velocity_gate": ((VelocityGateParameters, ""),),
    "dispatcher": ((DispatcherConfig, ""), (TripConfig, ""), (RobotModel, "robot"), (GoalTolerance, "goal_tolerance")),
    "simulator": ((SimulatorConfig, ""), (SimulationConfig, "simulation")),
    "map_publisher": ((MapPublisherConfig, ""),),
}
FILES = {"README.md": MAIN, "docs/parameters.md": ALL}
BEGIN, END = "<!-- parameters: written by python -m dyna_nav.nodes.parameter_table --write -->", "<!-- end -->"


def rows(config: Any, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Name, default, range and meaning of every parameter of a configuration, nested ones with their prefix."""
    for field in dataclasses.fields(config):
        name, value = f"{prefix}{field.name}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from rows(value, name + ".")
            continue
        low, high = field.metadata.get("minimum"), field.metadata.get("maximum")
        span = "" if low is None and high is None else f"{_text(low)} to {_text(high)}"
        yield name, _text(value), span, field.metadata.get("description", "")


def table(nodes: dict[str, Parts]) -> str:
    """A markdown table for each node."""
    lines = []
    for node, parts in nodes.items():
        lines += [f"**{node}**", "", "| parameter | default | range | meaning |", "|---|---|---|---|"]
        for config_class, prefix in parts:
            for name, value, span, meaning in rows(config_class(), prefix + "." if prefix else ""):
                lines.append(f"| `{name}` | {value} | {span} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def with_table(text: str, nodes: dict[str, Parts]) -> str:
    """A page's text with the table between its two marks made anew. Raises ValueError when a mark is missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the line {BEGIN!r} or, after it, {END!r}")
    return f"{head}{BEGIN}\n\n{table(nodes)}{END}{tail}"


def _text(value: Any) -> str:
    if value is None:
        return "any"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_text(entry) for entry in value) + "]"
    return str(value) if value != "" else "(empty)"


def main() -> int:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(prog="python -m dyna_nav.nodes.parameter_table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into README.md and docs/parameters.md")
    write = parser.parse_args().write
    root = Path(__file__).resolve().parent.parent.parent
    for name, nodes in FILES.items():
        if write:
            page = root / name
            page.write_text(with_table(page.read_text(encoding="utf-8"), nodes), encoding="utf-8")
        else:
            print(f"{name}\n\n{table(nodes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
