"""Sketched sites: reproducible, of many kinds, and each with room for robots."""

import numpy as np
import pytest
from scipy import ndimage

from dyna_nav.site import resolve_site
from dyna_nav.site.occupancy import FREE, OCCUPIED, UNKNOWN
from dyna_nav.world_model.training_sites import PREFIX, ragged, reachable_only, sketch, training_hall

SEEDS = range(25)


def test_the_same_seed_gives_the_same_hall():
    np.testing.assert_array_equal(sketch(4).site.map.cells, sketch(4).site.map.cells)
    assert sketch(4).site.map.shape != sketch(5).site.map.shape


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sketch_has_one_large_region_to_drive_in(seed):
    site = sketch(seed).site
    room = site.clearance >= 0.45
    labels, _ = ndimage.label(room)
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1] * site.map.resolution**2
    assert sizes[0] > 10.0
    assert sizes[1:].sum() < 0.5 * sizes[0]


def test_sketches_differ_in_what_maps_differ_in():
    halls = [sketch(seed) for seed in SEEDS]
    assert len({hall.site.map.resolution for hall in halls}) == 3
    assert {hall.hidden is None for hall in halls} == {True, False}
    unknown = [(hall.site.map.cells == UNKNOWN).any() for hall in halls]
    assert any(unknown)
    assert not all(unknown)


def test_ragged_edges_change_nothing_farther_than_a_cell_from_an_edge():
    cells = np.zeros((60, 60), np.int8)
    cells[20:40, 20:40] = OCCUPIED
    result = ragged(cells, 0.5, np.random.default_rng(0))
    assert (result != cells).any()
    assert (result[21:39, 21:39] == OCCUPIED).all()
    assert (result[:19] == FREE).all()


def test_what_cannot_be_reached_becomes_unknown():
    cells = np.zeros((100, 100), np.int8)
    cells[:, 60:62] = OCCUPIED
    result = reachable_only(cells, 0.05)
    assert (result[:, 62:] == UNKNOWN).all()
    assert (result[:, :60] == FREE).all()


def test_other_names_are_sites_as_everywhere_else():
    hall = training_hall("random:3")
    assert hall.hidden is None
    np.testing.assert_array_equal(hall.site.map.cells, resolve_site("random:3").map.cells)
    assert training_hall(f"{PREFIX}2").site.name == f"{PREFIX}2"
