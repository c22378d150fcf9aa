"""Maps: what every pixel means, where every cell lies, and that every bad file is refused in one clear sentence."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from dyna_nav.site import OccupancyMap, Site, SiteError, load_site
from dyna_nav.site.map_server import MapDescription, axis_aligned, classify, read_map
from dyna_nav.site.occupancy import clearance_of

GOOD = {
    "image": "map.pgm",
    "resolution": 0.1,
    "origin": [1.0, -2.0, 0.0],
    "negate": 0,
    "occupied_thresh": 0.65,
    "free_thresh": 0.196,
}


def write_map(folder: Path, pixels: np.ndarray | None = None, **changes) -> Path:
    """A map in a folder; ``field=None`` leaves a field out."""
    pixels = np.full((40, 60), 254, np.uint8) if pixels is None else pixels
    fields = {field: value for field, value in {**GOOD, **changes}.items() if value is not None}
    image = folder / str(fields.get("image", "map.pgm"))
    if image.suffix in (".pgm", ".png") and image.parent.is_dir():
        Image.fromarray(pixels).save(image)
    path = folder / "map.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


def expected_cell(pixel, matte, fields: MapDescription) -> int:
    """One cell by the rules of nav2_map_server (map_io.cpp) for r, g, b, alpha in 0..255; what is between is -1."""
    red, green, blue, alpha = (float(channel) for channel in pixel)
    channels = [red, green, blue] + ([alpha] if fields.mode == "trinary" and matte else [])
    shade = sum(channels) / len(channels) / 255.0
    occupancy = shade if fields.negate else 1.0 - shade
    if fields.mode == "raw":
        percent = round(shade * 255.0)
        if percent > 100:
            return -1
        return 100 if percent > 100 * fields.occupied_thresh else 0 if percent < 100 * fields.free_thresh else -1
    if fields.mode == "scale" and matte and alpha != 255:
        return -1
    return 100 if occupancy > fields.occupied_thresh else 0 if occupancy < fields.free_thresh else -1


@settings(max_examples=150)
@given(
    pixels=arrays(np.uint8, (3, 4, 4)),
    thresholds=st.tuples(st.floats(0.011, 0.501), st.floats(0.511, 0.989)),
    negate=st.booleans(),
    mode=st.sampled_from(["trinary", "scale", "raw"]),
    matte=st.booleans(),
)
def test_every_pixel_means_what_map_server_says(pixels, thresholds, negate, mode, matte):
    pixels[0, 0, :3] = 17  # not a grey of map_saver
    fields = MapDescription(Path("m.pgm"), 0.05, (0.0, 0.0, 0.0), negate, thresholds[1], thresholds[0], mode)
    colours = pixels[..., :3].sum(axis=2, dtype=np.int32)
    cells = classify(colours, pixels[..., 3] if matte else None, 765, fields)
    for index in np.ndindex(3, 4):
        assert cells[index] == expected_cell(pixels[index], matte, fields)


def test_scale_mode_keeps_only_what_is_clearly_free(tmp_path):
    pixels = np.full((20, 20), 255, np.uint8)
    pixels[0, :3] = (0, 128, 190)
    grid = read_map(write_map(tmp_path, pixels, mode="scale"))
    assert grid.cells[-1, :4].tolist() == [100, -1, -1, 0]


def test_transparent_pixels_of_a_scale_map_are_unknown(tmp_path):
    pixels = np.full((20, 20, 4), 255, np.uint8)
    pixels[3, 5, 3] = 0
    grid = read_map(write_map(tmp_path, pixels, mode="scale", image="map.png"))
    assert np.argwhere(grid.cells == -1).tolist() == [[16, 5]]


@pytest.mark.parametrize("free_thresh", [0.196, 0.25])
def test_the_unknown_grey_of_map_saver_is_never_free(tmp_path, free_thresh):
    pixels = np.full((20, 20), 254, np.uint8)
    pixels[:5] = 205
    pixels[5] = 0
    grid = read_map(write_map(tmp_path, pixels, free_thresh=free_thresh))
    assert (grid.cells[-5:] == -1).all()
    assert (grid.cells[:14] == 0).all()


def test_other_greys_obey_the_threshold(tmp_path):
    pixels = np.full((20, 20), 254, np.uint8)
    pixels[0, 0], pixels[0, 1] = 205, 210
    grid = read_map(write_map(tmp_path, pixels, free_thresh=0.25))
    assert grid.cells[-1, :2].tolist() == [0, 0]


def test_negate_swaps_black_and_white(tmp_path):
    pixels = np.zeros((20, 20), np.uint8)
    pixels[0, 0] = 255
    grid = read_map(write_map(tmp_path, pixels, negate=1))
    assert grid.cells[-1, 0] == 100
    assert np.count_nonzero(grid.free) == 399


def test_the_same_map_as_p5_p2_png_and_colour_is_the_same(tmp_path):
    rng = np.random.default_rng(4)
    pixels = rng.choice(np.array([0, 205, 254], np.uint8), (13, 17))
    expected = read_map(write_map(tmp_path, pixels)).cells
    plain = "P2\n# by hand\n17 13\n255\n" + "\n".join(" ".join(map(str, row)) for row in pixels.tolist()) + "\n"
    (tmp_path / "map.pgm").write_text(plain)
    assert (read_map(tmp_path / "map.yaml").cells == expected).all()
    assert (read_map(write_map(tmp_path, pixels, image="map.png")).cells == expected).all()
    colour = np.repeat(pixels[..., None], 3, axis=2)
    assert (read_map(write_map(tmp_path, colour, image="map.png")).cells == expected).all()
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "map.png")
    assert (read_map(tmp_path / "map.yaml").cells == expected).all()


def test_the_picture_is_found_beside_the_yaml_file(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    path = write_map(tmp_path, image="pictures/hall.png")
    monkeypatch.chdir("/")
    assert read_map(path).shape == (40, 60)


def test_the_top_row_of_the_picture_has_the_highest_y(tmp_path):
    pixels = np.full((40, 60), 254, np.uint8)
    pixels[0, 7] = 0
    grid = read_map(write_map(tmp_path, pixels))
    ((row, col),) = np.argwhere(grid.cells == 100)
    assert grid.position_of(row, col).tolist() == pytest.approx([1.0 + 0.75, -2.0 + 3.95])


@settings(max_examples=60)
@given(
    cells=arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 100, -1])),
    yaw=st.floats(-7.0, 7.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_turned_map_never_makes_free_what_was_not(cells, yaw, seed):
    resolution, x, y = 0.1, 3.0, -4.0
    grid = axis_aligned(cells, resolution, (x, y, yaw))
    points = np.random.default_rng(seed).random((400, 2)) * np.array(cells.shape[::-1])  # in cells of the source
    source = cells[points[:, 1].astype(int), points[:, 0].astype(int)]
    turn = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
    row, col = grid.cell_of(points @ turn * resolution + (x, y))
    clear = (np.abs(points - np.round(points)) > 1e-3).all(axis=1)
    inside = clear & (row >= 0) & (row < grid.shape[0]) & (col >= 0) & (col < grid.shape[1])
    target = grid.cells[row[inside], col[inside]]
    assert (target[source[inside] == 100] == 100).all()
    assert (target[source[inside] == -1] != 0).all()


@pytest.mark.parametrize("quarters", [-3, -2, -1, 1, 2, 3])
def test_quarter_turns_are_exact(quarters):
    cells = np.random.default_rng(1).choice(np.array([0, 100, -1], np.int8), (5, 8))
    grid = axis_aligned(cells, 0.05, (1.0, 2.0, quarters * math.pi / 2.0))
    # Row 0 is the lowest, so numpy's counter-clockwise is the map's clockwise.
    assert (grid.cells == np.rot90(cells, -quarters)).all()


@pytest.mark.parametrize(("yaw", "quarters"), [(1.5708, 1), (3.1416, 2), (-1.5708, -1), (1e-5, 0), (4.7124, 3)])
def test_no_wall_grows_when_a_right_angle_is_written_with_four_decimals(yaw, quarters):
    cells = np.zeros((400, 300), np.int8)
    cells[:, [0, 150, -1]] = 100
    grid = axis_aligned(cells, 0.05, (1.0, 2.0, yaw))
    exact = axis_aligned(cells, 0.05, (1.0, 2.0, quarters * math.pi / 2.0))
    assert (grid.cells == np.rot90(cells, -quarters)).all()
    assert grid.origin == pytest.approx(exact.origin)


def test_an_angle_that_is_nearly_right_is_taken_as_it_is():
    cells = np.zeros((400, 300), np.int8)
    cells[:, 150] = 100
    assert (axis_aligned(cells, 0.05, (0.0, 0.0, 1.56)).cells == 100).sum() > 400


def test_a_turned_map_lies_where_its_origin_says(tmp_path):
    pixels = np.full((10, 20), 254, np.uint8)
    pixels[9, 19] = 0  # the lower right corner of the picture
    grid = read_map(write_map(tmp_path, pixels, origin=[5.0, 5.0, math.pi / 2], resolution=1.0))
    ((row, col),) = np.argwhere(grid.cells == 100)
    assert grid.position_of(row, col).tolist() == pytest.approx([4.5, 24.5])


def test_a_map_that_is_mostly_margin_is_read_without_it_and_lies_where_it_lay(tmp_path):
    pixels = np.full((400, 300), 205, np.uint8)
    pixels[101:199, 51:149] = 254
    for edge in (np.s_[100:200:99, 50:150], np.s_[100:200, 50:150:99]):
        pixels[edge] = 0
    site, whole = load_site(write_map(tmp_path, pixels)), read_map(tmp_path / "map.yaml")
    assert site.map.shape == (118, 118)  # a metre of margin at 0.1 m
    free = [grid.position_of(*np.nonzero(grid.free)) for grid in (site.map, whole)]
    assert free[0] == pytest.approx(free[1])
    assert site.clearance.max() == Site.from_map("whole", whole).clearance.max()


def test_a_speck_of_floor_far_away_keeps_no_margin():
    cells = np.full((400, 400), -1, np.int8)
    cells[10:70, 10:70] = cells[80:120, 20:60] = 0  # two rooms
    cells[350:353, 390] = 0
    grid = OccupancyMap(cells, 0.1, (0.0, 0.0)).without_margins()
    assert grid.shape == (130, 80)
    assert grid.free.sum() == 60 * 60 + 40 * 40


def test_a_map_that_is_mostly_floor_and_one_without_any_are_as_they_are():
    grid = OccupancyMap(np.pad(np.zeros((40, 40), np.int8), 5, constant_values=-1), 0.1, (0.0, 0.0))
    nothing = OccupancyMap(np.full((40, 40), -1, np.int8), 0.1, (0.0, 0.0))
    assert grid.without_margins() is grid
    assert nothing.without_margins() is nothing


BAD_FIELDS = [
    ("image", None, "missing"),
    ("image", 7, "name of a pgm or png"),
    ("image", "nowhere.bmp", "does not exist"),
    ("resolution", None, "missing"),
    ("resolution", 0, "from 0.001 to 10"),
    ("resolution", -0.05, "from 0.001 to 10"),
    ("resolution", 1e-6, "from 0.001 to 10"),
    ("resolution", 1e300, "from 0.001 to 10"),
    ("origin", [1e9, 0, 0], "within 100000 m"),
    ("origin", [0, -1e300, 0], "within 100000 m"),
    ("resolution", "fine", "not a number"),
    ("resolution", True, "not a number"),
    ("resolution", [0.05], "not a number"),
    ("resolution", math.nan, "nan"),
    ("origin", None, "missing"),
    ("origin", [0.0, 0.0], "three numbers"),
    ("origin", "here", "three numbers"),
    ("origin", [0.0, math.inf, 0.0], "origin[1] is inf"),
    ("origin", [0.0, 0.0, "north"], "origin[2] is 'north'"),
    ("negate", 2, "0 or 1"),
    ("negate", "perhaps", "0 or 1"),
    ("occupied_thresh", None, "missing"),
    ("occupied_thresh", 0.1, "free_thresh < occupied_thresh"),
    ("occupied_thresh", 1.5, "<= 1"),
    ("free_thresh", -0.1, "0 <= free_thresh"),
    ("free_thresh", math.nan, "nan"),
    ("mode", "binary", "trinary, scale, raw"),
]


@pytest.mark.parametrize(("field", "value", "hint"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_file_field_and_hint(tmp_path, field, value, hint):
    path = write_map(tmp_path, **{field: value})
    with pytest.raises(SiteError) as refusal:
        load_site(path)
    message = str(refusal.value)
    assert str(tmp_path) in message
    assert field in message
    assert hint in message
    assert "\n" not in message


BAD_FILES = [
    ("map.yaml", b"image: [", "line 1"),
    ("map.yaml", b"\xff\xfe\x00\x01", "not"),
    ("map.yaml", b"", "no map description"),
    ("map.yaml", b"- a\n- b\n", "no map description"),
    ("map.yaml", b"!!python/object:os.system {}", "not valid YAML"),
    ("map.yaml", b"image: 2024-13-45\n", "not valid YAML"),
    ("map.yaml", b"[" * 5000, "not valid YAML"),
    ("map.pgm", b"", "cannot be read"),
    ("map.pgm", b"P5\n0 0\n255\n", "cannot be read"),
    ("map.pgm", b"P5\n40 40\n255\n\x00\x00", "cannot be read"),
    ("map.pgm", b"P2\n4 4\n255\n1 2 x", "cannot be read"),
    ("map.pgm", b"not a picture", "cannot be read"),
    ("map.pgm", b"P5\n99999 99999\n255\n\x00", "coarser resolution"),
]


@pytest.mark.parametrize(("name", "content", "hint"), BAD_FILES)
def test_a_broken_file_is_refused_by_name(tmp_path, name, content, hint):
    path = write_map(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SiteError, match=hint) as refusal:
        load_site(path)
    assert str(tmp_path / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@settings(max_examples=80)
@given(content=st.binary(max_size=200), name=st.sampled_from(["map.yaml", "map.pgm"]))
def test_no_file_content_raises_anything_but_site_error(tmp_path_factory, content, name):
    path = write_map(tmp_path_factory.mktemp("map"))
    (path.parent / name).write_bytes(content)
    with pytest.raises(SiteError):
        load_site(path)


def test_a_missing_map_and_a_folder_are_refused(tmp_path):
    with pytest.raises(SiteError, match="does not exist"):
        load_site(tmp_path / "none.yaml")
    with pytest.raises(SiteError, match="cannot be read"):
        load_site(tmp_path)


def test_a_map_without_free_space_is_refused(tmp_path):
    with pytest.raises(SiteError, match="no free space"):
        load_site(write_map(tmp_path, np.zeros((9, 9), np.uint8)))


@given(
    x=st.floats(-100, 100), y=st.floats(-100, 100), resolution=st.floats(0.01, 1.0),
    row=st.integers(-50, 50), col=st.integers(-50, 50),
)  # fmt: skip
def test_cell_of_inverts_position_of(x, y, resolution, row, col):
    grid = OccupancyMap(np.zeros((3, 3), np.int8), resolution, (x, y))
    assert grid.cell_of(grid.position_of(row, col)) == (row, col)


def test_points_that_are_not_finite_lie_off_the_map():
    grid = OccupancyMap(np.zeros((3, 3), np.int8), 1.0, (0.0, 0.0))
    points = np.array([[math.nan, 1.0], [1.0, math.inf], [-math.inf, math.nan], [1e300, 1.0], [1.5, 1.5]])
    assert grid.contains(points).tolist() == [False, False, False, False, True]


@settings(max_examples=150)
@given(cells=arrays(np.int8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 100, -1])))
def test_clearance_is_the_distance_to_the_nearest_square_that_is_not_free(cells):
    clearance = clearance_of(OccupancyMap(cells, 0.2, (0.0, 0.0)))
    blocked = np.argwhere(np.pad(cells != 0, 1, constant_values=True)) - 1
    for row, col in np.ndindex(cells.shape):
        gap = np.maximum(np.abs(blocked - (row, col)) - 0.5, 0.0)
        assert clearance[row, col] == pytest.approx(0.2 * np.hypot(*gap.T).min(), abs=1e-6)


def test_clearance_between_cells_is_interpolated_and_nothing_off_the_map():
    site = Site.from_map("empty", OccupancyMap(np.zeros((40, 40), np.int8), 0.1, (10.0, 20.0)))
    assert site.clearance_at((11.0, 22.0)) == pytest.approx(1.0)
    assert site.clearance_at((11.03, 22.0)) == pytest.approx(1.03)
    assert site.clearance_at([(9.9, 22.0), (math.nan, 22.0), (12.0, 24.01)]).tolist() == [0.0, 0.0, 0.0]
    assert site.standable((11.0, 22.0), 0.99)
    assert not site.standable((11.0, 22.0), 1.01)
    assert not site.standable((math.nan, 22.0), 0.1)
