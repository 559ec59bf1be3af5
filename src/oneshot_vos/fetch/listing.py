"""What `fetch --dry-run` prints: sizes, targets, what is there, where the rest would come from, and the licences."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from oneshot_vos.fetch.disk import free_bytes, shown_bytes
from oneshot_vos.fetch.layout import Finding, inspect
from oneshot_vos.fetch.pins import WORK_FOLDER, Pin, read_pins
from oneshot_vos.fetch.sources import Source

_STATES = {"absent": "not there", "complete": "there", "differs": "something else there"}


def describe(sources: Sequence[Source], root: Path) -> str:
    """A paragraph on each source with what is there below `root`, and the sum to download; nothing is written."""
    pins = read_pins(root)
    findings = {source.name: inspect(source, root) for source in sources}
    missing = [each for each in sources if any(found.state == "absent" for found in findings[each.name])]
    sizes = [_bytes(source, pins) for source in missing]
    total = (
        f"To download: {shown_bytes(sum(size or 0 for size in sizes))} and {sizes.count(None)} of unpublished size. "
        f"Free at {root}: {shown_bytes(free_bytes(root))}. Unpacking needs as much room again."
    )
    return "\n\n".join([*(_paragraph(each, root, pins, findings[each.name]) for each in sources), total])


def _bytes(source: Source, pins: dict[str, Pin]) -> int | None:
    return source.size or (pins[source.name].size if source.name in pins else None)


def _paragraph(source: Source, root: Path, pins: dict[str, Pin], findings: Sequence[Finding]) -> str:
    size, pin = _bytes(source, pins), pins.get(source.name)
    about = f"about {shown_bytes(source.about)}" if source.about else "unpublished size"
    known = source.sha256 or (pin.sha256 if pin else None)
    checksum = f"SHA-256 {known[:12]}…" + ("" if source.sha256 else " (pinned)") if known else "pinned on first use"
    arrived = sum(path.stat().st_size for path in (root / WORK_FOLDER).glob(f"{source.name}.*/*.part"))
    lines = [
        f"{source.name}: {source.title}",
        f"  {shown_bytes(size) if size else about}, {checksum}, {shown_bytes(arrived)} downloaded",
        *(f"  {_STATES[each.state]}: {each.path} {each.details}".rstrip() for each in findings),
        f"  licence: {source.licence}",
        *(f"  from: {mirror}" for mirror in source.mirrors),
        f"  by hand: {source.page}, then --archive {source.name}=FILE",
    ]
    return "\n".join(
        textwrap.fill(line, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in lines
    )
