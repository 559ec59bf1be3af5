"""Every loader of files, watched: `python -m tests.hostile_loaders CASES`, a JSON list of pairs of loader and file.

Prints a JSON list with, for each of them, the message that it was refused with and whatever happened besides: processes
that were started, addresses that were asked for, files that were opened, by Python or by a library.
"""

import ctypes
import json
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import torch
from PIL import Image
from tests.stages.clips import TINY
from torchvision.models import ResNet18_Weights

from oneshot_vos.clips.dataset import read_frame_quickly
from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.predictions import Predictions
from oneshot_vos.evaluation.score_files import load_result
from oneshot_vos.fetch.pins import read_pins
from oneshot_vos.inference.propagate import ObjectTracker
from oneshot_vos.inference.tracker import load_network
from oneshot_vos.inference.walk import load_tracker
from oneshot_vos.inference.writer import segment_set
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.imagenet import load_imagenet
from oneshot_vos.networks.common.weights import load_weights
from oneshot_vos.params import load_params
from oneshot_vos.reporting.own_results import read_confidence, read_suggestions
from oneshot_vos.reporting.server_scores import read_server_scores
from oneshot_vos.sets.mask_inputs import read_masks
from oneshot_vos.stages import export
from oneshot_vos.stages.adapt_round import read_plan
from oneshot_vos.stages.adapt_state import State
from oneshot_vos.stages.segment_files import Output
from oneshot_vos.training.checkpoint import StateFolder
from oneshot_vos.videos.images import frame_size, read_frame
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import mask_size, read_mask
from oneshot_vos.videos.objects_index import read_youtube_index
from oneshot_vos.videos.pairs import read_objects, read_pairs_index
from oneshot_vos.videos.video import Video
from oneshot_vos.videos.video_files import VideoFrames

CPU = torch.device("cpu")
STAMP = {"probabilities": False, "sha256": {}}
NETWORK = build_network("stcn", TINY["stcn"])
IMAGENET = Path(ResNet18_Weights.IMAGENET1K_V1.url).name


def from_imagenet(file: Path) -> None:
    os.environ["TORCH_HOME"] = str(file.parents[2])
    load_imagenet(NETWORK, ["key_encoder"], torch.Generator())


def segment_on(report: Path) -> None:
    (report.parent / "fingerprint.json").write_text('"f"', encoding="utf-8")
    video = Video("v", (Path("00000.jpg"),), {})
    out = report.parent / "out.zip"
    segment_set(NETWORK, [video], InferenceSettings(), out, state=report.parent, fingerprint="f")


def careless(file: Path) -> None:
    """What no loader may do, for a look at whether the watch sees it."""
    subprocess.run(["true"], check=True)
    os.system("true")
    with socket.socket() as one:
        one.connect_ex(("127.0.0.1", 9))
    (file.parent / "other").touch()
    av.open(str(file), options={"enable_drefs": "1", "use_absolute_path": "1"}).close()


# Names of loaders, the names of their files, and the loaders.
LOADERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "snapshot": ("s.pt", lambda file: load_tracker(file, ObjectTracker(NETWORK, 1, InferenceSettings()), CPU, 2)),
    "checkpoint": ("checkpoint.pt", lambda file: StateFolder(file.parent, {}).load()),
    "official weights": ("w.pth", load_network),
    "official weights for a network": ("w.pth", lambda file: load_weights(file, NETWORK)),
    "weights": ("w.safetensors", load_network),
    "weights for a network": ("w.safetensors", lambda file: load_weights(file, NETWORK)),
    "ImageNet weights": (f"hub/checkpoints/{IMAGENET}", from_imagenet),
    "state of infer": ("v.report.json", segment_on),
    "state of segment": ("segment.json", lambda f: Output(f.parent, STAMP, SimpleNamespace(names=[]), None)),
    "masks in a zip": ("m.zip", lambda file: read_masks(file, file.parent / "scratch", "v")),
    "masks in JSON": ("m.json", lambda file: read_masks(file, file.parent / "scratch", "v")),
    "checkpoint to export": ("checkpoint.pt", lambda file: export.run(file, file.parent / "w.safetensors")),
    "state of adapt": (".state/state.json", lambda file: State(file.parent.parent, None, None)),
    "plan of adapt": ("plan.json", read_plan),
    "confidence": ("confidence.csv", read_confidence),
    "suggestions": ("next.csv", read_suggestions),
    "index": ("i.json", read_index),
    "index of objects": ("i.json", read_youtube_index),
    "index of pairs": ("i.json", read_pairs_index),
    "scores": ("s.json", load_result),
    "predictions": ("p.zip", lambda file: Predictions(file).require("v", ["00000"])),
    "pins": ("fetch.lock.json", lambda file: read_pins(file.parent)),
    "parameters": ("params.yaml", load_params),
    "server scores": ("s.yaml", lambda file: read_server_scores(file, [])),
    "mask": ("m.png", read_mask),
    "size of a mask": ("m.png", mask_size),
    "mask of a folder": ("m.png", MaskRules().read),
    "static mask": ("m.png", read_objects),
    "frame": ("f.jpg", read_frame),
    "size of a frame": ("f.jpg", frame_size),
    "frame for training": ("f.jpg", read_frame_quickly),
    "video": ("v.mp4", VideoFrames),
}

CONTROL = "careless"
BAIT = "bait"  # the folder beside a file, in which nothing may be opened
LIBRARIES = tuple({str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix, *sys.path) if place})
SYSTEM = ("/proc/", "/sys/", "/usr/", "/lib/", "/etc/", "/dev/null", "/dev/urandom")
FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.", "socket.", "urllib.")
IN_OPEN, NONBLOCKING = 0x20, os.O_NONBLOCK


class Watch:
    """An audit hook, which cannot be taken away again, and what it has seen since it was told of a file."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.file: Path | None = None
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.file is None:
            return
        if event.startswith(FORBIDDEN):
            self.seen.append(event)
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 (nothing may be asked of the disk here)
            own = path == str(self.file) or (Path(path).parent == self.file.parent and path.endswith(".json"))
            if not own and not path.startswith((*LIBRARIES, *SYSTEM)):
                self.seen.append(f"open {path}")

    @contextmanager
    def on(self, file: Path) -> Iterator[list[str]]:
        """What happens in the block that should not; what libraries open is noticed in the folder `BAIT` alone."""
        system = ctypes.CDLL(None)
        notices = system.inotify_init1(NONBLOCKING)
        system.inotify_add_watch(notices, os.fsencode(file.parent / BAIT), IN_OPEN)
        self.seen, self.file = [], file
        try:
            yield self.seen
        finally:
            self.file = None
            with suppress(BlockingIOError):  # nothing
                self.seen += [f"open {name} in {BAIT}" for name in opened(os.read(notices, 1 << 16))]
            os.close(notices)


def opened(notices: bytes) -> Iterator[str]:
    place = 0
    while place < len(notices):
        (length,) = struct.unpack_from("I", notices, place + 12)
        yield notices[place + 16 : place + 16 + length].rstrip(b"\0").decode()
        place += 16 + length


def main() -> None:
    Image.init()
    said: list[str] = []
    logging.getLogger().addHandler(handler := logging.Handler())
    logging.getLogger().setLevel(logging.INFO)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    watch, results = Watch(), []
    for name, path in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        said.clear()
        with watch.on(Path(path)) as seen:
            try:
                (careless if name == CONTROL else LOADERS[name][1])(Path(path))
            except UserError as error:
                said.append(str(error))
            except Exception as error:  # noqa: BLE001 (a traceback for the user)
                seen.append(repr(error))
        results.append({"said": "\n".join(said), "seen": seen})
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
