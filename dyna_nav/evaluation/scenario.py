"""The scenario contract: what stands, moves and breaks in an episode, as a YAML file that is read strictly.

A scenario names a site, robots, the task stream, events and a seed. Everything in it is drawn from the seed before the
first step (see ``course.py``), so that every controller meets the same one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dyna_nav.evaluation.strict import read_config
from dyna_nav.parameters import check, parameter
from dyna_nav.simulation.rounds import Walkers
from dyna_nav.site.yaml_file import read_yaml

SHIPPED = Path(__file__).with_name("scenarios")
TASK_KINDS = ("shuffled", "crossing")


def choice(default: str, description: str, choices: tuple[str, ...]) -> Any:
    """A configuration field that takes one of some words."""
    return field(default=default, metadata={"description": description, "choices": choices})


@dataclass(frozen=True)
class Corridor:
    """A generated site: two rooms joined by straight aisles, for robots that have to pass each other."""

    length: float = parameter(10.0, "length of the aisles [m]", minimum=2, maximum=100)
    width: float = parameter(2.2, "width of the aisles [m]", minimum=0.9, maximum=10)
    aisles: int = parameter(1, "number of aisles side by side", minimum=1, maximum=5)
    room: float = parameter(7.0, "extent of each room along the aisles [m]", minimum=4, maximum=50)


@dataclass(frozen=True)
class Tasks:
    """How the robots' trips are drawn."""

    kind: str = choice(
        "shuffled", "shuffled: between a robot's own places at random; crossing: from end to end", TASK_KINDS
    )
    stagger: float = parameter(0.0, "first goals are given within this time of each other [s]", minimum=0, maximum=600)


@dataclass(frozen=True)
class PalletLeft:
    """A pallet that the map does not know appears, and may be taken away again."""

    in_way: bool = parameter(False, "put it on the way of a trip that some robot is expected to be making")
    x: float | None = parameter(None, "place, where not in_way [m, map frame]", minimum=-1e5, maximum=1e5)
    y: float | None = parameter(None, "place, where not in_way [m, map frame]", minimum=-1e5, maximum=1e5)
    yaw: float = parameter(0.0, "heading, where not in_way [rad]", minimum=-7, maximum=7)
    stays: float = parameter(60.0, "time until it is taken away [s]", minimum=1, maximum=1e6)


@dataclass(frozen=True)
class RackMoved:
    """A rack (any island of the map) is shifted, and nobody tells the robots."""

    shift: float = parameter(0.6, "distance by which it is shifted [m]", minimum=0.1, maximum=20)


@dataclass(frozen=True)
class Stall:
    """A robot stops obeying, in an aisle where the others can still get past it or round another way."""

    robot: int | None = parameter(None, "number of the robot (default: drawn from the seed)", minimum=0, maximum=63)
    lasts: float | None = parameter(None, "time until it resumes [s] (default: it never does)", minimum=1, maximum=1e6)


@dataclass(frozen=True)
class Event:
    """One thing that happens, once or repeatedly; exactly one of pallet, rack and stall says what."""

    at: float = parameter(0.0, "time [s]", minimum=0, maximum=1e6)
    every: float | None = parameter(None, "repeat after this time [s] (default: never)", minimum=1, maximum=1e6)
    times: int = parameter(100, "repeat at most so often", minimum=1, maximum=1000)
    pallet: PalletLeft | None = None
    rack: RackMoved | None = None
    stall: Stall | None = None


@dataclass(frozen=True)
class Scenario:
    """What a file says; ``name`` is the file's."""

    about: str = parameter("", "what happens, in a sentence")
    site: str = parameter("default", "default, random:SEED or the path of a map's YAML file")
    corridor: Corridor | None = None  # a generated site in place of ``site``
    robots: int = parameter(4, "robots", minimum=1, maximum=64)
    trips: int = parameter(40, "trips of all robots together", minimum=1, maximum=100_000)
    seed: int = parameter(1, "seed of an evaluation that names none", minimum=0, maximum=2**31 - 1)
    tasks: Tasks = field(default_factory=Tasks)
    walkers: Walkers = field(default_factory=Walkers)
    events: tuple[Event, ...] = ()
    name: str = field(default="", metadata={"not_in_file": True})


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_scenario(name: str) -> Scenario:
    """The scenario of a name that ships or of a YAML file.

    Raises ValueError, one sentence with file and field, for anything that is not as the contract says.
    """
    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"scenario {name!r} does not exist; give one of {', '.join(shipped_scenarios())} or the path of a YAML file"
        )
    content = read_yaml(path)
    scenario = read_config(Scenario, content, path)
    if scenario.corridor is not None and "site" in content:
        raise ValueError(f"{path}: site and corridor are both given, but a corridor is a site; remove one of them")
    _check(scenario, path)
    return dataclasses.replace(scenario, name=path.stem)


def overridden(scenario: Scenario, robots: int | None = None, trips: int | None = None, site: str = "") -> Scenario:
    """The scenario with another number of robots or trips, or another site, where one is given.

    A site takes the place of a corridor. Raises ValueError for too many robots or trips.
    """
    changed = dataclasses.replace(
        scenario,
        site=site or scenario.site,
        corridor=None if site else scenario.corridor,
        robots=scenario.robots if robots is None else robots,
        trips=scenario.trips if trips is None else trips,
    )
    check(changed)
    return changed


def _check(scenario: Scenario, path: Path) -> None:
    """What no single field tells."""
    if scenario.walkers.slowest > scenario.walkers.fastest:
        raise ValueError(
            f"{path}: walkers.slowest is {scenario.walkers.slowest}; it must not exceed walkers.fastest, "
            f"{scenario.walkers.fastest}"
        )
    for k, event in enumerate(scenario.events):
        given = [name for name in ("pallet", "rack", "stall") if getattr(event, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{path}: events[{k}] names {' and '.join(given) or 'nothing'}; give exactly one of pallet, rack, stall"
            )
        if event.pallet and event.pallet.in_way == (event.pallet.x is not None or event.pallet.y is not None):
            raise ValueError(f"{path}: events[{k}].pallet has no clear place; give either in_way: true or x and y")
        if event.pallet and (event.pallet.x is None) != (event.pallet.y is None):
            raise ValueError(f"{path}: events[{k}].pallet has only one of x and y; give both")
        if event.stall and event.every is not None and event.stall.lasts is None:
            raise ValueError(f"{path}: events[{k}].stall never ends, so it cannot repeat; give lasts or drop every")
    _check_order(scenario.events, path)


def _check_order(events: tuple[Event, ...], path: Path) -> None:
    """Racks lie as earlier events left them, and a robot has to obey before it can stop obeying."""
    racks_until, stalled = 0.0, {}
    for k, event in enumerate(events):
        last = event.at + (0.0 if event.every is None else (event.times - 1) * event.every)
        if event.rack:
            if event.at < racks_until:
                raise ValueError(
                    f"{path}: events[{k}].at is {event.at:g} s, but the rack event before it goes on until "
                    f"{racks_until:g} s; give events that move racks in order of time"
                )
            racks_until = last
        if event.stall and event.stall.robot is not None:
            robot = event.stall.robot
            if robot in stalled:
                raise ValueError(
                    f"{path}: events[{k}].stall.robot is {robot}, which events[{stalled[robot]}] stalls as well; "
                    "give a robot one stall, which may repeat"
                )
            stalled[robot] = k
