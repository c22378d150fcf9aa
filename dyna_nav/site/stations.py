"""The stations of a site: where robots fetch, deliver and charge."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("pick", "rack", "charger")
MOST = 20  # the value table has a bin for each


@dataclass(frozen=True)
class Station:
    """A named pose on the map: x, y [m], yaw [rad], map frame; kind is pick, rack or charger."""

    name: str
    x: float
    y: float
    yaw: float
    kind: str
