"""CVAT's `labelmap.txt`: which colour of its masks is background, and in which order the others are counted."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from oneshot_vos.errors import UserError
from oneshot_vos.videos.images import decoding

LABEL_MAP = "labelmap.txt"
CVAT_OBJECTS = "SegmentationObject"  # the folder of its masks in which objects have colours of their own

Color = tuple[int, int, int]


def read_label_map(mask: Path) -> dict[Color, int]:
    """Colours and ids of CVAT's `labelmap.txt` beside a mask's folder or in it: background 0, others in order from 1.

    Its lines are `label:R,G,B:parts:actions`. Empty if there is none.
    """
    file = _label_map_of(mask)
    return _parse_label_map(file, file.stat().st_mtime_ns) if file else {}


def _label_map_of(mask: Path) -> Path | None:
    places = [folder / LABEL_MAP for folder in mask.parents[:3]]
    return next((place for place in places if place.is_file()), None)


@lru_cache(maxsize=16)
def _parse_label_map(file: Path, changed: int) -> dict[Color, int]:
    """`changed` makes an edited file another one."""
    found: dict[Color, int] = {}
    with decoding(file, "lines label:R,G,B:parts:actions, as CVAT writes them"):
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    names: set[str] = set()
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        label, _, rest = line.partition(":")
        numbers = rest.partition(":")[0].split(",")
        if len(numbers) != 3 or not all(number.strip().isdecimal() and int(number) < 256 for number in numbers):
            raise UserError(f"{file}: cannot read the line '{line}'; expected label:R,G,B:parts:actions. Mend it")
        red, green, blue = map(int, numbers)
        if (red, green, blue) in found or label.strip().lower() in names:
            raise UserError(
                f"{file}: the line '{line}' has the colour or the label of another line; expected each once. Give "
                "every label a colour of its own in CVAT, and export again"
            )
        names.add(label.strip().lower())
        number = 0 if label.strip().lower() == "background" else 1 + sum(each > 0 for each in found.values())
        found[red, green, blue] = number
    if 0 not in found.values():
        found.setdefault((0, 0, 0), 0)
    if len(found) < 2:
        raise UserError(f"{file}: no label in it; expected label:R,G,B:parts:actions. Export it again, or take it away")
    return found


def require_labelled(mask: Path, colors: Iterable[Color], labels: Mapping[Color, int]) -> None:
    """Raise `UserError` for a colour of a mask that a label map, if there is one, has not.

    Objects of CVAT have colours of their own; those of classes are in the map.
    """
    unknown = [color for color in colors if color not in labels]
    if labels and unknown and CVAT_OBJECTS not in mask.parts:
        raise UserError(
            f"{mask}: the colour {unknown[0]} is not in {_label_map_of(mask)}, which has "
            f"{', '.join(map(str, labels))}; expected every colour there. Add its line, or take {LABEL_MAP} away if it "
            "belongs to other masks"
        )
