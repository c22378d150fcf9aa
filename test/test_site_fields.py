"""Geodesic distance: as long as a taut string, for the disc that has to follow it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyna_nav.site import OccupancyMap, Site, SiteError, resolve_site
from dyna_nav.site.fields import distance_at, geodesic_distance

RESOLUTION = 0.05


def hall(*boxes, size=(20.0, 12.0), resolution=RESOLUTION) -> Site:
    """An empty hall with boxes (x0, y0, x1, y1) [m]."""
    cells = np.zeros((round(size[1] / resolution), round(size[0] / resolution)), np.int8)
    for x0, y0, x1, y1 in boxes:
        cells[round(y0 / resolution) : round(y1 / resolution), round(x0 / resolution) : round(x1 / resolution)] = 100
    return Site.from_map("hall", OccupancyMap(cells, resolution, (0.0, 0.0)))


def centres(site: Site) -> np.ndarray:
    rows, cols = site.map.shape
    return site.map.position_of(*np.mgrid[:rows, :cols])


@settings(max_examples=25)
@given(x=st.floats(0.5, 19.5), y=st.floats(0.5, 11.5), resolution=st.sampled_from([0.05, 0.1, 0.2]))
def test_on_an_empty_floor_it_is_the_straight_line(x, y, resolution):
    site = hall(resolution=resolution)
    field = geodesic_distance(site, (x, y), 0.35)
    straight = np.hypot(*(centres(site) - (x, y)).T).T
    reached = np.isfinite(field)
    assert (reached == (site.clearance >= 0.35)).all()
    np.testing.assert_allclose(field[reached], straight[reached], rtol=0.005, atol=1e-4)


def test_around_the_end_of_a_wall_it_is_the_taut_string():
    radius = 0.35
    site = hall((9.0, 0.0, 11.0, 6.0))
    start, goal = (4.0, 3.0), (16.0, 2.0)
    # Tangents to the circles of the disc's radius around the two corners, their arcs, and the straight piece between.
    length = 2.0
    for point, corner in ((start, (9.0, 6.0)), (goal, (11.0, 6.0))):
        along, up = abs(corner[0] - point[0]), corner[1] - point[1]
        reach = math.hypot(along, up)
        length += math.sqrt(reach**2 - radius**2)
        length += radius * (math.atan2(up, along) + math.asin(radius / reach))
    found = distance_at(site, geodesic_distance(site, goal, radius), start)
    assert found == pytest.approx(length, rel=0.01)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_it_is_a_distance(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform((1.0, 1.0), (17.0, 9.0), (8, 2))
    site = hall(*[(x, y, x + rng.uniform(0.2, 3.0), y + rng.uniform(0.2, 3.0)) for x, y in corners])
    room = np.argwhere(site.clearance >= 0.45)
    a, b = (site.map.position_of(*room[k]) for k in rng.integers(0, len(room), 2))
    to_a, to_b = geodesic_distance(site, a, 0.35), geodesic_distance(site, b, 0.35)
    there, back = distance_at(site, to_b, a), distance_at(site, to_a, b)
    assert there == pytest.approx(back, rel=0.02, abs=RESOLUTION) or (math.isinf(there) and math.isinf(back))
    assert there >= math.hypot(*(a - b)) * 0.998
    for axis in (0, 1):
        step = np.abs(np.diff(np.where(np.isfinite(to_a), to_a, np.nan), axis=axis))
        assert np.nanmax(step) <= RESOLUTION * 1.02
    wide = geodesic_distance(site, a, 0.40)
    both = np.isfinite(wide)
    assert (to_a[both] <= wide[both] * 1.005 + 1e-4).all()


def test_a_gap_that_is_too_narrow_is_closed():
    site = hall((9.0, 0.0, 9.5, 5.0), (9.0, 5.8, 9.5, 12.0))
    field = geodesic_distance(site, (4.0, 6.0), 0.35)
    assert math.isfinite(distance_at(site, field, (15.0, 6.0)))
    field = geodesic_distance(site, (4.0, 6.0), 0.45)
    assert math.isinf(distance_at(site, field, (15.0, 6.0)))


@pytest.mark.parametrize("goal", [(9.2, 3.0), (-1.0, 3.0), (math.nan, 3.0), (3.0, 0.2)])
def test_a_goal_without_room_is_refused(goal):
    with pytest.raises(SiteError, match="leaves no room"):
        geodesic_distance(hall((9.0, 0.0, 9.5, 5.0)), goal, 0.35)


def test_a_goal_on_the_rim_of_the_free_space_is_served():
    site = hall()
    goal = (0.36, 6.0)
    assert site.standable(goal, 0.35)
    assert distance_at(site, geodesic_distance(site, goal, 0.35), (10.36, 6.0)) == pytest.approx(10.0, rel=0.005)


def test_every_station_of_the_default_site_is_reached_from_every_cell_of_the_floor():
    site = resolve_site("default")
    for station in site.stations:
        field = geodesic_distance(site, (station.x, station.y), 0.35)
        assert (np.isfinite(field) == (site.clearance >= 0.35)).all()
