"""A model bundle: one folder with everything that was learned, checked before any of it is used.

    ensemble.onnx      the world model's ensemble (normalised units inside, see runtime.py)
    vae.onnx           the OOD detector's variational autoencoder
    calibration.json   scales of the outputs, of the uncertainty and of the OOD score
    manifest.json      format, version, parent version, sha256 of each file, names of the features of both networks,
                       training figures

The version is a hash of the contents, so two bundles with one version are the same model. Nothing in a bundle is
executed when it is read: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from dyna_nav.share import share_path
from dyna_nav.world_model.encoding import FEATURE_NAMES, OUTPUT_NAMES, OUTPUTS

FORMAT = 1
ENSEMBLE, VAE, CALIBRATION, MANIFEST = "ensemble.onnx", "vae.onnx", "calibration.json", "manifest.json"
FILES = (ENSEMBLE, VAE, CALIBRATION)


class BundleError(ValueError):
    """A bundle that must not be used: one sentence naming the file and what is wrong with it."""


@dataclass(frozen=True)
class OODCalibration:
    """When the OOD score means "novel" and when the robot may go on."""

    threshold: float  # reconstruction error above which one cycle is suspicious
    persistence: int  # so many suspicious cycles ...
    window: int  # ... among the last so many make the state novel


@dataclass(frozen=True)
class Calibration:
    """Scales between the networks' normalised units and SI units, and of the uncertainty; lists follow OUTPUT_NAMES."""

    output_offset: tuple[float, ...]  # mean of the training targets
    output_scale: tuple[float, ...]  # standard deviation of the training targets
    variance_scale: tuple[float, ...]  # factor on the predicted variance that makes it right on held-out sites
    epistemic_scale: float  # factor on the members' disagreement, see docs/model.md
    training_error: float  # mean squared one-step error of the motion on held-out sites, normalised units
    ood: OODCalibration


@dataclass(frozen=True)
class Bundle:
    """A bundle whose hashes were checked; the networks are held in memory exactly as they were hashed."""

    path: Path
    version: str
    parent: str | None
    calibration: Calibration
    manifest: dict = field(repr=False)
    members: int  # networks of the ensemble
    ensemble: bytes = field(repr=False)
    vae: bytes = field(repr=False)


def default_bundle() -> Path:
    """The folder of the bundle that ships with the package. Raises BundleError when it was not installed."""
    try:
        return share_path("models/default")
    except FileNotFoundError as error:
        raise BundleError(f"{error}; reinstall dyna_nav or run dyna-nav train") from None


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Read and check a bundle (None: the default one).

    Raises BundleError, one sentence with the file's name, for a folder or file that is missing, damaged, of another
    format or made for other features.
    """
    folder = default_bundle() if path is None else Path(path)
    if not folder.is_dir():
        raise BundleError(
            f"{folder}: no such folder; a model bundle is a folder with {MANIFEST} and {', '.join(FILES)}"
        )
    manifest = _read_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"{folder / MANIFEST}: format is {manifest.get('format')!r}, but {FORMAT} is needed; train a new bundle"
        )
    _check_names(folder, manifest, "features", FEATURE_NAMES)
    _check_names(folder, manifest, "outputs", OUTPUT_NAMES)
    _check_names(folder, manifest, "ood_features", _ood_feature_names())
    hashes = manifest.get("files")
    if not isinstance(hashes, dict):
        raise BundleError(f"{folder / MANIFEST}: files is {hashes!r}; it must map each file's name to its sha256")
    contents = {name: _read_checked(folder / name, hashes.get(name)) for name in FILES}
    version = content_version(hashes)
    if manifest.get("version") != version:
        raise BundleError(
            f"{folder / MANIFEST}: version is {manifest.get('version')!r}, but the files' hashes make it {version!r}"
        )
    calibration = _calibration(folder / CALIBRATION, contents[CALIBRATION])
    parent, members = manifest.get("parent"), _members(folder / MANIFEST, manifest)
    return Bundle(folder, version, parent, calibration, manifest, members, contents[ENSEMBLE], contents[VAE])


def write_bundle(
    folder: Path, ensemble: bytes, vae: bytes, calibration: dict, training: dict, parent: str | None, created: str
) -> Bundle:
    """Write a bundle so that a reader sees the old folder or the new one, never half of one; returns it re-read.

    calibration holds the fields of Calibration; training the figures for people (any JSON), with the number of networks
    under ensemble.members. Raises BundleError when what was written does not read back.
    """
    folder = Path(folder)
    contents = {ENSEMBLE: ensemble, VAE: vae, CALIBRATION: _json(calibration)}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = {
        "format": FORMAT,
        "version": content_version(hashes),
        "parent": parent,
        "created": created,
        "features": list(FEATURE_NAMES),
        "outputs": list(OUTPUT_NAMES),
        "ood_features": list(_ood_feature_names()),
        "files": hashes,
        "training": training,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        for name, content in {**contents, MANIFEST: _json(manifest)}.items():
            with open(fresh / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        load_bundle(fresh)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.rename(folder, old / folder.name)
            os.rename(fresh, folder)
            shutil.rmtree(old)
        else:
            os.rename(fresh, folder)
    finally:
        if fresh.exists():
            shutil.rmtree(fresh)
    return load_bundle(folder)


def content_version(hashes: dict[str, str]) -> str:
    """The version of a bundle whose files have these sha256 sums: 12 hexadecimal digits."""
    lines = "".join(f"{name} {hashes.get(name)}\n" for name in FILES)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def _json(content: dict) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{path}: file is missing from the model bundle") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: must hold a JSON object, holds a {type(content).__name__}")
    return content


def _read_checked(path: Path, expected: str | None) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path}: file is missing from the model bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise BundleError(
            f"{path}: sha256 is {found[:12]}..., the manifest says {str(expected)[:12]}...; it was damaged"
        )
    return content


def _check_names(folder: Path, manifest: dict, key: str, expected: tuple[str, ...]) -> None:
    found = manifest.get(key)
    if found != list(expected):
        count = len(found) if isinstance(found, list) else 0
        raise BundleError(
            f"{folder / MANIFEST}: {key} are not those of this dyna_nav ({count} found, {len(expected)} expected); "
            "train a new bundle"
        )


def _members(path: Path, manifest: dict) -> int:
    try:
        members = manifest["training"]["ensemble"]["members"]
    except (KeyError, TypeError):
        members = None
    if not isinstance(members, int) or members < 1:
        raise BundleError(f"{path}: training.ensemble.members is {members!r}; it must be the number of networks")
    return members


def _ood_feature_names() -> tuple[str, ...]:
    from dyna_nav.ood.features import FEATURE_NAMES as names  # not above: the detector reads its bundle from here

    return names


def _calibration(path: Path, content: bytes) -> Calibration:
    try:
        raw = json.loads(content)
        ood = raw["ood"]
        calibration = Calibration(
            output_offset=tuple(float(value) for value in raw["output_offset"]),
            output_scale=tuple(float(value) for value in raw["output_scale"]),
            variance_scale=tuple(float(value) for value in raw["variance_scale"]),
            epistemic_scale=float(raw["epistemic_scale"]),
            training_error=float(raw["training_error"]),
            ood=OODCalibration(float(ood["threshold"]), int(ood["persistence"]), int(ood["window"])),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{path}: a field is missing or not a number ({error!r})") from None
    lists = (calibration.output_offset, calibration.output_scale, calibration.variance_scale)
    if any(len(values) != OUTPUTS for values in lists):
        raise BundleError(f"{path}: output_offset, output_scale and variance_scale need {OUTPUTS} values each")
    positive = (
        *calibration.output_scale,
        *calibration.variance_scale,
        calibration.epistemic_scale,
        calibration.training_error,
        calibration.ood.threshold,
    )
    if not all(math.isfinite(value) and value > 0 for value in positive) or not all(
        math.isfinite(value) for value in calibration.output_offset
    ):
        raise BundleError(f"{path}: scales, training_error and threshold must be finite and positive")
    if not 1 <= calibration.ood.persistence <= calibration.ood.window:
        raise BundleError(f"{path}: ood.persistence must lie in 1..window")
    return calibration
