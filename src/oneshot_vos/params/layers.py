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
    """The values of all `layers` together; `origins` has file and place of each by its dotted path."""

    layers: tuple[Layer, ...]
    values: dict[str, Any]
    origins: dict[str, str]

    def place(self, path: str) -> str:
        """`file: place` of the value at `path`, for messages.

        Of a block that several layers share, it is the last of them; of a value that is missing, the first layer, which
        is the one that has to be complete.
        """
        parts = path.split(".") if path else []
        for length in range(len(parts), 0, -1):
            found = self.origins.get(".".join(parts[:length]))
            if found:
                return ".".join([found, *parts[length:]])
        sharing = [layer for layer in self.layers if layer.values and _has(layer.values, parts)]
        chosen = sharing[-1] if sharing else self.layers[0]
        return f"{chosen.file}: {'.'.join([chosen.place, *parts])}"

    def lines(self) -> Iterator[tuple[str, Any, str]]:
        """Dotted path, value, and `file: place` of every value, in order."""
        for path, origin in self.origins.items():
            value: Any = self.values
            for part in path.split("."):
                value = value[part]
            yield path, value, origin


def put_together(*layers: Layer) -> Layered:
    """Merge `layers`, later ones over earlier ones, key by key; lists and the blocks of `WHOLE` are replaced whole."""
    result = Layered(layers, {}, {})
    for layer in layers:
        _merge(result.values, layer.values, layer, (), result.origins)
    return result


def _merge(
    into: dict[str, Any], values: Mapping[str, Any], layer: Layer, above: Sequence[str], origins: dict[str, str]
) -> None:
    for key, value in values.items():
        parts = [*above, str(key)]
        own = ".".join(parts)
        there = isinstance(into.get(key), dict)
        if isinstance(value, Mapping) and key not in WHOLE and (value or there):
            if not there:
                into[key] = {}
                origins.pop(own, None)
            _merge(into[key], value, layer, parts, origins)
        else:
            for former in [each for each in origins if each.startswith(f"{own}.")]:
                del origins[former]
            into[key] = value
            origins[own] = f"{layer.file}: {layer.place}.{own}"


def _has(values: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True
