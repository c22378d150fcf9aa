"""The two memories of a run on one site: the permanent one is read back from disk and kept there."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from dyna_nav.mdp import Bins
from dyna_nav.planning.memory import Grid, ValueMemory, write
from dyna_nav.site import Site

_FORMULA = 2  # of the potential, whose corrections are learned; to be raised when it is computed differently
_KEEP = 60.0  # between two times that the permanent memory is written while driving [s]
_TRANSIENT_BIN = 0.5  # size of the transient memory's bins [m]: an episode's obstacles are smaller than an aisle


class SiteMemories:
    """``permanent`` by goal station and ``transient`` by robot; ``problem``: what was wrong with the file, or None."""

    def __init__(self, site: Site, robots: int, max_speed: float, bins: Bins, potential: object, folder: Path | None):
        """max_speed [m/s]; without a folder nothing is read or kept.

        potential: everything that the potential depends on beside the site, in dataclasses and numbers. What was
        learned about another one is not read: it would correct what is no longer wrong.
        """
        extent = tuple(np.array(site.clearance.shape[::-1]) * site.map.resolution)
        grid = Grid(tuple(site.map.origin), extent)
        self.permanent = ValueMemory(bins, grid, max_speed)
        fine = replace(  # nowhere coarser: what sets a standing robot's value right would be promised to a driving one
            bins, x=max(bins.x, math.ceil(extent[0] / _TRANSIENT_BIN)),
            y=max(bins.y, math.ceil(extent[1] / _TRANSIENT_BIN)), goal=robots,
        )  # fmt: skip
        self.transient = ValueMemory(fine, grid, max_speed)
        self._file = None if folder is None else Path(folder) / f"permanent-{_digest(site, potential)}.npz"
        self._writer, self._writing = ThreadPoolExecutor(1, thread_name_prefix="memory"), None
        self._kept = math.nan  # when it was written last, or could first have been [s]
        self.problem = None if self._file is None else self.permanent.load(self._file)

    def keep(self, now: float) -> str | None:
        """Write the permanent memory once a minute, beside the cycles: a power cut costs no more; now [s].

        The answer is None or one sentence on why it could not be written the last time.
        """
        if self._file is None:
            return None
        if math.isnan(self._kept):
            self._kept = now
        problem = None
        if now - self._kept >= _KEEP and (self._writing is None or self._writing.done()):
            self._kept = now
            problem = None if self._writing is None else self._writing.result()
            self._writing = self._writer.submit(_write, self._file, self.permanent.content())
        return problem

    def save(self) -> str | None:
        """Write the permanent memory, atomically; the answer is None or one sentence on why it cannot be written.

        A disk that takes no more must not keep a planner from ending in order.
        """
        if self._file is None:
            return None
        return self._writer.submit(_write, self._file, self.permanent.content()).result()

    def close(self) -> None:
        """Stop the thread that writes, when it has."""
        self._writer.shutdown()


def _write(file: Path, content: dict[str, np.ndarray]) -> str | None:
    try:
        write(file, content)
    except OSError as error:
        return f"permanent memory {file} cannot be written ({error.strerror or error}); it is as before"
    return None


def _digest(site: Site, potential: object) -> str:
    """A name that changes with a site's map, its stations, by which goals are numbered, and what the potential is."""
    shape = (*site.map.shape, site.map.resolution, *site.map.origin)
    stations = [(station.x, station.y, station.yaw) for station in site.stations]
    about = repr((shape, stations, _FORMULA, potential)).encode()
    return hashlib.sha256(site.map.cells.tobytes() + about).hexdigest()[:12]
