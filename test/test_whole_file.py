"""Files are written whole, and what could not be written is refused before anything is spent on it."""

from __future__ import annotations

import os

import pytest

from dyna_nav.whole_file import check_writable, make_folder, write_whole


def test_a_file_that_is_there_survives_a_write_that_fails(tmp_path):
    file = tmp_path / "figures.json"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "new \ud800")
    assert file.read_text() == "old"


def test_nothing_is_left_beside_a_written_file(tmp_path):
    write_whole(tmp_path / "figures.json", "new")
    check_writable(tmp_path / "figures.json")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_a_folder_a_missing_folder_and_one_that_takes_no_files_are_named(tmp_path):
    for file, says in ((tmp_path, "is a folder"), (tmp_path / "a" / "b", "no folder"), ("/proc/b", "takes no files")):
        with pytest.raises(OSError, match=says) as refusal:
            check_writable(file)
        assert str(refusal.value).startswith(f"{file} cannot be written: ")


def test_what_is_no_regular_file_is_not_replaced_by_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(OSError, match="cannot be written: it is no regular file"):
            check_writable(file)


def test_a_link_is_followed_and_stays(tmp_path):
    link, file = tmp_path / "latest.json", tmp_path / "figures.json"
    link.symlink_to(file.name)
    write_whole(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"


def test_a_folder_is_made_unless_a_file_is_there(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file cannot be made"):
        make_folder(tmp_path / "file")
