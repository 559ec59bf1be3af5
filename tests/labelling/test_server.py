"""What the page asks for: answers for who knows the token, refusals for everybody and everything else."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.labelling.conftest import FRAMES, write_recordings
from tests.labelling.serving import Site, site
from tests.stages.clips import SIZE, ids, write_masks

from oneshot_vos.videos.masks import encode_mask, read_mask


@pytest.fixture
def served(recordings: Path, weights: Path) -> Iterator[Site]:
    with site(recordings, weights) as running:
        yield running


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Site]:
    """A site for tests that change nothing."""
    with site(write_recordings(tmp_path_factory.mktemp("standing") / "my recordings"), weights) as running:
        yield running


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def mask_of(served: Site, video: str, frame: str) -> tuple[str | None, np.ndarray]:
    answer = served.ask(f"videos/{video}/masks/{frame}")
    assert answer.status == 200
    return answer.headers["Mask-Kind"], np.frombuffer(zlib.decompress(answer.body), np.uint8)


# --- who may ask ----------------------------------------------------------------------------------------------------


def test_the_page_and_its_parts_come_from_this_server_alone(standing: Site) -> None:
    page = standing.ask("")
    assert page.status == 200
    text = page.body.decode()
    for part in ("page.css", "page.js", "icon.svg"):
        assert f'"{part}"' in text
        assert standing.ask(part).status == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    "path", ["/", "/videos", "/page.js", "/wrong/videos", "//videos", "/%00/videos", "/%C3%A9/videos", "/%FF/videos"]
)
def test_without_the_token_nothing_is_told(standing: Site, path: str) -> None:
    answer = standing.ask(path)
    assert answer.status == 403
    assert set(answer.json) == {"error"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_part_of_the_token_is_not_enough(standing: Site) -> None:
    for token in (standing.token[:-1], standing.token + "x", standing.token.swapcase()):
        assert standing.ask(f"/{token}/videos").status == 403


def test_another_host_is_refused(standing: Site) -> None:
    for host in ("evil.example", f"evil.example:{standing.port}", "127.0.0.1", "127.0.0.1:1"):
        assert standing.ask("videos", host=host).status == 403
    assert standing.ask("videos", host=f"localhost:{standing.port}").status == 200


def test_a_page_of_another_site_is_refused(standing: Site) -> None:
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{standing.port}", "http://127.0.0.1:1"):
        assert standing.ask("videos", origin=origin).status == 403
    assert standing.ask("videos", origin=f"http://127.0.0.1:{standing.port}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/server.py", "static/../server.py", "/etc/passwd"),
        *("videos/..", "videos/../frames/00000", "videos/walk/frames/..%2f..%2f..%2fmasks%2fwalk%2f00003"),
        *("videos/walk/masks/..%2f00003", "videos/%2e%2e/masks/00003", "videos/walk/frames/00000.png"),
        *("videos/nobody", "videos/walk/frames/99999", "videos/walk/masks/99999"),
    ],
)
def test_nothing_but_known_names_is_found(standing: Site, path: str) -> None:
    answer = standing.ask(path if not path.startswith("/") else f"/{standing.token}{path}")
    assert answer.status in (404, 422)
    assert set(answer.json) == {"error"}
    assert b"root:" not in answer.body


def test_other_methods_are_refused(standing: Site) -> None:
    assert standing.ask("videos", "POST", b"").status == 405
    assert standing.ask("videos/walk/masks/00003", "DELETE").status == 405


# --- videos, frames, masks ------------------------------------------------------------------------------------------


def test_videos_are_told_with_their_masks(served: Site, recordings: Path) -> None:
    told = served.ask("videos").json
    assert told["videos"] == [{"name": "bare", "masks": 0}, {"name": "film", "masks": 0}, {"name": "walk", "masks": 1}]
    assert told["command"] == f"oneshot-vos adapt '{recordings}'"
    video = served.ask("videos/walk").json
    assert (video["width"], video["height"]) == (SIZE[1], SIZE[0])
    assert video["frames"] == [f"{t:05}" for t in range(FRAMES)]
    assert (video["given"], video["made"], video["objects"]) == (["00003"], [], [1, 2])


@pytest.mark.parametrize("video", ["walk", "film"])
def test_frames_come_as_pictures_in_any_order(standing: Site, video: str) -> None:
    for t in (5, 0, 3):
        answer = standing.ask(f"videos/{video}/frames/{t:05}")
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.body)).size == (SIZE[1], SIZE[0])


def test_a_mask_that_is_there_comes_first(standing: Site) -> None:
    kind, content = mask_of(standing, "walk", "00003")
    assert kind == "given"
    np.testing.assert_array_equal(content.reshape(SIZE), ids(3, 2))
    assert mask_of(standing, "walk", "00002")[0] == "none"


def test_a_mask_is_saved_where_it_is_read(served: Site, recordings: Path) -> None:
    answer = served.ask("videos/bare/masks/00002", "PUT", encode_mask(ids(2)))
    path = recordings / "masks/bare/00002.png"
    assert answer.json == {"saved": str(path), "objects": [1], "given": ["00002"]}
    np.testing.assert_array_equal(read_mask(path), ids(2))
    assert path.read_bytes() == encode_mask(ids(2))  # with the palette of DAVIS
    assert served.ask("videos").json["videos"][0] == {"name": "bare", "masks": 1}


def test_an_empty_mask_is_taken_away(served: Site, recordings: Path) -> None:
    answer = served.ask("videos/walk/masks/00003", "PUT", encode_mask(np.zeros(SIZE, np.uint8)))
    assert answer.json == {"saved": None, "objects": [], "given": []}
    assert not (recordings / "masks/walk").exists()
    assert mask_of(served, "walk", "00003")[0] == "none"


def test_masks_of_other_frames_are_left_alone(served: Site, recordings: Path) -> None:
    path = recordings / "masks/walk/00003.png"
    before = path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()
    served.ask("videos/walk/masks/00000", "PUT", encode_mask(ids(0, 2)))
    # Not the whole of stat(): reading a file may set its time of access.
    assert (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) == before


HEADER = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", SIZE[1], SIZE[0], 8, 3, 0, 0, 0) + b"1234"


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 422, "not a PNG file"),
        (b"x" * 100, 422, "not a PNG file"),
        (HEADER, 422, "mask of frame '00000'"),
        (encode_mask(np.zeros((9, 9), np.uint8)), 422, "9x9 pixels; expected 64x48"),
        (HEADER[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + HEADER[24:], 422, "expected 64x48"),
        (encode_mask(np.full(SIZE, 300)), 422, "expected a palette or grey PNG"),
        (encode_mask(np.full(SIZE, 255)), 422, "at most 254"),
        (png(np.full((*SIZE, 3), (128, 0, 0), np.uint8)), 422, "expected a palette or grey PNG"),
        (png(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)), 422, "expected one exact colour"),
        (bytes(1024 * 1024), 413, "expected a smaller one"),
    ],
    ids=["nothing", "no-png", "header", "size", "huge", "16-bit", "border", "colour", "noise", "long"],
)
def test_what_is_no_mask_of_the_frame_is_refused(standing: Site, content: bytes, status: int, message: str) -> None:
    answer = standing.ask("videos/bare/masks/00000", "PUT", content)
    assert answer.status == status
    assert message in answer.json["error"]
    assert standing.ask("videos/bare").json["given"] == []


def test_a_mask_of_no_frame_is_refused(served: Site, recordings: Path) -> None:
    for place in ("bare/masks/7", "bare/masks/..%2f00000", "nobody/masks/00000"):
        assert served.ask(f"videos/{place}", "PUT", encode_mask(ids(0))).status in (404, 422)
    assert sorted(path.name for path in (recordings / "masks").rglob("*")) == ["00003.png", "walk"]


def test_a_video_that_cannot_be_read_spoils_no_other(recordings: Path, weights: Path) -> None:
    (recordings / "videos/torn.mp4").write_bytes(b"not a video")
    write_masks(recordings / "masks/bare", 1, size=(20, 20))
    with site(recordings, weights) as served:
        assert "not readable as a video" in served.ask("videos/torn").json["error"]
        assert "20x20 pixels" in served.ask("videos/bare").json["error"]
        assert served.ask("videos/walk").status == 200


# --- the network ----------------------------------------------------------------------------------------------------


def finished(served: Site, video: str) -> dict[str, object]:
    status = {"state": "running"}
    while status["state"] == "running":
        status = served.ask(f"videos/{video}/propagation").json
    return status


def test_all_frames_get_a_mask_from_those_given(served: Site) -> None:
    served.ask("videos/film/masks/00002", "PUT", encode_mask(ids(2)))
    assert served.ask("videos/film/propagation", "POST").status == 200
    status = finished(served, "film")
    assert (status["state"], status["done"], status["total"]) == ("done", FRAMES, FRAMES)
    assert status["frames"] == ["00002", "00003", "00004", "00005", "00001", "00000"]
    assert served.ask("videos/film/propagation?since=4").json["frames"] == ["00001", "00000"]
    kinds = {f"{t:05}": mask_of(served, "film", f"{t:05}")[0] for t in range(FRAMES)}
    assert kinds == {**dict.fromkeys(served.ask("videos/film").json["frames"], "made"), "00002": "given"}


def test_what_a_network_made_is_no_given_mask_until_it_is_saved(served: Site, recordings: Path) -> None:
    served.ask("videos/walk/propagation", "POST")
    finished(served, "walk")
    assert [file.name for file in (recordings / "masks/walk").iterdir()] == ["00003.png"]
    made = mask_of(served, "walk", "00004")[1].reshape(SIZE).copy()
    made[:4] = 3
    served.ask("videos/walk/masks/00004", "PUT", encode_mask(made))
    served.ask("videos/walk/propagation", "POST")
    finished(served, "walk")
    kind, content = mask_of(served, "walk", "00004")
    assert kind == "given"
    np.testing.assert_array_equal(content.reshape(SIZE), made)


def test_without_a_mask_there_is_nothing_to_propagate(standing: Site) -> None:
    answer = standing.ask("videos/bare/propagation", "POST")
    assert answer.status == 422
    assert "Draw one first" in answer.json["error"]
    assert standing.ask("videos/bare/propagation").json == {"state": "none"}


def test_it_can_be_cancelled(served: Site) -> None:
    served.ask("videos/walk/propagation", "POST")
    assert served.ask("videos/walk/propagation", "DELETE").json["state"] in ("cancelled", "done")
    assert served.ask("videos/walk/propagation", "POST").status == 200
    assert served.ask("videos/walk/propagation?since=-1").status == 400
