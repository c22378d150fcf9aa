"""Strict reading of configuration dataclasses from YAML: what is unknown, mistyped or out of range is named."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

Config = TypeVar("Config")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def read_config(cls: type[Config], content: Any, path: str | Path, where: str = "") -> Config:
    """A frozen dataclass from a YAML mapping; keys that are not given keep their defaults, if they have one.

    where: the mapping's place in the file, for errors ("" for the file itself). Fields may be int, float, bool, str,
    dataclasses, tuples of one of those, and unions of those; ``not_in_file`` in a field's metadata keeps it out. Raises
    ValueError, one sentence with file, field and value, for an unknown or missing key, a wrong type or a value out of
    range.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{path}: {where or 'the file'} is {_shown(content)}; it must hold fields as in 'key: value'")
    fields = {field.name: field for field in dataclasses.fields(cls) if not field.metadata.get("not_in_file")}
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in content.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in fields:
            raise ValueError(f"{path}: {name} is no known field; known are {', '.join(fields)}")
        values[key] = _read(hints[key], value, path, name)
        _check_range(fields[key], values[key], path, name)
    missing = [name for name, field in fields.items() if name not in values and _required(field)]
    if missing:
        raise ValueError(f"{path}: {where or 'the file'} has no {missing[0]}; give {' and '.join(missing)}")
    return cls(**values)


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read(hint: Any, value: Any, path: str | Path, name: str) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _read(_member(typing.get_args(hint), value), value, path, name)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{path}: {name} is {_shown(value)}; it must be a list")
        item = typing.get_args(hint)[0]
        return tuple(_read(item, entry, path, f"{name}[{k}]") for k, entry in enumerate(value))
    if dataclasses.is_dataclass(hint):
        return read_config(hint, value, path, name)
    if hint is type(None):
        return None
    good = isinstance(value, hint) or (hint is float and isinstance(value, int))
    if not good or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{path}: {name} is {_shown(value)}; it must be {_WORDS[hint]}")
    try:
        return hint(value)
    except OverflowError:  # a whole number that no float holds
        raise ValueError(f"{path}: {name} is {_shown(value)}; it must be a finite number") from None


def _member(hints: tuple, value: Any) -> Any:
    """The member of a union that a value is meant for: a dataclass for a mapping, None for nothing."""
    if value is None and type(None) in hints:
        return type(None)
    nested = [hint for hint in hints if dataclasses.is_dataclass(hint)]
    plain = [hint for hint in hints if hint is not type(None) and hint not in nested]
    return nested[0] if nested and (isinstance(value, dict) or not plain) else plain[0]


def _check_range(field: dataclasses.Field, value: Any, path: str | Path, name: str) -> None:
    low, high, choices = (field.metadata.get(key) for key in ("minimum", "maximum", "choices"))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{path}: {name} is {value}; it must be a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{path}: {name} is {_shown(value)}; it must lie in [{low}, {high}]")
    if choices is not None and value not in choices:
        raise ValueError(f"{path}: {name} is {_shown(value)}; it must be one of {', '.join(choices)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
