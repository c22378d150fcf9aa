"""What perfect lasers see of a site, of things in it and of each other: observations for the tests of the live map."""

from __future__ import annotations

import math

import numpy as np

from dyna_nav.controller import Observation

ANGLES = np.linspace(-math.pi, math.pi, 360, endpoint=False)
REACH = 10.0  # of the lasers [m]


def ranges(site, pose, discs):
    """What a laser at a pose measures: walls of the site (by marching all beams) and discs (x, y, radius) [m]."""
    beams = np.stack([np.cos(pose[2] + ANGLES), np.sin(pose[2] + ANGLES)], axis=1)
    distance, here = np.zeros(ANGLES.size), np.array(pose[:2])
    for _ in range(200):
        distance += site.clearance_at(here + distance[:, None] * beams)
    for x, y, radius in discs:
        along = beams @ (np.array([x, y]) - here)
        aside = (x - here[0]) ** 2 + (y - here[1]) ** 2 - along**2
        hit = (along > 0) & (aside < radius**2)
        distance[hit] = np.minimum(distance[hit], along[hit] - np.sqrt(radius**2 - aside[hit]))
    return np.where(distance < REACH, distance, np.inf)


def seen(site, time, poses, discs=(), scans=None, bodies=True):
    """An observation of robots at poses that see the discs and, with bodies, each other."""
    poses = np.array(poses, float)
    n = len(poses)
    if scans is None:
        others = [[(*pose[:2], 0.3) for j, pose in enumerate(poses) if j != i and bodies] for i in range(n)]
        scans = np.array([ranges(site, poses[i], [*discs, *others[i]]) for i in range(n)])
    return Observation(time, poses, np.zeros((n, 2)), np.ones(n), np.full((n, 3), np.nan), scans, ANGLES, REACH)
