"""What `fetch --dry-run` prints: sizes, targets, what is there, where the rest would come from, and the licences."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from oneshot_vos.fetch.archives import Finding
from oneshot_vos.fetch.disk import free_bytes, shown_bytes
from oneshot_vos.fetch.obtain import inspect
from oneshot_vos.fetch.pins import WORK_FOLDER, Pin, read_pins
from oneshot_vos.fetch.sources import Source

_STATES = {"absent": "not there", "complete": "there", "differs": "something else there"}


def describe(sources: Sequence[Source], root: Path) -> str:
    """A paragraph on each source with what is there below `root`, and the sum to download; nothing is written."""
    pins = read_pins(root)
    paragraphs, sizes = [], []
    for source in sources:
        pin, findings = pins.get(source.name), inspect(source, root)
        size = source.size or (pin.size if pin else None)
        paragraphs.append(_paragraph(source, root, size, pin, findings))
        sizes += [size] if any(found.state == "absent" for found in findings) else []
    total = (
        f"To download: {shown_bytes(sum(size or 0 for size in sizes))} and {sizes.count(None)} of unpublished size. "
        f"Free at {root}: {shown_bytes(free_bytes(root))}. Unpacking needs as much room again."
    )
    return "\n\n".join([*paragraphs, total])


def _paragraph(source: Source, root: Path, size: int | None, pin: Pin | None, findings: Sequence[Finding]) -> str:
    about = f"about {shown_bytes(source.about)}" if source.about else "unpublished size"
    checksum = "pinned on first use"
    if source.checksum:
        checksum = f"SHA-256 {source.checksum.removeprefix('sha256:')[:12]}…"
    elif pin:
        checksum = f"SHA-256 {pin.sha256[:12]}… (pinned)"
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
