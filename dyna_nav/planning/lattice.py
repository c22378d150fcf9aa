"""The lattice over position and heading on which ways are computed: its cells, its headings and their room.

Square cells and 16 headings, each with one straight move that ends in the middle of a cell (state lattices: Pivtoraiko,
Knepper and Kelly, 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dyna_nav.mdp import RobotModel
from dyna_nav.parameters import parameter
from dyna_nav.planning.obstacles import SPREAD, spread
from dyna_nav.site import Site

HEADINGS = 16
MOVES = np.array(  # cells (x, y) of one straight move for each heading
    (
        (1, 0),
        (2, 1),
        (1, 1),
        (1, 2),
        (0, 1),
        (-1, 2),
        (-1, 1),
        (-2, 1),
        (-1, 0),
        (-2, -1),
        (-1, -1),
        (-1, -2),
        (0, -1),
        (1, -2),
        (1, -1),
        (2, -1),
    )
)
HEADING_ANGLES = np.arctan2(MOVES[:, 1], MOVES[:, 0]) % (2 * math.pi)  # not equidistant: 0, 26.6, 45, 63.4, ... deg


@dataclass(frozen=True)
class PotentialConfig:
    """Prices of the lattice's motions."""

    resolution: float = parameter(0.2, "size of a lattice cell [m]", minimum=0.05, maximum=1.0)
    nodes: int = parameter(
        2_000_000, "most lattice nodes; larger sites get larger cells, and more only where walls would be lost",
        minimum=10_000, maximum=100_000_000,
    )  # fmt: skip
    spin_factor: float = parameter(
        0.5, "share of a turn's duration that a turn on the spot costs", minimum=0.01, maximum=2
    )
    arc_factor: float = parameter(
        0.1, "share of a turn's duration that a turn on the way costs", minimum=0.01, maximum=2
    )
    wall_margin: float = parameter(
        0.4, "clearance beyond the radius below which driving grows dearer [m]", minimum=0, maximum=2
    )
    wall_factor: float = parameter(1.2, "extra price of driving along a wall, relative", minimum=0, maximum=20)
    contraflow: float = parameter(
        1.2, "extra price of driving against the way of another robot, relative", minimum=0, maximum=20
    )
    full_speed_room: float = parameter(
        0.12, "clearance beyond the radius and its room that full speed takes; less has to be driven slower [m]",
        minimum=0, maximum=2,
    )  # fmt: skip


@dataclass(frozen=True)
class Lattice:
    """Geometry shared by all potentials of a site."""

    origin: tuple[float, float]  # [m] corner of cell (0, 0)
    resolution: float  # [m]
    clearance: np.ndarray  # [rows, cols] greatest clearance inside each cell [m]
    radius: float  # of the robot and the room that it needs [m]
    fine: np.ndarray  # [fine rows, fine cols] clearance of the site [m]
    block: int  # cells of the site on a side of a cell

    @staticmethod
    def of(site: Site, robot: RobotModel, config: PotentialConfig) -> Lattice:
        """Lattice over a site; its cell is free where the robot fits, with some room, somewhere inside it.

        Two such cells beside each other never have a wall between them: cells are smaller than the room that the robot
        needs from its middle to a wall, even where that takes more nodes than the configuration allows.
        """
        fine = site.map.resolution
        height, width = np.array(site.clearance.shape) * fine
        least = math.sqrt(height * width * HEADINGS / config.nodes)
        block = max(1, round(config.resolution / fine), math.ceil(least / fine - 1e-9))
        rows, cols = (-(-size // block) for size in site.clearance.shape)
        while rows * cols * HEADINGS > config.nodes:  # the last row and column may be cut cells
            block += 1
            rows, cols = (-(-size // block) for size in site.clearance.shape)
        block = min(block, max(1, math.ceil((robot.radius + robot.room) / fine - 1e-9) - 1))
        best = _best_of_blocks(site.clearance, block)
        return Lattice(tuple(site.map.origin), block * fine, best, robot.radius + robot.room, site.clearance, block)

    def cell_of(self, pose: np.ndarray) -> tuple[int, int]:
        """The cell (row, col) of a pose [2 or 3] (map frame), or the one at the edge that is nearest to it."""
        col, row = np.floor((pose[:2] - self.origin) / self.resolution).astype(int)
        rows, cols = self.clearance.shape
        return min(max(int(row), 0), rows - 1), min(max(int(col), 0), cols - 1)

    def centres(self, cells: np.ndarray) -> np.ndarray:
        """Middles [k, 2] (map frame [m]) of cells [k, 2] (row, col)."""
        return (cells[:, ::-1] + 0.5) * self.resolution + self.origin

    def holds_two(self, radius: float, gap: float) -> np.ndarray:
        """bool [rows, cols]: in the middle of room for two robots of a radius that pass each other with a gap [m]."""
        return self.clearance >= 2.0 * radius + 0.5 * gap

    def clearance_with(self, obstacles: np.ndarray) -> np.ndarray:
        """``clearance`` when obstacles [k, 2] (map frame [m]) stand there that are not in the map."""
        lowered, touched = self.fine.copy(), np.empty(self.fine.size, np.int64)
        spread(lowered, self.fine, obstacles, *self.origin, self.resolution / self.block, SPREAD, touched)
        return _best_of_blocks(lowered, self.block)


def _best_of_blocks(clearance: np.ndarray, block: int) -> np.ndarray:
    """The greatest clearance in each block of cells; the last row and column may be cut."""
    rows, cols = (-(-size // block) for size in clearance.shape)
    padded = np.zeros((rows * block, cols * block), np.float32)
    padded[: clearance.shape[0], : clearance.shape[1]] = clearance
    return padded.reshape(rows, block, cols, block).max(axis=(1, 3))
