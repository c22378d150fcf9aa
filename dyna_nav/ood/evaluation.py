"""How well does the detector see what is new? Families of novel states, made in the simulator on purpose.

Each family says how it is made, from when on it can be seen at all, and within which time it must have been seen. A
slippery floor, for example, is no different from a dry one until the wheels slip.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from dyna_nav.mdp import STEP
from dyna_nav.simulation import SimulationConfig
from dyna_nav.site import OccupancyMap, Site
from dyna_nav.world_model.collection import HEAVIEST, Episode, EpisodePlan, Fault, run_episode
from dyna_nav.world_model.training_sites import PREFIX, training_hall

FAULT_STEP = 80  # the robot drives for so many steps before something happens to it
RACK_SIGHT = 5.0  # a moved rack counts as seen from this distance on [m]
SHOVE = 0.3  # how long a push lasts [s]: somebody leans against the robot, or a pallet truck bumps into it
SLIPPING = 0.15  # difference between wheels and floor that counts as slipping [m/s]
SIDEWAYS = 0.3  # speed across the wheels that counts as being pushed [m/s]
DRIVING = 0.3  # a load can be felt from this speed on [m/s]
AIRBORNE = 0.2  # turning wheels of a lifted robot count from this speed on [m/s], (or turn rate [rad/s])


@dataclass(frozen=True)
class Family:
    """One way in which a state can be novel."""

    name: str
    within: float  # time from when it can be seen until it must have been [s]
    fault: Fault | None = None
    hidden_site: Callable[[Site, np.random.Generator], Site] | None = None
    config: SimulationConfig | None = None
    visible: Callable[[Episode, Site, Site], np.ndarray] | None = None  # bool [steps] of robot 0; None: at once


def families(rng: np.random.Generator) -> list[Family]:
    """All families; rng draws the strength of each fault anew whenever it is called."""

    def jump(simulation, robot):
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.3, 1.5)
        turn = rng.uniform(-0.3, 0.3)
        simulation.jump_odometry(robot, distance * np.cos(angle), distance * np.sin(angle), turn)

    def push(simulation, robot):
        angle, speed = rng.uniform(-np.pi, np.pi), rng.uniform(2.0, 3.5)
        mass = simulation.config.mass + simulation.payload[robot]
        simulation.push(robot, speed * mass * np.array([np.cos(angle), np.sin(angle)]))

    return [
        Family("racks moved", 3.0, hidden_site=move_racks, visible=_rack_in_sight),
        Family("wheel slip", 3.0, lambda s, r: s.set_friction(r, rng.uniform(0.05, 0.12)), visible=_slipping),
        Family("payload twice the heaviest", 15.0, lambda s, r: s.set_payload(r, 2 * HEAVIEST), visible=_driving),
        Family("laser dead", 1.0, lambda s, r: s.set_scan_fault(r, "dead")),
        Family("laser shifted", 1.0, lambda s, r: s.set_scan_fault(r, "shifted")),
        Family("odometry jump", 1.0, jump),
        Family("lifted", 3.0, lambda s, r: s.lift(r), visible=_airborne),
        Family("pushed", 1.0, push, config=SimulationConfig(push_duration=SHOVE), visible=_shoved),
    ]


def move_racks(site: Site, rng: np.random.Generator) -> Site:
    """The hall with about half of the racks moved by 0.6 to 1.5 m against the map, where there is room for it."""
    cells, resolution = site.map.cells.copy(), site.map.resolution
    labels, count = ndimage.label(cells > 0)
    border = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    for label in range(1, count + 1):
        if label in border or rng.random() < 0.5:
            continue
        shift, axis = rng.uniform(0.6, 1.5) * rng.choice([-1, 1]), rng.integers(2)
        offset = np.zeros(2, int)
        offset[axis] = round(shift / resolution)
        rack = np.argwhere(labels == label)
        moved = rack + offset
        inside = ((moved >= 0) & (moved < cells.shape)).all(axis=1)
        if not inside.all():
            continue
        cells[tuple(rack.T)] = 0
        cells[tuple(moved.T)] = 100
    return Site.from_map(f"{site.name} (racks moved)", OccupancyMap(cells, resolution, site.map.origin), site.stations)


def _rack_in_sight(episode: Episode, site: Site, hall: Site) -> np.ndarray:
    changed = np.argwhere(site.map.cells != hall.map.cells)
    if not len(changed):
        return np.zeros(len(episode.pose[0]), bool)
    positions = np.array(site.map.position_of(changed[::5, 0], changed[::5, 1])).reshape(-1, 2)
    seen = np.zeros(len(episode.pose[0]), bool)
    for step, (x, y, _) in enumerate(episode.pose[0]):
        distance = np.hypot(positions[:, 0] - x, positions[:, 1] - y)
        for k in np.argsort(distance)[:40:4]:
            if distance[k] < RACK_SIGHT and _line_free(site, hall, (x, y), positions[k]):
                seen[step] = True
                break
    return seen


def _line_free(site: Site, hall: Site, start, end) -> bool:
    """Whether nothing of the hall stands between two points, but for the last 0.2 m (the changed cell itself)."""
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    along = np.arange(0.0, max(length - 0.2, 0.0), hall.map.resolution) / max(length, 1e-9)
    points = np.array(start) + along[:, None] * (np.array(end) - np.array(start))
    return bool((hall.clearance_at(points) > 0).all()) if len(points) else True


def _slipping(episode: Episode, site: Site, hall: Site) -> np.ndarray:
    return np.abs(episode.twist[0, :, 0] - episode.true_twist[0, :, 0]) > SLIPPING


def _shoved(episode: Episode, site: Site, hall: Site) -> np.ndarray:
    """A shove that the tyres withstand moves nothing and is no novelty."""
    return _slipping(episode, site, hall) | (np.abs(episode.targets[0, :, 1]) > SIDEWAYS * STEP)


def _airborne(episode: Episode, site: Site, hall: Site) -> np.ndarray:
    wheels = np.abs(episode.twist[0, :, 0]) > AIRBORNE
    return wheels | (np.abs(episode.features[0, :, 6]) > AIRBORNE)


def _driving(episode: Episode, site: Site, hall: Site) -> np.ndarray:
    return np.abs(episode.twist[0, :, 0]) > DRIVING


@dataclass(frozen=True)
class NovelEpisode:
    """A recorded novel episode: robot 0, and from which step on it could be seen (None: never)."""

    episode: Episode
    site: str
    onset: int | None


def record(family: Family, seed: int, steps: int = 260) -> NovelEpisode:
    """One episode of a family in the random warehouse of this seed, or, every other one, in a sketch without racks."""
    sketched = family.hidden_site is None and seed % 2 == 1
    plan = EpisodePlan(f"{PREFIX if sketched else 'random:'}{seed}", seed, steps)
    hall: list[Site] = []

    def hidden(site: Site, rng: np.random.Generator) -> Site:
        hall.append(family.hidden_site(site, rng))
        return hall[0]

    start = 0 if family.hidden_site else FAULT_STEP
    episode = run_episode(
        plan,
        fault=family.fault,
        fault_step=FAULT_STEP,
        hidden_site=hidden if family.hidden_site else None,
        robots=2,
        config=family.config,
    )
    site = training_hall(plan.site).site
    visible = (
        np.ones(steps, bool) if family.visible is None else family.visible(episode, site, hall[0] if hall else site)
    )
    visible[:start] = False
    return NovelEpisode(episode, plan.site, int(np.argmax(visible)) if visible.any() else None)


def record_novel(folder: Path, number: int, seed: int) -> None:
    """Record one episode of family ``number`` unless it is there; a function of its seed."""
    path = folder / f"{number}-{seed}.npz"
    if path.with_suffix(".json").exists():
        return
    family = families(np.random.default_rng(seed))[number]
    novel = record(family, seed)
    novel.episode.save(path)
    meta = {"site": novel.site, "onset": novel.onset}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(meta))
    part.replace(path.with_suffix(".json"))


def load_novel(folder: Path, number: int, seed: int) -> tuple[Episode, str, int | None]:
    """What record_novel left: the episode, its site and its onset."""
    path = folder / f"{number}-{seed}.npz"
    meta = json.loads(path.with_suffix(".json").read_text())
    return Episode.load(path), meta["site"], meta["onset"]


def recall(family: Family, novel: list[np.ndarray], onsets: list[int | None]) -> dict:
    """Share of the episodes that were flagged in time, and how fast: novel are verdicts [steps] of robot 0."""
    seen, delays = 0, []
    cases = [(verdict, onset) for verdict, onset in zip(novel, onsets, strict=True) if onset is not None]
    limit = round(family.within / STEP)
    for verdict, onset in cases:
        flagged = np.flatnonzero(verdict[onset : onset + limit + 1])
        if len(flagged):
            seen += 1
            delays.append(float(flagged[0]) * STEP)
    return {
        "episodes": len(cases),
        "within_s": family.within,
        "recall": round(seen / max(len(cases), 1), 4),
        "median_delay_s": round(float(np.median(delays)), 2) if delays else None,
    }
