"""Changes of the shipped parameters, and what is said of them."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.parameters import read_document, write_document

from oneshot_vos.errors import UserError
from oneshot_vos.params import load_params

REPOSITORY = Path(__file__).resolve().parents[2]

DOCUMENT: dict[str, Any] = read_document(REPOSITORY)
DOCUMENT["profiles"].pop("adapt")  # for another list of runs
GONE = object()  # in the place of a value: there is no such entry
Change = Callable[[dict[str, Any]], object]


def write(folder: Path, document: dict[Any, Any]) -> Path:
    return write_document(folder / "params.yaml", document)


def message_after(folder: Path, change: Change) -> str:
    """The message about the shipped files after one change, under the profile that it concerns."""
    document = deepcopy(DOCUMENT)
    change(document)
    concerned = [name for name, content in document["profiles"].items() if content != DOCUMENT["profiles"][name]]
    with pytest.raises(UserError) as caught:
        load_params(write(folder, document), concerned[0] if concerned else None)
    return str(caught.value)


def put(path: str, value: object) -> Change:
    """A change that sets the entry at a dotted path."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for part in parents:
            document = document[part]
        if value is GONE:
            document.pop(last)
        else:
            document[last] = value

    return change
