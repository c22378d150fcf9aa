"""YAML files of a site, read with errors that a user can act on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from dyna_nav.site.occupancy import SiteError


class _Repeated(yaml.MarkedYAMLError):
    """A key that a mapping holds twice."""


class _OnceLoader(yaml.SafeLoader):
    """Takes every key of a mapping once; PyYAML itself silently keeps the last."""

    def __init__(self, stream: str):
        super().__init__(stream)
        self._checked: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what << names; checked before, for a key may well replace a merged one."""
        if node not in self._checked:
            self._checked.add(node)
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                    raise _Repeated(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
                seen.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key))
        super().flatten_mapping(node)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises SiteError when it is missing, unreadable, not YAML or has a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)
    except FileNotFoundError:
        raise SiteError(f"{path}: the file does not exist; give the path of an existing YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise SiteError(f"{path}: cannot be read ({reason}); give the path of a readable YAML file") from None
    except _Repeated as error:
        raise SiteError(f"{path}: {error.problem}, again in line {error.problem_mark.line + 1}; drop one") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2024-13-45
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise SiteError(f"{path}: not valid YAML{where}; correct the file") from None


def number(value: Any, path: Path, field: str, hint: str) -> float:
    """A finite float from a YAML value (PyYAML takes 5e-2 for text). Raises SiteError naming path, field and value."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise SiteError(f"{path}: {field} is {value!r}, not a number; {hint}") from None
    if not math.isfinite(result):
        raise SiteError(f"{path}: {field} is {result}; {hint}")
    return result
