"""Files that appear whole or not at all, and of which is known beforehand that they can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def check_writable(file: str | Path) -> None:
    """Refuse a file that could not be written, before hours are spent on what it is to hold.

    The folder is really written to: permissions do not tell of a full or read-only file system.
    Raises OSError, one sentence naming the file.
    """
    file = Path(file)
    folder = file.absolute().parent
    if file.is_dir():
        raise IsADirectoryError(f"{file} cannot be written: it is a folder; give the name of a file")
    if file.exists() and not file.is_file():  # a device or a pipe would be replaced, not written to
        raise OSError(f"{file} cannot be written: it is no regular file; give the name of one")
    if not folder.is_dir():
        raise FileNotFoundError(f"{file} cannot be written: there is no folder {folder}; create it")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{file} cannot be written: {folder} takes no files ({error.strerror}); give another") from None


def make_folder(folder: str | Path) -> Path:
    """A folder that files can be written into, made where it is not there. Raises OSError, one sentence naming it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"folder {folder} cannot be made ({error.strerror}); give another") from None
    check_writable(folder / ".part")
    return folder


def write_whole(file: str | Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never half of one. Raises OSError."""
    file = Path(file).resolve()  # what a link names, not the link
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)
