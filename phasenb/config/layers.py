"""Layers of configuration laid over each other, each value knowing where it came from.

Rules: later wins, field by field; an error names file, line and field of the layer that brought the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from phasenb.dto.problems import problems
from phasenb.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
PathParts = tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """``source``: a file, a variable, or the command line; ``lines``: line from 1 of each field path."""

    source: str
    data: Mapping[str, Any]
    lines: Mapping[PathParts, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """A value in force: its ``field`` path, and what brought it: a file with its ``line`` from 1, a variable, ..."""

    field: str
    value: Any
    source: str
    line: int | None = None


def read_layer(path: Path) -> Layer:
    """A layer from a JSON or YAML file (JSON is read as YAML, which gives the lines). Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(str(path), "", f"it can't be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), "", "it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(str(path), "", problem, mark.line + 1 if mark else None) from None
    if data is None:
        return Layer(str(path), {})
    if not isinstance(data, dict):
        raise ConfigError(str(path), "", "the file must hold an object with fields", 1)
    lines: dict[PathParts, int] = {}
    _find_lines(node, (), lines)
    return Layer(str(path), data, lines)


def _find_lines(node: yaml.Node | None, path: PathParts, lines: dict[PathParts, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _find_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, str(index))
            lines[inner] = value.start_mark.line + 1
            _find_lines(value, inner, lines)


def merged(layers: list[Layer]) -> tuple[dict[str, Any], dict[PathParts, Layer]]:
    """The values of all layers, and for each leaf the layer that it came from."""
    data: dict[str, Any] = {}
    origins: dict[PathParts, Layer] = {}
    for layer in layers:
        _lay(data, layer.data, layer, (), origins)
    return data, origins


def _lay(
    under: dict[str, Any], over: Mapping[str, Any], layer: Layer, path: PathParts, origins: dict[PathParts, Layer]
) -> None:
    for key, value in over.items():
        inner = (*path, str(key))
        if isinstance(value, Mapping) and isinstance(under.get(key), dict):
            _lay(under[key], value, layer, inner, origins)
        else:
            under[key] = _copied(value, layer, inner, origins)
        origins[inner] = layer


def _copied(value: Any, layer: Layer, path: PathParts, origins: dict[PathParts, Layer]) -> Any:
    if not isinstance(value, Mapping):
        return value
    copy: dict[str, Any] = {}
    _lay(copy, value, layer, path, origins)
    return copy


def settings_of(layers: list[Layer]) -> list[Setting]:
    """Every value of all layers in the order of the first, with the layer that it came from."""
    data, origins = merged(layers)
    return [
        Setting(".".join(path), value, origins[path].source, origins[path].lines.get(path))
        for path, value in _leaves(data, ())
    ]


def _leaves(data: Mapping[str, Any], path: PathParts) -> Iterator[tuple[PathParts, Any]]:
    for key, value in data.items():
        inner = (*path, str(key))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, inner)
        else:
            yield inner, value


def located(path: PathParts, message: str, layers: list[Layer]) -> ConfigError:
    """The error that a value of these layers is, with file, line and field."""
    return _located(path, message, merged(layers)[1])


def validated(model: type[M], layers: list[Layer]) -> M:
    """The model from all layers. Raises ConfigError with file, line and field of the first problem."""
    data, origins = merged(layers)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = problems(error, model, data, field="setting")[0]
        raise _located(tuple(map(str, first.path)), first.told, origins) from None


def _located(path: PathParts, message: str, origins: Mapping[PathParts, Layer]) -> ConfigError:
    for length in range(len(path), -1, -1):
        layer = origins.get(path[:length])
        if layer is not None:
            line = next((layer.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in layer.lines), None)
            return ConfigError(layer.source, ".".join(path), message, line)
    return ConfigError("the configuration", ".".join(path), message)
