"""The outcome of a fleet run: the figures as JSON, in a few lines of text, and as a picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from dyna_nav.nodes.collision_reports import in_words, reported_collision
from dyna_nav.nodes.fleet_monitor import FleetMonitor
from dyna_nav.simulation.collisions import is_person
from dyna_nav.site import Site
from dyna_nav.whole_file import write_whole

if TYPE_CHECKING:
    from dyna_nav.nodes.fleet_run import FleetOptions

SLOW = 0.95  # simulated over real time below which the summary says so


def results(
    monitor: FleetMonitor,
    options: FleetOptions,
    restarts: dict[str, int],
    killed: list[str],
    cpu_share: dict[str, float],
) -> dict:
    """Everything that a run is judged by. Of a planner that was started again, the worst percentiles count."""
    status, planners = monitor.status, monitor.planners
    travel, ideal = status.get("travel_time_s", []), status.get("ideal_time_s", [])

    def worst(name: str) -> float:
        return max(getattr(planner, name) for planner in planners)

    return {
        "map": options.map,
        "robots": options.robots,
        "people": options.people,
        "seed": options.seed,
        "trips_asked": options.trips,
        "trips_completed": status.get("trips_completed", 0),
        "trips_failed": len(status.get("trips_failed", [])),
        "collisions": len(monitor.collisions),
        "people_hit_moving": sum(is_person(hit["other"]) for hit in monitor.collisions),
        "people_hit_standing": len(monitor.walked_into),  # by themselves: these are no collisions
        "travel_time_s": travel,
        "ideal_time_s": ideal,
        "travel_over_ideal": round(sum(travel) / sum(ideal), 4) if sum(ideal) else None,
        "cycles": sum(planner.cycles for planner in planners),
        "cycle_ms": {key: worst(f"cycle_{key}_ms") for key in ("p50", "p99", "p999", "max")},
        "cycles_cut": sum(planner.cycles_cut for planner in planners),  # no time to imagine to the horizon
        "imagined_steps": round(min(planner.imagined_steps for planner in planners), 2),
        "rollouts": round(min(planner.rollouts for planner in planners), 1),  # per robot and cycle
        "jitter_ms": {key: worst(f"jitter_{key}_ms") for key in ("p99", "max")},
        "command_ms": {key: worst(f"command_{key}_ms") for key in ("p50", "p99", "max")},
        "deadline_misses": sum(planner.deadline_misses for planner in planners),
        "watchdog_stops": sum(planner.watchdog_stops for planner in planners),
        "safe_stops": monitor.safe_stops,
        "model_version": monitor.planner.model_version,
        "provider": monitor.planner.provider,
        "cpu_share": cpu_share,  # of one core, by process, from the first command to the end of the run
        "planner_memory_mb": round(worst("memory_mb"), 1),
        "first_command_s": round(monitor.first_command_s, 2) if monitor.first_command_s is not None else None,
        "simulated_s": round(monitor.simulated_s, 2),
        "wall_s": round(monitor.wall_s, 2),
        "restarts": restarts,
        "killed": killed,  # processes that did not end, or answer, by themselves
        "failed_trips": status.get("trips_failed", []),
        "collision_list": monitor.collisions,
        "walked_into_list": monitor.walked_into,
    }


def completed(outcome: dict) -> bool:
    """Whether every trip asked for was completed, and at least one, without a collision."""
    made, failed = outcome["trips_completed"], outcome["trips_failed"]
    return made >= max(outcome["trips_asked"], 1) and failed == 0 and outcome["collisions"] == 0


def summary(outcome: dict) -> str:
    """The outcome for a person."""
    asked = f" of {outcome['trips_asked']}" if outcome["trips_asked"] else ""
    cycle, jitter = outcome["cycle_ms"], outcome["jitter_ms"]
    lines = [
        f"trips completed {outcome['trips_completed']}{asked}, failed {outcome['trips_failed']}, "
        f"collisions {outcome['collisions']}",
        f"{outcome['cycles']} cycles: p50 {cycle['p50']:.1f} ms, p99 {cycle['p99']:.1f} ms, max {cycle['max']:.1f} ms, "
        f"{outcome['deadline_misses']} over the deadline, jitter p99 {jitter['p99']:.1f} ms",
    ]
    if outcome["people"]:
        lines.append(
            f"people among the robots: {outcome['people_hit_moving']} hit by a robot that moved, "
            f"{outcome['people_hit_standing']} walked into one that stood"
        )
    if outcome["travel_over_ideal"]:
        lines.append(f"travel time {outcome['travel_over_ideal']:.2f} times the ideal")
    for reason, count in outcome["safe_stops"].items():
        lines.append(f"safe stop: {reason} ({count})")
    for trip in outcome["failed_trips"]:
        lines.append(f"trip {trip['trip']} of {trip['robot']} to {trip['station']} failed: {trip['reason']}")
    for hit in outcome["collision_list"]:
        lines.append(f"at {hit['time']} s: {in_words(hit)}")
    for name, count in outcome["restarts"].items():
        lines.append(f"{name} was started again {count} times")
    if outcome["killed"]:
        lines.append(f"had to be killed: {', '.join(outcome['killed'])}")
    if outcome["simulated_s"] < SLOW * outcome["wall_s"]:
        lines.append(f"the simulator was slow: {outcome['simulated_s']} s in {outcome['wall_s']} s")
    return "\n".join(lines)


def write_json(outcome: dict, file: str) -> None:
    """Write the outcome to a file, whole or not at all."""
    write_whole(file, json.dumps(outcome, indent=2) + "\n")


def draw_picture(site: Site, monitor: FleetMonitor, outcome: dict, file: str) -> None:
    """The paths driven, from above."""
    from dyna_nav.simulation.drawing import draw_paths

    reports = outcome["collision_list"] + outcome["walked_into_list"]
    hits = [reported_collision(report, monitor.names) for report in reports]
    paths = [np.array(monitor.traces[name], float).reshape(-1, 2) for name in monitor.names]
    people = f"{outcome['people']} people, " if outcome["people"] else ""
    title = (
        f"{site.name}: {outcome['robots']} robots, {people}{outcome['trips_completed']} trips, "
        f"{outcome['collisions']} collisions"
    )
    draw_paths(site, paths, file, names=monitor.names, collisions=hits, title=title)
