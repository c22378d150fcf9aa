"""Compiled kernels follow a change of whatever they are made from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dyna_nav.compiled import _KEPT, keep_compiled

CALLER = """
from numba import njit
from shop.prices import price
@njit(cache=True)
def bill(count):
    return count * price()
"""
CALLED = """
from numba import njit
@njit(cache=True)
def price():
    return {price}
"""


@pytest.fixture
def shop(tmp_path):
    """A package whose kernel calls one of another file; returns a function that sets the price and asks for a bill."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bills.py").write_text(CALLER)

    def bill(price: int) -> list[str]:
        (package / "prices.py").write_text(CALLED.format(price=price))
        ask = (
            "from pathlib import Path; from dyna_nav.compiled import keep_compiled; "
            f"keep_compiled(Path({str(package)!r})); from shop.bills import bill; "
            "print(bill(2), sum(bill.stats.cache_hits.values()))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
        environment.pop("NUMBA_CACHE_DIR", None)
        run = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
        return run.stdout.split()

    return bill


def test_a_kernel_is_compiled_again_when_one_that_it_calls_has_changed_and_only_then(shop):
    assert shop(3) == ["6", "0"]  # bill, and how often it came from the cache
    assert shop(3) == ["6", "1"]
    assert shop(5) == ["10", "0"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one file, and no folder named in the environment."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "prices.py").write_text("PRICE = 3\n")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "shop"


def test_a_folder_that_somebody_else_names_is_left_alone(package, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/theirs")
    keep_compiled(package)
    assert os.environ["NUMBA_CACHE_DIR"] == "/theirs"
    assert not (package / "__pycache__").exists()


def test_where_the_sources_may_not_be_written_the_cache_of_the_user_is_taken(package, tmp_path):
    (package / "__pycache__").touch()  # no folder can be made in it
    keep_compiled(package)
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == tmp_path / "cache" / "shop"


def test_folders_of_old_sources_go_the_longest_unused_first(package):
    for price in range(_KEPT + 3):
        (package / "prices.py").write_text(f"PRICE = {price}\n")
        keep_compiled(package)
        os.utime(os.environ["NUMBA_CACHE_DIR"], (price, price))
    keep_compiled(package)
    kept = {folder.stat().st_mtime for folder in (package / "__pycache__").iterdir()}
    assert len(kept) == _KEPT + 1
    assert min(kept) >= 2
