"""Putting the layers of a recipe together, and remembering where each value came from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Mappings whose keys hang together: a later layer replaces them whole.
WHOLE = frozenset({"schedule", "max_skip", "long_term"})


@dataclass(frozen=True)
class Layer:
    """Values, and where they stand: `file` and the dotted `place` in it."""

    file: str
    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Layered:
    """The values of all layers together; `origins` has the file and the place of each by its dotted path."""

    values: dict[str, Any]
    origins: dict[str, tuple[str, str]]

    def origin(self, path: str) -> tuple[str, str] | None:
        """File and place of the value at `path`, or of the innermost block above it that one layer gave."""
        parts = path.split(".")
        below: list[str] = []
        while parts:
            found = self.origins.get(".".join(parts))
            if found:
                return found[0], ".".join([found[1], *below])
            below.insert(0, parts.pop())
        return None

    def lines(self) -> Iterator[tuple[str, Any, str]]:
        """Dotted path, value, and file of every value, in order."""
        for path, (file, place) in self.origins.items():
            value: Any = self.values
            for part in path.split("."):
                value = value[part]
            yield path, value, f"{file}: {place}"


def put_together(layers: Sequence[Layer]) -> Layered:
    """Merge `layers`, later ones over earlier ones, key by key; lists and the blocks of `WHOLE` are replaced whole."""
    result = Layered({}, {})
    for layer in layers:
        _merge(result.values, layer.values, layer, "", result.origins)
    return result


def _merge(into: dict[str, Any], values: Mapping[str, Any], layer: Layer, path: str, origins: dict[str, Any]) -> None:
    for key, value in values.items():
        own = f"{path}{key}"
        if isinstance(value, Mapping) and key not in WHOLE:
            if not isinstance(into.get(key), dict):
                into[key] = {}
                origins.pop(own, None)
            _merge(into[key], value, layer, f"{own}.", origins)
            continue
        for former in [each for each in origins if each.startswith(f"{own}.")]:
            del origins[former]
        into[key] = value
        origins[own] = (layer.file, f"{layer.place}.{own}" if layer.place else own)
