"""Collisions as they travel: the JSON of the ``collisions`` topic, read again, and told in words."""

from __future__ import annotations

from collections.abc import Sequence

from dyna_nav.simulation.collisions import Collision, is_person, walked_into


def collision_report(collision: Collision, names: Sequence[str]) -> dict:
    """A collision as JSON: time [s], robot and other by name, x, y [m] in the map frame, speed of the robot [m/s]."""
    kind, _, index = collision.other.partition(":")
    return {
        "time": round(collision.time, 3),
        "robot": names[collision.robot],
        "other": names[int(index)] if kind == "robot" else collision.other,
        "x": round(collision.x, 3),
        "y": round(collision.y, 3),
        "speed": round(collision.speed, 3),
    }


def reported_collision(report: dict, names: Sequence[str]) -> Collision:
    """The collision that a report tells of; other robots stay named."""
    return Collision(
        report["time"], list(names).index(report["robot"]), report["other"], report["x"], report["y"], report["speed"]
    )


def of_the_run(report: dict) -> bool:
    """Whether a collision counts as one of the run: not when somebody walked into a robot that stood."""
    return not walked_into(report["other"], report["speed"])


def in_words(report: dict) -> str:
    """Who hit whom, and where."""
    robot, other, speed = report["robot"], report["other"], report["speed"]
    if walked_into(other, speed):
        what = f"{other} walked into {robot}, which stood,"
    elif is_person(other):
        what = f"{robot} hit {other} at {speed} m/s"
    else:
        what = f"collision of {robot} with {other}"
    return f"{what} at ({report['x']}, {report['y']})"
