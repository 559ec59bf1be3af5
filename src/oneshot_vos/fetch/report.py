"""What `fetch --dry-run` prints: sizes, targets, what is there, where the rest would come from, and the licences."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from oneshot_vos.fetch.checksums import WORK_FOLDER, Pin, read_pins
from oneshot_vos.fetch.layout import Finding, base_folder, inspect
from oneshot_vos.fetch.sources import Source
from oneshot_vos.fetch.transfer import shown_bytes

_HEADINGS = ("name", "download", "SHA-256", "target", "there")
_STATES = {"absent": "no", "complete": "yes", "differs": "something else"}


def describe(sources: Sequence[Source], root: Path) -> str:
    """A table of the sources with what is there below `root`, and a paragraph on each; nothing is written."""
    pins = read_pins(root)
    findings = {source.name: inspect(source, root) for source in sources}
    rows = [_HEADINGS, *(row for source in sources for row in _rows(source, root, findings[source.name], pins))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    rows.insert(1, tuple("-" * width for width in widths))
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [_note(source) for source in sources]
    return "\n\n".join(["\n".join(table), "\n".join(notes), _total(sources, root, findings, pins)])


def _rows(source: Source, root: Path, findings: Sequence[Finding], pins: dict[str, Pin]) -> list[tuple[str, ...]]:
    """One row per part; what belongs to the whole source stands in the first."""
    base = base_folder(source, root)
    pin = pins.get(source.name)
    known = source.sha256 or (pin.sha256 if pin is not None else None)
    checksum = "pinned on first use" if known is None else f"{known[:12]}…"
    if source.sha256 is None and pin is not None:
        checksum += " (pinned)"
    rows: list[tuple[str, ...]] = []
    for number, (part, finding) in enumerate(zip(source.parts, findings, strict=True)):
        there = _STATES[finding.state]
        details = [*([finding.counted] if finding.counted else []), *finding.remarks]
        there += f": {'; '.join(details)}" if details else ""
        if number == 0 and finding.state == "absent":
            there += _partly(source, root)
        first = (source.name, _size(source, pins), checksum) if number == 0 else ("", "", "")
        rows.append((*first, part.target if source.place == "root" else str(base / part.target), there))
    return rows


def _partly(source: Source, root: Path) -> str:
    """How much of the archive has arrived."""
    work = root / WORK_FOLDER
    paths = [work / source.file_name, work / f"{source.file_name}.part", *work.glob(f"{source.name}.drive/*.part")]
    arrived = max((path.stat().st_size for path in paths if path.is_file()), default=0)
    return f" ({shown_bytes(arrived)} downloaded)" if arrived else ""


def _size(source: Source, pins: dict[str, Pin]) -> str:
    size = _bytes(source, pins)
    if size is not None:
        return shown_bytes(size)
    return "not published" if source.about is None else f"about {shown_bytes(source.about)}"


def _bytes(source: Source, pins: dict[str, Pin]) -> int | None:
    pin = pins.get(source.name)
    return source.size if source.size is not None else pin.size if pin is not None else None


def _note(source: Source) -> str:
    lines = [f"{source.name}: {source.title}", f"  licence: {source.licence}"]
    lines += [f"  from: {mirror}" for mirror in source.mirrors]
    lines.append(f"  by hand: {source.page}, then --archive {source.name}=FILE")
    return "\n".join(
        part
        for line in lines
        for part in textwrap.wrap(line, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    )


def _total(sources: Sequence[Source], root: Path, findings: dict[str, list[Finding]], pins: dict[str, Pin]) -> str:
    missing = [s for s in sources if any(finding.state == "absent" for finding in findings[s.name])]
    sizes = [_bytes(source, pins) for source in missing]
    known = sum(size for size in sizes if size is not None)
    unknown = sizes.count(None)
    existing = next(parent for parent in (root.absolute(), *root.absolute().parents) if parent.is_dir())
    more = f" and {unknown} of unpublished size" if unknown else ""
    return (
        f"To download: {shown_bytes(known)}{more}. Free at {root}: {shown_bytes(shutil.disk_usage(existing).free)}. "
        "Unpacking needs as much room again."
    )
