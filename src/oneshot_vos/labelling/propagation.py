"""A network that segments a video from the masks drawn so far, in a thread of its own."""

import logging
import shutil
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from oneshot_vos.errors import UserError
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.labelling.session import OpenVideo
from oneshot_vos.stages.segment import Segmenter
from oneshot_vos.videos.masks import inspect_mask, object_ids, write_mask

State = Literal["running", "done", "cancelled", "failed"]
_log = logging.getLogger(__name__)


class Propagation:
    """One run over one video; its masks appear in the folder `video.made`, frame by frame.

    The masks drawn so far are copied when it is made: drawing may go on. Raises `UserError` if there is none.
    """

    def __init__(self, segmenter: Segmenter, video: OpenVideo) -> None:
        self.video = video
        self.state: State = "running"
        self._segmenter, self._given = segmenter, _copied(video)
        self._ready: list[str] = []
        self._message = ""
        self._cancelled = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="propagation", daemon=True)

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def cancel(self) -> None:
        """End after the frame at hand, and wait for that; frames that are done stay."""
        self._cancelled.set()
        self._thread.join()

    def status(self, since: int) -> dict[str, Any]:
        """How far it is, for the page. since: how many frames the page knows already."""
        ready, total = len(self._ready), len(self.video.source.names)
        passed = time.monotonic() - self._begun
        left = passed / ready * (total - ready) if ready and self.state == "running" else None
        return {
            "video": self.video.entry.name,
            "state": self.state,
            "message": self._message,
            "done": ready,
            "total": total,
            "seconds_left": left,
            "frames": self._ready[since:ready],
        }

    def _run(self) -> None:
        source = self.video.source
        try:
            with closing(self._segmenter.frames(source, self._given)) as frames:
                for frame in frames:
                    name = source.names[frame.frame]
                    write_mask(self.video.made / f"{name}.png", frame.ids)
                    self._ready.append(name)
                    if self._cancelled.is_set():
                        break
            self.state = "done" if len(self._ready) == len(source.names) else "cancelled"
        except UserError as error:
            self._message, self.state = str(error), "failed"
        except RuntimeError as error:  # of torch, such as too little memory
            self._message, self.state = f"{source.path}: the network failed ({error})", "failed"
        if self._message:
            _log.error("%s", self._message)


def _copied(video: OpenVideo) -> GivenMasks:
    folder = video.made.with_name("given")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files: dict[int, Path] = {}
    objects: dict[int, tuple[int, ...]] = {}
    for t, file in video.given_as_numbers().items():
        if found := object_ids(inspect_mask(file).ids):
            files[t], objects[t] = folder / file.name, tuple(found)
            shutil.copyfile(file, files[t])
    if not files:
        raise UserError(f"video '{video.entry.name}': no mask yet; expected one of at least one frame. Draw one first")
    return GivenMasks(files, objects)
