"""How many masks training could reach, as the labels stage counted them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.files import read_json

KINDS = ("first", "every")


@dataclass(frozen=True)
class LabelCount:
    """Masks offered to training, out of the masks that the training videos have."""

    labelled: int
    annotated: int

    @property
    def percent(self) -> float:
        """Share of the masks that training could reach."""
        return 100.0 * self.labelled / self.annotated


@dataclass(frozen=True)
class LabelCounts:
    """`counts[kind][set]`; a kind that the labels stage has not written is absent."""

    counts: Mapping[str, Mapping[str, LabelCount]]

    def percent(self, kind: str) -> float | None:
        """Percent of the masks of all training sets together that `kind` of labels offers; None if not counted."""
        sets = self.counts.get(kind, {}).values()
        if not sets:
            return None
        return LabelCount(sum(count.labelled for count in sets), sum(count.annotated for count in sets)).percent


def read_label_counts(folder: Path) -> LabelCounts:
    """Read `label_ratio.json` of the kinds of labels below `folder`, or of the one kind that `folder` itself is.

    Raises `UserError` if there is none.
    """
    candidates = [folder, *(folder / kind for kind in KINDS)]
    paths = {path.name: path / "label_ratio.json" for path in candidates if (path / "label_ratio.json").exists()}
    if not paths:
        raise UserError(f"{folder}: no label_ratio.json in it or in its {' or '.join(KINDS)}. Run the labels stage")
    return LabelCounts({kind: _read(path) for kind, path in paths.items()})


def _read(path: Path) -> dict[str, LabelCount]:
    content = read_json(path, "the label counts of the labels stage")
    try:
        counts = {
            name: LabelCount(int(entry["labelled"]), int(entry["annotated"])) for name, entry in content["sets"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: not a label count ({type(error).__name__}: {error}); expected 'sets' with 'labelled' and "
            "'annotated' per training set. Run the labels stage again"
        ) from error
    for name, count in counts.items():
        if not 0 < count.labelled <= count.annotated:
            raise UserError(
                f"{path}: set '{name}' has {count.labelled} labelled of {count.annotated} annotated frames; expected "
                "at least one, and no more than there are. Run the labels stage again"
            )
    return counts
