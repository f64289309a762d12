"""Reads a YAML or JSON file of settings and fills `${VARIABLE}` from the environment."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.settings_errors import MissingVariable, SettingsFileError, SettingsProblem

DEFAULT_FILE = Path("config/modules.yaml")
VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build one mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_settings_file(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The file's tree with variables filled in. An empty file is an empty tree.

    Raises:
        SettingsFileError: it cannot be read, or is no mapping.
        MissingVariable: it needs a variable that is not set.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a subclass of the safe loader
    except OSError as error:
        raise SettingsFileError(SettingsProblem(str(path), error.strerror or "cannot be read")) from error
    except UnicodeDecodeError as error:
        raise SettingsFileError(SettingsProblem(str(path), "is not UTF-8")) from error
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsFileError(SettingsProblem(str(path), f"is not valid{line}: {error.problem}")) from None
    except yaml.YAMLError:
        raise SettingsFileError(SettingsProblem(str(path), "is neither YAML nor JSON")) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsFileError(SettingsProblem(str(path), "must be a mapping of settings"))
    return {str(key): expand(value, environ, str(key)) for key, value in tree.items()}


def expand(value: Any, environ: Mapping[str, str], key: str) -> Any:
    """Fill `${NAME}` and `${NAME:-default}` in every text of a tree; `$$` is a dollar sign.

    Works on the parsed tree, so that a variable's content can never become structure.

    Raises:
        MissingVariable: a variable without default is not set.
    """
    match value:
        case str():
            return VARIABLE.sub(lambda found: _filled(found, environ, key), value)
        case dict():
            return {str(name): expand(item, environ, f"{key}.{name}") for name, item in value.items()}
        case list():
            return [expand(item, environ, f"{key}[{index}]") for index, item in enumerate(value)]
        case _:
            return value


def _filled(found: re.Match[str], environ: Mapping[str, str], key: str) -> str:
    if found["escaped"]:
        return "$"
    default = found["default"]
    content = environ.get(found["name"])
    if default is not None:
        return content or default.removeprefix(":-")
    if content is None:
        raise MissingVariable(key, found["name"])
    return content
