"""The two memories of a run on one site: the permanent one is read back from disk and kept there."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from dyna_nav.mdp import Bins
from dyna_nav.planning.memory import Grid, ValueMemory
from dyna_nav.site import Site

_TRANSIENT_BIN = 0.5  # size of the transient memory's bins [m]: an episode's obstacles are smaller than an aisle


class SiteMemories:
    """``permanent`` by goal station and ``transient`` by robot; ``problem``: what was wrong with the file, or None."""

    def __init__(self, site: Site, robots: int, max_speed: float, bins: Bins, folder: Path | None):
        """max_speed [m/s]; without a folder nothing is read or kept."""
        extent = tuple(np.array(site.clearance.shape[::-1]) * site.map.resolution)
        grid = Grid(tuple(site.map.origin), extent)
        self.permanent = ValueMemory(bins, grid, max_speed)
        fine = replace(  # nowhere coarser: what sets a standing robot's value right would be promised to a driving one
            bins, x=max(bins.x, math.ceil(extent[0] / _TRANSIENT_BIN)),
            y=max(bins.y, math.ceil(extent[1] / _TRANSIENT_BIN)), goal=robots,
        )  # fmt: skip
        self.transient = ValueMemory(fine, grid, max_speed)
        self._file = None if folder is None else Path(folder) / f"permanent-{_digest(site)}.npz"
        self.problem = None if self._file is None else self.permanent.load(self._file)

    def save(self) -> str | None:
        """Write the permanent memory, atomically; the answer is None or one sentence on why it cannot be written.

        A disk that takes no more must not keep a planner from ending in order.
        """
        if self._file is None:
            return None
        try:
            self.permanent.save(self._file)
        except OSError as error:
            reason = error.strerror or error
            return f"permanent memory {self._file} cannot be written ({reason}); it is as before"
        return None


def _digest(site: Site) -> str:
    """A name for a site that changes with its map and its stations, by which goals are numbered."""
    shape = (*site.map.shape, site.map.resolution, *site.map.origin)
    stations = [(station.x, station.y, station.yaw) for station in site.stations]
    return hashlib.sha256(site.map.cells.tobytes() + repr((shape, stations)).encode()).hexdigest()[:12]
