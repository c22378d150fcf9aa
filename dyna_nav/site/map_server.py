"""Read and write maps in the format of ROS ``map_server``: a YAML file beside a PGM or PNG picture.

The meaning of every pixel follows nav2_map_server (``map_io.cpp``), with two differences, both to the safe side, for
unknown space is never driven on:

- A site only knows free, occupied and unknown, so cells of the modes ``scale`` and ``raw`` that are neither clearly
  free nor clearly occupied become unknown.
- Every map_saver writes unknown cells in grey 205, and the one of Nav2 writes ``free_thresh: 0.25`` beside it, by which
  that grey (0.196 occupied) would come back as free: a robot would be sent where nobody has looked. In a trinary
  picture that holds nothing but map_saver's greys, 205 is unknown whatever the threshold.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numba import njit
from PIL import Image

from dyna_nav.site.occupancy import FREE, OCCUPIED, UNKNOWN, OccupancyMap, SiteError
from dyna_nav.site.yaml_file import number, read_yaml

MODES = ("trinary", "scale", "raw")
LARGEST = 100_000_000  # cells; above it a wrong resolution or a wrong picture is likelier than a real hall
FINEST, COARSEST = 0.001, 10.0  # edges of cells; beyond them the number is in another unit, or a slip [m]
_SQUARE = 0.1  # cells by which the far corner of a map may move so that it is turned by whole quarters
FARTHEST = 1e5  # of an origin from the map frame's: single precision holds a centimetre that far out [m]


@dataclass(frozen=True)
class MapDescription:
    """The fields of a map's YAML file, checked. origin: x [m], y [m], yaw [rad] of the picture's lower left corner."""

    image: Path
    resolution: float
    origin: tuple[float, float, float]
    negate: bool
    occupied_thresh: float
    free_thresh: float
    mode: str


def read_description(path: Path) -> MapDescription:
    """Read and check a map's YAML file. Raises SiteError, one sentence, for anything missing or out of range."""
    fields = read_yaml(path)
    if not isinstance(fields, dict):
        raise SiteError(
            f"{path}: holds no map description; a map_server file has fields image, resolution, origin, negate, "
            "occupied_thresh and free_thresh"
        )
    for field in ("image", "resolution", "origin", "negate", "occupied_thresh", "free_thresh"):
        if fields.get(field) is None:
            raise SiteError(f"{path}: field {field} is missing; add it as map_server's format asks")

    image = fields["image"]
    if not isinstance(image, str) or not image:
        raise SiteError(f"{path}: image is {image!r}; it must be the name of a pgm or png file")
    if not (path.parent / image).exists():
        raise SiteError(f"{path}: image is {image!r}, but {path.parent / image} does not exist; correct the name")
    hint = f"give the edge of a cell in metres, from {FINEST:g} to {COARSEST:g}"
    resolution = number(fields["resolution"], path, "resolution", hint)
    if not FINEST <= resolution <= COARSEST:
        raise SiteError(f"{path}: resolution is {resolution:g}; {hint}")
    origin = fields["origin"]
    if not isinstance(origin, (list, tuple)) or len(origin) != 3:
        raise SiteError(f"{path}: origin is {origin!r}; give three numbers: x [m], y [m], yaw [rad]")
    pose = tuple(number(entry, path, f"origin[{i}]", "give finite x [m], y [m], yaw [rad]")
                 for i, entry in enumerate(origin))  # fmt: skip
    if max(abs(pose[0]), abs(pose[1])) > FARTHEST:
        raise SiteError(
            f"{path}: origin is {origin!r}; x and y must lie within {FARTHEST:g} m of 0; give the map its own frame"
        )
    negate = fields["negate"]
    if negate not in (0, 1, False, True):
        raise SiteError(f"{path}: negate is {negate!r}; it must be 0 or 1")
    occupied = number(fields["occupied_thresh"], path, "occupied_thresh", "give a number between 0 and 1")
    free = number(fields["free_thresh"], path, "free_thresh", "give a number between 0 and 1")
    if not 0.0 <= free < occupied <= 1.0:
        raise SiteError(
            f"{path}: free_thresh is {free:g} and occupied_thresh is {occupied:g}; "
            "they must satisfy 0 <= free_thresh < occupied_thresh <= 1"
        )
    mode = fields.get("mode", "trinary")
    if mode not in MODES:
        raise SiteError(f"{path}: mode is {mode!r}; it must be one of {', '.join(MODES)}")
    return MapDescription(path.parent / image, resolution, pose, bool(negate), occupied, free, mode)


def read_pixels(path: Path) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Grey values of a picture, top row first: (sum over colour channels int32 [rows, cols], alpha or None, white).

    ``white`` is the sum of a white pixel; alpha is 0..255. Raises SiteError for a picture that cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.width * picture.height > LARGEST:
                    raise SiteError(
                        f"{path}: the picture has {picture.width} x {picture.height} cells, above "
                        f"{LARGEST // 10**6} million; use a coarser resolution"
                    )
                if picture.mode.startswith("I"):  # a PNG of 16 bits, or a PGM whose maximum is above 255
                    return np.clip(np.asarray(picture), 0, 65535).astype(np.int32), None, 65535
                if "transparency" in picture.info:
                    picture = picture.convert("RGBA")
                elif picture.mode not in ("L", "LA", "RGB", "RGBA"):
                    picture = picture.convert("RGB")
                pixels = np.asarray(picture)
    except SiteError:
        raise
    except Image.DecompressionBombError:
        raise SiteError(
            f"{path}: the picture has more than {LARGEST // 10**6} million cells; use a coarser resolution"
        ) from None
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow's decoders raise
        raise SiteError(f"{path}: the map's picture cannot be read ({error}); save it again as pgm or png") from None
    if pixels.ndim == 2:
        return pixels.astype(np.int32), None, 255
    colours = 3 if pixels.shape[2] >= 3 else 1
    alpha = pixels[..., colours] if pixels.shape[2] > colours else None
    grey = pixels[..., 0].astype(np.int32)
    for colour in range(1, colours):
        grey += pixels[..., colour]
    return grey, alpha, 255 * colours


def classify(shade_sum: np.ndarray, alpha: np.ndarray | None, white: int, map_: MapDescription) -> np.ndarray:
    """Cells int8 (0, 100, -1) from the pixels of :func:`read_pixels`, by the rules of nav2_map_server."""
    if map_.mode == "trinary" and alpha is not None:
        # map_server averages the alpha channel in with the colours, here as one more channel in which opaque is bright.
        channels = white // 255
        # A grey picture counts as three equal channels there, so alpha weighs a quarter in both cases.
        shade_sum, white = shade_sum * (3 // channels) + alpha, 4 * 255
    shade = np.arange(white + 1) / white
    if map_.mode == "raw":
        percent = np.rint(shade * 255.0)
        occupied = (percent > 100.0 * map_.occupied_thresh) & (percent <= 100.0)
        free = percent < 100.0 * map_.free_thresh
        free |= percent == 0.0
    else:
        occupancy = shade if map_.negate else 1.0 - shade
        occupied = occupancy > map_.occupied_thresh
        free = occupancy < map_.free_thresh
    table = np.full(white + 1, UNKNOWN, np.int8)
    table[free] = FREE
    table[occupied] = OCCUPIED
    if map_.mode == "trinary" and not map_.negate and alpha is None and _written_by_map_saver(shade_sum, white):
        table[white * 205 // 255] = UNKNOWN
    cells = table[shade_sum]
    if map_.mode == "scale" and alpha is not None:
        cells[alpha != 255] = UNKNOWN
    return cells


def _written_by_map_saver(shade_sum: np.ndarray, white: int) -> bool:
    """Whether a picture holds no greys but those of map_saver in trinary mode: 0, 205 and 254 (255: touched up)."""
    if white % 255:
        return False
    greys = np.flatnonzero(np.bincount(shade_sum.ravel(), minlength=white + 1))
    return bool(np.isin(greys, np.array([0, 205, 254, 255]) * (white // 255)).all())


@njit(cache=True, nogil=True)
def _turned(cells, cosine, sine, left, bottom, rows, cols):  # pragma: no cover
    """Resample cells, turned about their lower left corner, onto [rows, cols] whose corner is (left, bottom) in cells.

    Two unit squares turned against each other overlap exactly when their shadows overlap on all four edge normals;
    a target cell takes the worst of what it overlaps: occupied, then unknown, then free.
    """
    height, width = cells.shape
    half = 0.5 + 0.5 * (abs(cosine) + abs(sine)) - 1e-6  # squares that only touch do not overlap
    result = np.empty((rows, cols), np.int8)
    for row in range(rows):
        for col in range(cols):
            x, y = left + col + 0.5, bottom + row + 0.5
            u, v = cosine * x + sine * y, cosine * y - sine * x
            below, beside = math.floor(v) - 1, math.floor(u) - 1
            worst = 0
            for j in range(below, below + 3):
                for i in range(beside, beside + 3):
                    value = cells[j, i] if 0 <= j < height and 0 <= i < width else -1
                    if value == worst or worst == 100 or value == 0:
                        continue
                    du, dv = abs(i + 0.5 - u), abs(j + 0.5 - v)
                    dx = abs(cosine * (i + 0.5 - u) - sine * (j + 0.5 - v))
                    dy = abs(sine * (i + 0.5 - u) + cosine * (j + 0.5 - v))
                    if max(max(du, dv), max(dx, dy)) < half:
                        worst = value
            result[row, col] = worst
    return result


def axis_aligned(cells: np.ndarray, resolution: float, origin: tuple[float, float, float]) -> OccupancyMap:
    """An axis-aligned map from cells [rows, cols] (row 0 lowest) whose lower left corner has the pose origin.

    Where a cell of the result overlaps several, occupied beats unknown beats free; outside is unknown.
    """
    x, y, yaw = origin
    quarters = round(yaw / (0.5 * math.pi))
    square = abs(yaw - quarters * 0.5 * math.pi) * max(cells.shape) < _SQUARE
    if square:
        yaw = quarters * 0.5 * math.pi
    cosine, sine = math.cos(yaw), math.sin(yaw)
    rows, cols = cells.shape
    turn = np.array([[cosine, sine], [-sine, cosine]])
    corners = np.array([(0.0, 0.0), (cols, 0.0), (0.0, rows), (cols, rows)]) @ turn
    left, bottom = np.round(corners.min(axis=0)) if square else corners.min(axis=0)
    if square:  # nothing is resampled, and no wall grows
        turned = np.ascontiguousarray(np.rot90(cells, -quarters))
        return OccupancyMap(turned, resolution, (x + left * resolution, y + bottom * resolution))
    across, up = np.ceil(corners.max(axis=0) - (left, bottom) - 1e-6).astype(int)
    turned = _turned(np.ascontiguousarray(cells), cosine, sine, left, bottom, up, across)
    return OccupancyMap(turned, resolution, (x + left * resolution, y + bottom * resolution))


def read_map(path: str | Path) -> OccupancyMap:
    """Read a map_server map. path: its YAML file. Raises SiteError, one sentence, for all that is wrong."""
    path = Path(path)
    description = read_description(path)
    cells = classify(*read_pixels(description.image), description)
    grid = axis_aligned(cells[::-1], description.resolution, description.origin)
    if not grid.free.any():
        raise SiteError(
            f"{path}: the map has no free space; check negate, mode and the thresholds against the picture "
            f"{description.image.name}"
        )
    return grid


def save_map(site: Any, path: str | Path) -> Path:
    """Write a site as map_server files: ``path`` (.yaml), the picture and ``<stem>.stations.yaml`` beside it.

    Returns the YAML file's path; :func:`dyna_nav.site.load_site` reads the same site back.
    """
    path = Path(path).with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    grid: OccupancyMap = site.map
    pixels = np.full(grid.shape, 205, np.uint8)
    pixels[grid.cells == FREE] = 254
    pixels[grid.cells == OCCUPIED] = 0
    Image.fromarray(pixels[::-1]).save(path.with_suffix(".pgm"))
    description = {
        "image": path.with_suffix(".pgm").name,
        "mode": "trinary",
        "resolution": grid.resolution,
        "origin": [*grid.origin, 0.0],
        "negate": 0,
        "occupied_thresh": 0.65,
        "free_thresh": 0.196,  # just below the grey 205 of unknown cells
    }
    path.write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    stations = [{"name": s.name, "x": s.x, "y": s.y, "yaw": s.yaw, "kind": s.kind} for s in site.stations]
    beside = path.with_name(path.stem + ".stations.yaml")
    beside.write_text(yaml.safe_dump({"stations": stations}, sort_keys=False), encoding="utf-8")
    return path
