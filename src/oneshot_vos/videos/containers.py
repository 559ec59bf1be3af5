"""What a video file says by itself of where it ends, without decoding: whether it was cut off or is damaged inside."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_TS_PACKETS = (188, 192, 204)  # bytes of a packet of a transport stream
_MATROSKA_PARENTS = (b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75")  # Segment, Cluster: their elements follow
_COLOUR_TABLE = 0x80  # flag of a GIF: a table follows; the lowest three bits tell its size


def is_cut_off(path: Path, container: str) -> bool:
    """Whether a file ends in the middle of a part, or has something in the place of one; False where none tells.

    container: FFmpeg's name of its kind.
    """
    size = path.stat().st_size
    if container == "mpegts":
        return all(size % packet for packet in _TS_PACKETS)
    with path.open("rb") as stream:
        if container == "gif":
            return not _gif_ends(stream)
        if "matroska" in container:
            return not _elements_end(stream, size)
        if container == "avi" or "mp4" in container:
            return any(stop > size for _, stop in _parts(stream, size, riff=container == "avi"))
    return False


def lacks_its_table(path: Path) -> bool:
    """Whether a file begins as an .mp4 or .mov and has no table of its frames, without which none can be found."""
    with path.open("rb") as stream:
        parts = list(_parts(stream, path.stat().st_size, riff=False))
    whole = [name for name, stop in parts if stop <= path.stat().st_size]
    return parts[:1] != [] and parts[0][0] == b"ftyp" and b"moov" not in whole


def _parts(stream: BinaryIO, size: int, *, riff: bool) -> Iterator[tuple[bytes, int]]:
    """Names of the parts that an .avi (`riff`) or an .mp4 consists of, and where each says that it ends."""
    place = 0
    while place + 8 <= size:
        stream.seek(place)
        head = stream.read(16)
        length = int.from_bytes(head[4:8], "little") + 8 if riff else int.from_bytes(head[:4])
        if length == 1:  # a longer number follows
            length = int.from_bytes(head[8:])
        if length < 8 or (riff and length == 8):  # to the end of the file, or a recording whose length was not written
            length = size - place
        place += length + (length % 2 if riff else 0)
        yield head[:4] if riff else head[4:8], place


def _elements_end(stream: BinaryIO, size: int) -> bool:
    """Whether the elements of an .mkv or .webm follow each other up to the end of the file (RFC 8794)."""
    place = 0
    while place < size:
        stream.seek(place)
        head = stream.read(12)
        name = _length_of_number(head[0])
        count = _length_of_number(head[name]) if name < len(head) else 9
        if max(name, count) > 8 or name + count > len(head):
            return False
        length = int.from_bytes(head[name : name + count]) & ((1 << 7 * count) - 1)
        place += name + count
        if head[:name] in _MATROSKA_PARENTS:
            continue
        if length == (1 << 7 * count) - 1:  # not known, as of recordings whose length was never written
            return True
        place += length
    return place == size


def _length_of_number(first: int) -> int:
    """Bytes of a number of variable length, which its first byte tells; 9 if it is none."""
    return 9 - first.bit_length()


def _gif_ends(stream: BinaryIO) -> bool:
    """Whether a GIF's blocks follow each other up to the one that says that it ends (GIF89a)."""
    head = stream.read(13)
    _skip_colours(stream, head[10])
    while kind := stream.read(1):
        if kind == b";":
            return True
        if kind == b"!":
            stream.read(1)
        elif kind == b",":
            head = stream.read(9)
            if len(head) < 9:
                return False
            _skip_colours(stream, head[8])
            stream.read(1)
        else:
            return False
        while (length := stream.read(1)) and length != b"\0":
            stream.seek(length[0], 1)
    return False


def _skip_colours(stream: BinaryIO, flags: int) -> None:
    if flags & _COLOUR_TABLE:
        stream.seek(3 * 2 ** ((flags & 7) + 1), 1)
