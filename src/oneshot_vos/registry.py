"""Names to things, with help for mistyped names."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar

from oneshot_vos.errors import UserError

T = TypeVar("T")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known name, or the list of all when none is near."""
    names = sorted(known)
    if not names:
        return "there is none"
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"


def resolve(place: str) -> Any:
    """Import what `module:name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


class Registry(Mapping[str, T], Generic[T]):
    """A fixed table from names to things of one kind ("network", "strategy", …).

    An entry is the thing itself, or `module:name`, which is imported when it is first looked up. Adding a thing is one
    new file and one entry. An unknown name raises `UserError` with the nearest match.
    """

    def __init__(self, kind: str, entries: Mapping[str, T | str]) -> None:
        self._kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UserError(f"unknown {self._kind} '{name}': {suggest(name, self._entries)}")
        entry = self._entries[name]
        return resolve(entry) if isinstance(entry, str) else entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


# What an argument of a type may be in a parameter file, and how that is said.
_PLAIN: Mapping[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a word"),
}


def wrong_arguments(constructor: Callable[..., object], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and message of every keyword in `settings` that `constructor` does not know, or that it needs and lacks.

    Where it asks for a plain value, a number say, the message is also about values of another type.
    """
    known = inspect.signature(constructor).parameters
    wrong = []
    for name, value in settings.items():
        types, expected = _PLAIN.get(known[name].annotation, ((), "")) if name in known else ((), "")
        if name not in known:
            wrong.append((name, f"unknown key; {_expected(name, known)}"))
        elif types and type(value) not in types:
            wrong.append((name, f"should be {expected}, not {value!r}"))
    return wrong + [
        (name, "missing; expected a value")
        for name, parameter in known.items()
        if parameter.default is inspect.Parameter.empty and name not in settings
    ]


def require_arguments(constructor: Callable[..., object], settings: Mapping[str, Any], where: str) -> None:
    """Raise `UserError` with what `wrong_arguments` finds; `where` is the place of the settings in the file."""
    findings = [f"{where}.{name}: {message}" for name, message in wrong_arguments(constructor, settings)]
    if findings:
        raise UserError("\n  ".join(findings))


def _expected(name: str, known: Collection[str]) -> str:
    return suggest(name, known) if known else "no key is known here"
