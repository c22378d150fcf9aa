"""The package as others install it: descriptions agree, files are found, tables match the declarations."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from dyna_nav import __version__
from dyna_nav.nodes.parameter_table import ALL, FILES, rows, with_table
from dyna_nav.share import share_path, share_roots

ROOT = Path(__file__).resolve().parent.parent


def test_the_versions_agree():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    setup = (ROOT / "setup.py").read_text()
    assert package.get("format") == "3"
    assert package.findtext("version") == __version__
    assert f'version="{__version__}"' in setup
    assert package.findtext("license") == "Apache-2.0"
    assert re.fullmatch(r"[\w.-]+@[\w.-]+\.\w+", package.find("maintainer").get("email"))


def test_every_entry_point_is_there():
    import importlib

    for module, function in re.findall(r'= (dyna_nav[\w.]+):(\w+)"', (ROOT / "setup.py").read_text()):
        assert callable(getattr(importlib.import_module(module), function))


def test_torch_is_no_dependency_of_the_robot_or_the_simulation():
    setup = (ROOT / "setup.py").read_text()
    robot, rest = setup.split("EXTRAS = {", 1)
    assert "torch" not in robot.split("ROBOT = [", 1)[1]
    assert "torch" not in re.search(r'"simulation": \[(.*?)\]', rest).group(1)


@pytest.mark.parametrize("name", ["launch/fleet.launch.py", "launch/robot.launch.py", "config/fleet.yaml"])
def test_shared_files_are_found(name):
    assert share_path(name).exists()


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"models/nothing is not among the files"):
        share_path("models/nothing")


def test_a_sourced_workspace_is_searched(monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/opt/a:/opt/b")
    assert Path("/opt/b/share/dyna_nav") in share_roots()


LIST_DATA_FILES = """
import json, runpy, setuptools
setuptools.setup = lambda **described: print(json.dumps(described["data_files"]))
runpy.run_path("setup.py")
"""


def test_files_are_found_where_pip_puts_them_for_one_user(monkeypatch, tmp_path):
    home = tmp_path / ".local"
    monkeypatch.setattr("dyna_nav.share.__file__", str(home / "lib/python3.12/site-packages/dyna_nav/share.py"))
    (home / "share/dyna_nav/models/default").mkdir(parents=True)
    assert share_path("models/default") == home / "share/dyna_nav/models/default"


def test_the_wheel_carries_models_config_and_launch_files():
    command = [sys.executable, "-c", LIST_DATA_FILES]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in ("launch/fleet.launch.py", "config/robot.yaml", "models/default/ensemble.onnx", "resource/dyna_nav"):
        assert name in listing


def test_every_ros_package_that_is_imported_is_a_dependency():
    sources = [*ROOT.glob("dyna_nav/**/*.py"), *ROOT.glob("launch/*.py")]
    imports = re.compile(
        r"^\s*(?:from|import) (rclpy|launch\w*|builtin_interfaces|\w+_interfaces|\w+_msgs|\w+_srvs)\b", re.M
    )
    imported = {name for source in sources for name in imports.findall(source.read_text(encoding="utf-8"))}
    described = {entry.text for entry in ElementTree.parse(ROOT / "package.xml").getroot().iter("exec_depend")}
    assert imported - described == set()


@pytest.mark.parametrize("name", FILES)
def test_the_parameter_tables_are_up_to_date(name):
    page = (ROOT / name).read_text(encoding="utf-8")
    assert with_table(page, FILES[name]) == page, "run python -m dyna_nav.nodes.parameter_table --write"


@pytest.mark.parametrize("name", ["fleet.yaml", "robot.yaml"])
def test_parameter_files_set_only_parameters_that_exist(name):
    for node, entry in yaml.safe_load((ROOT / "config" / name).read_text()).items():
        known = {
            row[0] for config_class, prefix in ALL[node] for row in rows(config_class(), prefix + "." if prefix else "")
        }
        assert set(_flat(entry["ros__parameters"])) <= known


def _flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_every_parameter_has_a_meaning():
    for parts in ALL.values():
        for config_class, prefix in parts:
            assert all(meaning for *_, meaning in rows(config_class(), prefix))
