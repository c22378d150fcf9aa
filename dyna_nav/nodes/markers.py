"""What rviz shows beside the map: stations, robots, why a robot stands, people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from dyna_nav.nodes.messages import MAP_FRAME, pose_message
from dyna_nav.site import Station

_STATION_COLOURS = {"pick": (0.20, 0.45, 0.85), "rack": (0.85, 0.55, 0.15), "charger": (0.25, 0.65, 0.30)}
_DRIVING, _STANDING = (0.10, 0.55, 0.55), (0.80, 0.20, 0.20)
_PEOPLE = (0.55, 0.30, 0.70)
_TALL = 1.7  # a person as shown [m]


def station_markers(stations: Sequence[Station], stamp) -> MarkerArray:
    """An arrow and a name for each station, coloured by its kind."""
    markers = []
    for index, station in enumerate(stations):
        colour = _STATION_COLOURS[station.kind]
        pose = np.array([station.x, station.y, station.yaw])
        markers.append(_marker("stations", index, Marker.ARROW, pose, (0.7, 0.15, 0.05), colour, stamp))
        name = _marker("station names", index, Marker.TEXT_VIEW_FACING, pose, (0.0, 0.0, 0.5), colour, stamp)
        name.text = station.name
        markers.append(name)
    return MarkerArray(markers=markers)


def robot_markers(poses: np.ndarray, radius: float, plans: np.ndarray, reasons: Sequence[str], stamp) -> MarkerArray:
    """Each robot as a disc with its imagined path and, when it stands for safety, the reason above it.

    poses [n, 3] map frame (NaN: not shown), radius [m], plans [n, k, 3] map frame, reasons: n texts, "" when driving.
    """
    markers = []
    for index, (pose, plan, reason) in enumerate(zip(poses, plans, reasons, strict=True)):
        colour = _STANDING if reason else _DRIVING
        if not np.isfinite(pose).all():
            markers.append(Marker(header=_header(stamp), ns="robots", id=index, action=Marker.DELETE))
            continue
        size = (2 * radius, 2 * radius, 0.3)
        markers.append(_marker("robots", index, Marker.CYLINDER, pose, size, colour, stamp))
        text = _marker("reasons", index, Marker.TEXT_VIEW_FACING, pose, (0.0, 0.0, 0.4), colour, stamp)
        text.text = reason or " "
        markers.append(text)
        line = _marker("plans", index, Marker.LINE_STRIP, np.zeros(3), (0.06, 0.0, 0.0), colour, stamp)
        line.points = [Point(x=float(x), y=float(y), z=0.05) for x, y, _ in plan if np.isfinite(x + y)]
        if len(line.points) > 1:
            markers.append(line)
    return MarkerArray(markers=markers)


def people_markers(places: np.ndarray, radii: Sequence[float], stamp) -> MarkerArray:
    """People as upright cylinders: places [k, 2] (m, map frame), radii [k] (m)."""
    markers = []
    for index, (place, radius) in enumerate(zip(places, radii, strict=True)):
        size = (2 * radius, 2 * radius, _TALL)
        marker = _marker("people", index, Marker.CYLINDER, np.array([*place, 0.0]), size, _PEOPLE, stamp)
        marker.pose.position.z = _TALL / 2
        markers.append(marker)
    return MarkerArray(markers=markers)


def _header(stamp) -> Header:
    return Header(stamp=stamp, frame_id=MAP_FRAME)


def _marker(namespace: str, index: int, kind: int, pose: np.ndarray, size, colour, stamp) -> Marker:
    marker = Marker(header=_header(stamp), ns=namespace, id=index, type=kind, action=Marker.ADD)
    marker.pose = pose_message(pose)
    marker.scale.x, marker.scale.y, marker.scale.z = size
    marker.color = ColorRGBA(r=colour[0], g=colour[1], b=colour[2], a=0.9)
    return marker
