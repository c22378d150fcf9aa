"""Stations: a file that a fleet cannot serve is refused; chosen ones are roomy, spread out and reachable."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dyna_nav.site import OccupancyMap, Site, SiteError, Station, load_site, resolve_site, save_map
from dyna_nav.site.fields import distance_at, geodesic_distance
from dyna_nav.site.station_choice import choose_stations, leaves_a_way
from dyna_nav.site.stations import RADIUS, check_stations

RESOLUTION = 0.05
DEPOT = Path(__file__).resolve().parents[2] / "shared" / "maps" / "depot.yaml"


def site_of(free: np.ndarray, unknown: np.ndarray | None = None) -> Site:
    cells = np.where(free, 0, 100).astype(np.int8)
    if unknown is not None:
        cells[unknown] = -1
    return Site.from_map("drawn", OccupancyMap(cells, RESOLUTION, (-3.0, 2.0)))


def rooms(size, *open_boxes) -> np.ndarray:
    """bool free [rows, cols]: boxes (x0, y0, x1, y1) [m] cut into the solid."""
    free = np.zeros((round(size[1] / RESOLUTION), round(size[0] / RESOLUTION)), bool)
    for box in open_boxes:
        x0, y0, x1, y1 = (round(edge / RESOLUTION) for edge in box)
        free[y0:y1, x0:x1] = True
    return free


def distances(site: Site) -> np.ndarray:
    """Geodesic distances [n, n] between the stations."""
    places = [(s.x, s.y) for s in site.stations]
    fields = [geodesic_distance(site, place, RADIUS) for place in places]
    return np.array([[distance_at(site, field, place) for place in places] for field in fields])


def with_chosen(site: Site) -> Site:
    return Site(site.name, site.map, site.clearance, choose_stations(site))


HALL = rooms((24.0, 14.0), (0.2, 0.2, 23.8, 13.8)) & ~rooms((24.0, 14.0), (6.0, 4.0, 10.0, 6.0), (13.0, 4.0, 17.0, 9.0))


def test_chosen_stations_are_roomy_spread_out_and_within_reach():
    site = with_chosen(site_of(HALL))
    between = distances(site)
    assert np.isfinite(between).all()
    assert between[~np.eye(len(between), dtype=bool)].min() >= 1.6
    assert all(site.standable((s.x, s.y), RADIUS + 0.3) for s in site.stations)
    assert 6 <= len(site.stations) <= 16
    assert sum(s.kind == "charger" for s in site.stations) == 2
    assert abs(sum(s.kind == "pick" for s in site.stations) - sum(s.kind == "rack" for s in site.stations)) <= 1
    check_stations(site.stations, site, RADIUS, "chosen")


@pytest.mark.skipif(not DEPOT.exists(), reason="the depot map is not on this machine")
def test_the_depot_gets_about_a_dozen_stations():
    site = load_site(DEPOT)
    assert 10 <= len(site.stations) <= 14
    assert np.isfinite(distances(site)).all()


def test_the_choice_is_the_same_every_time():
    assert choose_stations(site_of(HALL)) == choose_stations(site_of(HALL))


def test_stations_lie_in_the_largest_of_several_regions():
    free = rooms((30.0, 10.0), (0.5, 0.5, 8.0, 9.5), (8.5, 0.5, 29.5, 9.5))
    stations = choose_stations(site_of(free))
    assert len(stations) >= 6
    assert all(s.x > -3.0 + 8.5 for s in stations)


def test_no_station_closes_the_passage_between_two_rooms():
    free = rooms((24.0, 8.0), (0.5, 0.5, 8.0, 7.5), (8.0, 3.2, 16.0, 4.8), (16.0, 0.5, 23.5, 7.5))
    stations = choose_stations(site_of(free))
    assert not [s for s in stations if 8.0 < s.x + 3.0 < 16.0]
    assert {s.x + 3.0 < 8.0 for s in stations} == {True, False}


def test_whoever_stands_in_a_narrow_aisle_leaves_no_way():
    free = rooms((20.0, 8.0), (0.5, 3.2, 19.5, 4.8))
    site = site_of(free)
    rows, cols = site.map.cell_of(np.array([[7.0, 6.0]]))
    assert not leaves_a_way(site, rows, cols, RADIUS).any()
    wide = site_of(rooms((20.0, 8.0), (0.5, 2.5, 19.5, 5.5)))
    assert leaves_a_way(wide, rows, cols, RADIUS).all()


def test_a_corridor_gets_stations_all_the_same():
    stations = choose_stations(site_of(rooms((20.0, 4.0), (0.5, 1.4, 19.5, 2.6))))
    assert len(stations) >= 4


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_a_noisy_map_gets_stations_that_a_fleet_can_serve(seed):
    rng = np.random.default_rng(seed)
    boxes = [(x, y, x + rng.uniform(3, 9), y + rng.uniform(3, 6)) for x, y in rng.uniform((0, 0), (16, 9), (7, 2))]
    free = rooms((26.0, 16.0), *boxes)
    free &= rng.random(free.shape) > 0.001
    unknown = rng.random(free.shape) < 0.0005
    site = with_chosen(site_of(free, unknown))
    check_stations(site.stations, site, RADIUS, "chosen")
    assert len({s.name for s in site.stations}) == len(site.stations)


def test_a_map_without_room_for_two_is_refused():
    with pytest.raises(SiteError, match="no room for two robots"):
        choose_stations(site_of(rooms((4.0, 4.0), (1.0, 1.0, 1.8, 1.8))))
    with pytest.raises(SiteError, match="no room for two robots"):
        choose_stations(site_of(rooms((4.0, 4.0), (1.0, 1.0, 1.2, 3.0))))


def write_site(folder, stations) -> Path:
    pixels = np.where(HALL, 254, 0).astype(np.uint8)
    Image.fromarray(pixels[::-1]).save(folder / "hall.pgm")
    fields = {"image": "hall.pgm", "resolution": RESOLUTION, "origin": [0.0, 0.0, 0.0]}
    fields |= {"negate": 0, "occupied_thresh": 0.65, "free_thresh": 0.196}
    (folder / "hall.yaml").write_text(yaml.safe_dump(fields))
    if stations is not None:
        (folder / "hall.stations.yaml").write_text(yaml.safe_dump({"stations": stations}))
    return folder / "hall.yaml"


def entry(name="a", x=3.0, y=3.0, yaw=0.0, kind="pick") -> dict:
    return {"name": name, "x": x, "y": y, "yaw": yaw, "kind": kind}


def test_stations_beside_the_map_are_used(tmp_path):
    site = load_site(write_site(tmp_path, [entry(), entry("b", 20.0, 11.0, 1.5, "rack")]))
    assert site.stations == (Station("a", 3.0, 3.0, 0.0, "pick"), Station("b", 20.0, 11.0, 1.5, "rack"))


def test_a_stations_file_that_is_given_is_preferred(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"stations": [entry("c"), entry("d", 12.0, 11.0)]}))
    site = load_site(write_site(tmp_path, [entry(), entry("b", 20.0, 11.0)]), stations=other)
    assert [s.name for s in site.stations] == ["c", "d"]


@pytest.mark.parametrize(
    ("stations", "hint"),
    [
        ("none", "no list"),
        ([], "fewer than two"),
        ([entry()], "fewer than two"),
        ([entry(), entry("b", kind="charger")], "fewer than two"),
        ([entry(), 7], r"stations\[1\] is 7"),
        ([entry(), {"name": "b"}], r"stations\[1\].x is missing"),
        ([entry(), entry("", 20.0, 11.0)], r"stations\[1\].name is ''"),
        ([entry(), entry(5, 20.0, 11.0)], r"stations\[1\].name is 5"),
        ([entry(), entry("b", "left")], r"stations\[1\].x is 'left'"),
        ([entry(), entry("b", math.nan)], r"stations\[1\].x is nan"),
        ([entry(), entry("b", yaw=math.inf)], r"stations\[1\].yaw is inf"),
        ([entry(), entry("b", kind="shelf")], r"stations\[1\].kind is 'shelf'"),
        ([entry(), entry("a", 20.0, 11.0)], "'a' is given to two stations"),
        ([entry(), entry("b", 24.5, 3.0)], r"'b' at \(24.5, 3\) lies outside the map"),
        ([entry(), entry("b", 8.0, 5.0)], "'b' at .* clearance of 0.00 m"),
        ([entry(), entry("b", 0.4, 3.0)], "'b' at .* clearance of 0.2"),
        ([entry(str(k), 3.0 + 0.1 * k) for k in range(21)], "21 entries; at most 20"),
    ],
)
def test_a_station_that_a_fleet_cannot_serve_is_refused(tmp_path, stations, hint):
    with pytest.raises(SiteError, match=hint) as refusal:
        load_site(write_site(tmp_path, stations))
    assert str(tmp_path / "hall.stations.yaml") in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_station_out_of_reach_is_refused():
    site = site_of(rooms((20.0, 8.0), (0.5, 0.5, 9.0, 7.5), (10.0, 0.5, 19.5, 7.5)))
    stations = (Station("a", 0.0, 5.0, 0.0, "pick"), Station("b", 12.0, 5.0, 0.0, "rack"))
    with pytest.raises(SiteError, match="'b' cannot be reached from station 'a'"):
        check_stations(stations, site, RADIUS, "drawn")


def test_a_stations_file_that_is_given_and_missing_is_refused(tmp_path):
    with pytest.raises(SiteError, match="does not exist"):
        load_site(write_site(tmp_path, None), stations=tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["default", "random:11"])
def test_a_saved_site_is_read_back_the_same(tmp_path, name):
    site = resolve_site(name)
    again = resolve_site(save_map(site, tmp_path / "copy.yaml"))
    assert (again.map.cells == site.map.cells).all()
    assert again.map.origin == pytest.approx(site.map.origin)
    assert again.map.resolution == site.map.resolution
    assert again.stations == site.stations
