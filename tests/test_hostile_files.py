"""Files from elsewhere: they run no code and open nothing but themselves, whichever loader meets them."""

import ast
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image
from tests.hostile_loaders import BAIT, CONTROL, LOADERS
from tests.stages.clips import write_video

from oneshot_vos import __version__

SOURCES = sorted((Path(__file__).resolve().parent.parent / "src").rglob("*.py"))
# What can turn data into code, and what opens whatever the bytes say.
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "np.load", "numpy.load", "torch.jit.load"}
FORBIDDEN_CALLS |= {"Image.open", "cv2.imread", "cv2.VideoCapture"}


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that a file brings, or open another one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            of_tensors = called == "torch.load" or called.endswith(("get_state_dict", "load_state_dict_from_url"))
            if (
                called in FORBIDDEN_CALLS
                or "allow_pickle" in options
                or (of_tensors and options.get("weights_only") != "True")
                or (called == "YAML" and options.get("typ") != "'safe'")
            ):
                yield called


def test_no_module_can_turn_data_into_code() -> None:
    found = {source: list(dangers(ast.parse(source.read_text(encoding="utf-8")))) for source in SOURCES}
    assert {source: calls for source, calls in found.items() if calls} == {}
    assert len(found) > 100


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from pickle import loads", "import yaml", "np.load(p)", "eval(t)", "YAML()"),
        *("np.savez(p, allow_pickle=True)", "weights.get_state_dict(check_hash=True)", "Image.open(p)"),
        *("torch.load(p)", "torch.load(p, weights_only=False)"),
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert len(list(dangers(ast.parse(code)))) == 1


# --- what loaders do with them --------------------------------------------------------------------------------------


class Code:
    """Pickled, it is a command."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.mark}'",)


def dotted(mark: Path) -> bytes:
    """A pickle that reaches a command through names of this package alone."""
    out = b"\x80\x04"
    for text in ("oneshot_vos.inference.bank", "torch.ctypes.util.subprocess.Popen"):
        out += b"\x8c" + bytes([len(text)]) + text.encode()
    return out + b"\x93(" + b"]" + b"".join(_text(word) + b"a" for word in ("touch", str(mark))) + b"tR."


def _text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def torch_file(content: object, **options: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def as_snapshot(objects: bytes) -> bytes:
    tensor = torch.frombuffer(bytearray(objects), dtype=torch.uint8)
    return torch_file({"version": __version__, "position": 1, "objects": tensor, "tensors": [], "tracker": {}})


def referring(movie: bytes, other: Path) -> bytes:
    """The movie with its pictures in another file, by an alias record of the Macintosh."""

    def boxes(start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
        while start < stop:
            size, kind = struct.unpack_from(">I4s", movie, start)
            yield kind, start, start + size
            start += size

    parents, start, stop = [], 0, len(movie)
    for wanted in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place, stop = next((first, last) for kind, first, last in boxes(start, stop) if kind == wanted)
        parents.append(place)
        start = place + 8
    name = os.fsencode(other)
    name += b"\0" * (len(name) % 2)
    alias = bytes(130) + struct.pack(">HH", 1, 2) + bytes(16)
    alias += struct.pack(">HH", 2, len(name)) + name + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    content = bytearray(movie)
    for place in parents:
        (size,) = struct.unpack_from(">I", movie, place)
        struct.pack_into(">I", content, place, size + len(entry) - (stop - start - 8))
    content[start + 8 : stop] = entry
    return bytes(content)


def bomb(kind: str) -> bytes:
    """A small image that claims 13000 x 13000 pixels."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, kind)
    content = bytearray(stream.getvalue())
    place, form = (content.index(b"\xff\xc0") + 5, ">HH") if kind == "JPEG" else (16, ">II")
    struct.pack_into(form, content, place, 13_000, 13_000)
    if kind == "PNG":
        struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    return bytes(content)


# Contents by name; they get the folder of baits and the mark that a command would leave.
INPUTS: dict[str, Callable[[Path, Path], bytes]] = {
    "pickle": lambda bait, mark: pickle.dumps(Code(mark)),
    "torch file with code": lambda bait, mark: torch_file({"weights": Code(mark)}),
    "old torch file with code": lambda bait, mark: torch_file(Code(mark), _use_new_zipfile_serialization=False),
    "snapshot with code": lambda bait, mark: as_snapshot(pickle.dumps(Code(mark))),
    "snapshot with a dotted name": lambda bait, mark: as_snapshot(dotted(mark)),
    "YAML with code": lambda bait, mark: f"!!python/object/apply:os.system ['touch {mark}']\n".encode(),
    "PostScript": lambda bait, mark: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n",
    "ffconcat": lambda bait, mark: f"ffconcat version 1.0\nfile '{bait}/ok.mp4'\n".encode(),
    "ffconcat beside": lambda bait, mark: f"ffconcat version 1.0\nfile '{bait.name}/ok.mp4'\n".encode(),
    "HLS": lambda bait, mark: f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{bait}/ok.mp4\n#EXT-X-ENDLIST\n".encode(),
    "SDP": lambda bait, mark: (
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    ),
    "movie in another file": lambda bait, mark: referring((bait / "ok.mp4").read_bytes(), bait / "ok.mp4"),
    "JPEG bomb": lambda bait, mark: bomb("JPEG"),
    "PNG bomb": lambda bait, mark: bomb("PNG"),
    "huge header": lambda bait, mark: struct.pack("<Q", 2**60) + b"{}",
    "tables of other things": lambda bait, mark: b'[{"a": 1}, null]',
    "deep lists": lambda bait, mark: b"[" * 100_000,
    "deep tables": lambda bait, mark: b'{"a":' * 100_000,
}
FINDINGS = {
    ("video", "ffconcat"): "kind 'concat'",
    ("video", "ffconcat beside"): "kind 'concat'",
    ("video", "HLS"): "kind 'hls'",
    ("video", "SDP"): "kind 'sdp'",
    ("frame", "PostScript"): "saved as EPS",
    ("mask", "PostScript"): "saved as EPS",
    ("frame", "JPEG bomb"): "13000x13000 pixels",
    ("frame for training", "JPEG bomb"): "13000x13000 pixels",
    ("mask", "PNG bomb"): "13000x13000 pixels",
    ("static mask", "PNG bomb"): "13000x13000 pixels",
    ("official weights", "torch file with code"): "wants to run code",
    ("checkpoint", "torch file with code"): "wants to run code",
    ("snapshot", "torch file with code"): "wants to run code",
    ("snapshot", "snapshot with a dotted name"): "not usable",
}
SEEN = (CONTROL, "movie in another file")
CASES = [(loader, content) for loader in LOADERS for content in INPUTS]


class Outcome(NamedTuple):
    """file: what was loaded. said: how it was refused. seen: what happened besides."""

    file: Path
    said: str
    seen: list[str]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[tuple[str, str], Outcome]:
    """All files are loaded by one process, which takes a while to start."""
    if sys.platform != "linux":
        pytest.skip("what libraries open is noticed on Linux alone")
    root = tmp_path_factory.mktemp("hostile")
    movie = write_video(root / "ok.mp4", 3).read_bytes()
    files = {}
    for number, (loader, content) in enumerate([*CASES, SEEN]):
        file = root / str(number) / (LOADERS[loader][0] if loader in LOADERS else "movie.mov")
        bait = file.parent / BAIT
        bait.mkdir(parents=True)
        (bait / "ok.mp4").write_bytes(movie)
        file.write_bytes(INPUTS[content](bait, file.parent / "executed"))
        files[loader, content] = file
    (root / "cases.txt").write_text(json.dumps([(loader, str(file)) for (loader, _), file in files.items()]))
    command = [sys.executable, "-m", "tests.hostile_loaders", str(root / "cases.txt")]
    done = subprocess.run(command, cwd=repository, check=True, stdout=subprocess.PIPE, text=True)
    results = json.loads(done.stdout.splitlines()[-1])
    return {case: Outcome(file, **result) for (case, file), result in zip(files.items(), results, strict=True)}


@pytest.mark.parametrize(("loader", "content"), CASES)
def test_a_hostile_file_is_refused_by_name_and_nothing_else_happens(
    outcomes: dict[tuple[str, str], Outcome], loader: str, content: str
) -> None:
    outcome = outcomes[loader, content]
    assert outcome.seen == []
    assert not (outcome.file.parent / "executed").exists()
    assert str(outcome.file.parent) in outcome.said
    assert FINDINGS.get((loader, content), "") in outcome.said


def test_the_watch_sees_what_it_looks_for(outcomes: dict[tuple[str, str], Outcome]) -> None:
    outcome = outcomes[SEEN]
    assert {"subprocess.Popen", "os.system", "socket.connect", f"open ok.mp4 in {BAIT}"} <= set(outcome.seen)
    assert f"open {outcome.file.parent / 'other'}" in outcome.seen
