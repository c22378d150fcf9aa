"""A campaign: the list of evaluations behind a page of results, as a YAML file that is read strictly.

It names sections of the page, runs (each the arguments of one ``dyna-nav evaluate``) and targets that the figures of
some runs are held against. Nothing in it is a result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dyna_nav.evaluation.command import parse_seeds
from dyna_nav.evaluation.controllers import ControllerName, parse_controllers
from dyna_nav.evaluation.figures import PICTURES, TARGET_FIGURES
from dyna_nav.evaluation.scenario import Scenario, load_scenario, overridden
from dyna_nav.evaluation.strict import read_config
from dyna_nav.parameters import parameter
from dyna_nav.site.yaml_file import read_yaml

SHIPPED = Path(__file__).with_name("campaign.yaml")
MAPS = "$MAPS/"  # how the file names the folder of maps, which lies elsewhere on every machine


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    about: str  # a paragraph: what happens, and what to look for
    pooled: bool = parameter(True, "add the figures over all runs of the section")


@dataclass(frozen=True)
class Target:
    """A bound that a controller's figure over some runs should keep."""

    runs: str  # names with wildcards, separated by commas; all their trips are pooled
    figure: str  # a key of TARGET_FIGURES
    section: str = parameter("", "where it is shown besides the list of all (default: nowhere)")
    controller: str = parameter("", "whose figure (default: the campaign's reference)")
    than: str = parameter("", "the other controller of a ratio (default: the campaign's baseline)")
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class Run:
    """One evaluation; the arguments are those of ``dyna-nav evaluate``."""

    name: str
    section: str
    shows: str  # in a sentence
    scenario: str
    controllers: str
    seeds: str
    site: str = parameter("", "default or random:SEED")
    map: str = parameter("", "a map's YAML file; $MAPS/ stands for the folder that --maps names")
    robots: int | None = parameter(None, "robots (default: the scenario's)", minimum=1, maximum=64)
    trips: int | None = parameter(None, "trips per seed (default: the scenario's)", minimum=1, maximum=100_000)
    plots: tuple[str, ...] = ()  # those that the page shows
    plots_of: str = parameter("", "controllers in the plots, separated by commas (default: all)")

    def names(self) -> list[ControllerName]:
        """The controllers."""
        return parse_controllers(self.controllers)

    def loaded(self) -> Scenario:
        """The scenario as it is run."""
        return overridden(load_scenario(self.scenario), self.robots, self.trips)

    def seed_list(self) -> list[int]:
        """The seeds."""
        return parse_seeds(self.seeds)

    def drawn(self) -> list[str]:
        """Labels of the controllers that the plots show."""
        if self.plots_of:
            return [label.strip() for label in self.plots_of.split(",")]
        return [name.label for name in self.names()]

    def place(self, maps: Path) -> str:
        """The site as an evaluation takes it, with $MAPS/ replaced by a folder; "" for the scenario's own."""
        return str(maps / self.map.removeprefix(MAPS)) if self.map.startswith(MAPS) else self.map or self.site

    def command(self) -> str:
        """The line that makes this run's figures, for a shell in which MAPS names the folder of maps."""
        words = ["dyna-nav evaluate", f"--scenario {_quoted(self.scenario)}"]
        words += [f"--site {_quoted(self.site)}"] if self.site else []
        words += [f"--map {_quoted(self.map)}"] if self.map else []
        words += [f"--robots {self.robots}"] if self.robots is not None else []
        words += [f"--trips {self.trips}"] if self.trips is not None else []
        given = ",".join(n.label if n.label == n.target else f"{n.label}={n.target}" for n in self.names())
        return " ".join([*words, f"--seeds {self.seeds}", f"--controllers {_quoted(given)}"])

    def key(self, model: str) -> str:
        """Sixteen hexadecimal digits that change with what is run and with the model's version."""
        content = {
            "scenario": dataclasses.asdict(dataclasses.replace(self.loaded(), about="")),
            "site": self.map or self.site,
            "controllers": [[name.label, name.target] for name in self.names()],
            "seeds": self.seed_list(),
            "model": model,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Campaign:
    """What a file says; ``path`` is the file's name, ``shipped``: it is the project's own."""

    title: str
    about: str
    reference: str = parameter("dyna2", "the controller that the others are compared with")
    baseline: str = parameter("astar-fleet", "the controller that the reference has to beat")
    sections: tuple[Section, ...] = ()
    targets: tuple[Target, ...] = ()
    runs: tuple[Run, ...] = dataclasses.field(default=(), metadata={"not_in_file": True})  # read by themselves
    path: str = dataclasses.field(default="", metadata={"not_in_file": True})
    shipped: bool = dataclasses.field(default=False, metadata={"not_in_file": True})

    def matching(self, globs: str) -> list[Run]:
        """Runs whose name matches one of the wildcards, separated by commas."""
        return [run for run in self.runs if any(fnmatchcase(run.name, glob.strip()) for glob in globs.split(","))]


def load_campaign(path: Path = SHIPPED) -> Campaign:
    """The campaign of a YAML file.

    Raises ValueError, one sentence with file, run, field and value, for anything that is not as it should be.
    """
    content = read_yaml(path)
    entries = content.pop("runs", None) if isinstance(content, dict) else None
    campaign = read_config(Campaign, content, path)
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: runs is {entries!r}; it must be a list of runs")
    runs = tuple(_read_run(entry, k, path) for k, entry in enumerate(entries))
    campaign = dataclasses.replace(campaign, runs=runs, path=path.name, shipped=path == SHIPPED)
    _check(campaign, path)
    return campaign


def _read_run(entry: Any, number: int, path: Path) -> Run:
    where = f"runs[{number}]"
    if isinstance(entry, dict):
        where += f" ({entry['name']})" if "name" in entry else ""
        if isinstance(entry.get("seeds"), int):  # a single seed reads as a number
            entry = entry | {"seeds": str(entry["seeds"])}
    run = read_config(Run, entry, path, where)
    if not re.fullmatch(r"[\w.-]+", run.name):
        raise ValueError(f"{path}: {where}.name is {run.name!r}; use letters, digits and . - _, it names files")
    for field, read in (("scenario", run.loaded), ("controllers", run.names), ("seeds", run.seed_list)):
        try:
            read()
        except ValueError as error:
            raise ValueError(f"{path}: {where}.{field} is {getattr(run, field)!r}: {error}") from None
    if run.site and run.map:
        raise ValueError(f"{path}: {where}.map is {run.map!r} although site is {run.site!r}; give one of them")
    if run.site and not re.fullmatch(r"default|random:\d+", run.site):
        raise ValueError(f"{path}: {where}.site is {run.site!r}; give default, random:SEED, or a file as map")
    for plot in run.plots:
        if plot not in PICTURES:
            raise ValueError(f"{path}: {where}.plots has {plot!r}; known are {', '.join(PICTURES)}")
    strangers = set(run.drawn()) - {name.label for name in run.names()}
    if strangers:
        raise ValueError(f"{path}: {where}.plots_of has {sorted(strangers)[0]!r}, which is none of its controllers")
    return run


def _check(campaign: Campaign, path: Path) -> None:
    """What no single entry tells."""
    for kind, entries in (("sections", campaign.sections), ("runs", campaign.runs)):
        names = [entry.name for entry in entries]
        for k, name in enumerate(names):
            if name in names[:k]:
                raise ValueError(f"{path}: {kind}[{k}].name is {name!r}, which is taken; give it another name")
    sections = [section.name for section in campaign.sections]
    for kind, entries in (("runs", campaign.runs), ("targets", campaign.targets)):
        for k, entry in enumerate(entries):
            if entry.section not in sections and (entry.section or kind == "runs"):
                raise ValueError(
                    f"{path}: {kind}[{k}].section is {entry.section!r}; known are {', '.join(sections) or 'none'}"
                )
    for k, target in enumerate(campaign.targets):
        if target.figure not in TARGET_FIGURES:
            raise ValueError(f"{path}: targets[{k}].figure is {target.figure!r}; known are {', '.join(TARGET_FIGURES)}")
        if (target.at_most is None) == (target.at_least is None):
            raise ValueError(f"{path}: targets[{k}] has no clear bound; give either at_most or at_least")
        for glob in target.runs.split(","):
            if not campaign.matching(glob):
                raise ValueError(f"{path}: targets[{k}].runs has {glob.strip()!r}, which names no run")
    drivers = list(dict.fromkeys(name.label for run in campaign.runs for name in run.names()))
    named = {"reference": campaign.reference, "baseline": campaign.baseline}
    for k, target in enumerate(campaign.targets):
        named |= {f"targets[{k}].controller": target.controller, f"targets[{k}].than": target.than}
    for field, label in named.items():  # who is compared by default need not be there
        if label not in (*drivers, "", Campaign.reference, Campaign.baseline):
            raise ValueError(f"{path}: {field} is {label!r}, which drives in no run; known are {', '.join(drivers)}")


def _quoted(text: str) -> str:
    """A word for the shell; variables stay variables."""
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else f'"{text}"'
