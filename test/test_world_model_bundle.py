"""A bundle that is incomplete, damaged or foreign is refused in one sentence that names the file."""

import json
import shutil

import pytest

from dyna_nav.world_model.bundle import CALIBRATION, ENSEMBLE, MANIFEST, BundleError, default_bundle, load_bundle
from dyna_nav.world_model.report import _weak_families


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(default_bundle(), tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def refusal(folder):
    with pytest.raises(BundleError) as error:
        load_bundle(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_default_bundle_loads():
    bundle = load_bundle()
    assert bundle.version == bundle.manifest["version"]
    assert bundle.calibration.training_error > 0


def test_a_missing_folder_is_named(tmp_path):
    assert str(tmp_path / "none") in refusal(tmp_path / "none")


@pytest.mark.parametrize("name", [ENSEMBLE, CALIBRATION, MANIFEST])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert str(folder / name) in refusal(folder)


@pytest.mark.parametrize("name", [ENSEMBLE, CALIBRATION])
def test_a_flipped_bit_is_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    message = refusal(folder)
    assert str(folder / name) in message
    assert "sha256" in message


def test_another_format_is_refused(folder):
    edit(folder / MANIFEST, format=99)
    assert "format is 99" in refusal(folder)


def test_other_features_are_refused(folder):
    edit(folder / MANIFEST, features=["speed"])
    assert "features" in refusal(folder)


def test_other_features_of_the_detector_are_refused(folder):
    names = json.loads((folder / MANIFEST).read_text())["ood_features"]
    edit(folder / MANIFEST, ood_features=names[:-1])
    message = refusal(folder)
    assert f"ood_features are not those of this dyna_nav ({len(names) - 1} found, {len(names)} expected)" in message
    assert str(folder / MANIFEST) in message


def test_a_manifest_that_does_not_count_the_networks_is_refused(folder):
    edit(folder / MANIFEST, training={})
    assert "training.ensemble.members is None" in refusal(folder)


def test_a_forged_version_is_refused(folder):
    edit(folder / MANIFEST, version="0" * 12)
    assert "version" in refusal(folder)


def test_a_manifest_that_is_no_json_is_refused(folder):
    (folder / MANIFEST).write_text("{")
    assert "JSON" in refusal(folder)


def test_the_page_names_the_novel_states_of_which_less_is_seen():
    families = {"lifted": {"recall": 0.95}, "pushed": {"recall": 0.82}, "all": {"recall": 0.89}}
    assert _weak_families(families) == "\nLess than the 90% asked of all together is seen of: pushed.\n"
    assert _weak_families({"lifted": {"recall": 0.9}}) == ""
