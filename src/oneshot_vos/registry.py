"""Names to things, with help for mistyped names."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, TypeVar

from oneshot_vos.errors import UserError

T = TypeVar("T")


def suggest(name: str, known: Iterator[str] | list[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name, or the list of all when none is near."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"


class Registry(Mapping[str, T], Generic[T]):
    """A fixed table from names to things of one kind ("network", "backward pass", …).

    Built once, in the `__init__` of the package that owns the kind: adding a thing is one new file and one entry.
    Looking up an unknown name raises `UserError` with the nearest match.
    """

    def __init__(self, kind: str, entries: Mapping[str, T]) -> None:
        self._kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UserError(f"unknown {self._kind} '{name}': {suggest(name, list(self._entries))}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
