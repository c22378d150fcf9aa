"""Warehouses from parameters: as large as promised, whole, and with room to pass at every station."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyna_nav.site import SiteError, resolve_site
from dyna_nav.site.station_choice import largest_region, leaves_a_way
from dyna_nav.site.stations import MOST, RADIUS, check_stations
from dyna_nav.site.warehouse import Box, Layout, draw, racks_of, random_warehouse


def test_the_default_warehouse_is_50_by_30_metres_with_picks_racks_and_chargers():
    site = resolve_site("default")
    assert site.name == "default"
    assert site.map.size == pytest.approx((50.0, 30.0))
    assert {s.kind for s in site.stations} == {"pick", "rack", "charger"}
    assert len(site.stations) <= MOST


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_random_warehouse_is_whole_and_its_stations_leave_a_way(seed):
    site = random_warehouse(seed)
    across, up = site.map.size
    assert 20.0 <= across <= 60.0
    assert 15.0 <= up <= 40.0
    assert len(site.stations) <= MOST
    check_stations(site.stations, site, RADIUS, "random")
    rows, cols = site.map.cell_of(np.array([(s.x, s.y) for s in site.stations]))
    assert leaves_a_way(site, rows, cols, RADIUS).all()
    # A robot with 15 cm to spare on either side still gets everywhere where it fits.
    room = site.clearance >= RADIUS + 0.15
    assert np.count_nonzero(largest_region(room)) == np.count_nonzero(room)


def test_the_same_seed_draws_the_same_warehouse_and_another_seed_another():
    one, same, other = random_warehouse(5), random_warehouse(5), random_warehouse(6)
    assert (one.map.cells == same.map.cells).all()
    assert one.stations == same.stations
    assert one.map.shape != other.map.shape or (one.map.cells != other.map.cells).any()


def test_every_aisle_lets_two_robots_pass():
    layout = Layout(breadth=40.0, aisle=2.2)
    rows = racks_of(layout)
    gaps = [above[0].v - below[0].v - layout.rack_depth for below, above in pairwise(rows)]
    assert min(gaps) >= 2.2 - 1e-9


def test_a_turned_box_covers_its_area():
    layout = Layout(length=10.0, breadth=10.0)
    empty = np.count_nonzero(draw(layout, []))
    cells = draw(layout, [Box(5.0, 5.0, 2.0, 1.0, 0.6)])
    assert (np.count_nonzero(cells) - empty) * layout.resolution**2 == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("name", ["random:", "random:-1", "random:x", "random:1.5"])
def test_a_seed_that_is_no_whole_number_is_refused(name):
    with pytest.raises(SiteError, match="seed"):
        resolve_site(name)


def test_an_unknown_site_is_refused():
    with pytest.raises(SiteError, match="nowhere"):
        resolve_site("nowhere")
