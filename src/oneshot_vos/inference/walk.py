"""Walking through a video of any length from the frames whose masks are given, in either time direction.

A walk holds its memory and a few frames, never the video; it can be saved between two frames and goes on from there
with the same result. An object given in a later mask only exists from that mask on.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oneshot_vos import __version__
from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing
from oneshot_vos.inference.cuts import WINDOW, with_cuts
from oneshot_vos.inference.geometry import most_probable, resize_image, resize_maps, short_side_size
from oneshot_vos.inference.given import GivenMasks
from oneshot_vos.inference.plan import Memorise, Step, plan_frames
from oneshot_vos.inference.prefetch import read_ahead
from oneshot_vos.inference.propagate import Annotation, ObjectTracker
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.weights import UnreadableTensorsError, read_tensors
from oneshot_vos.videos.frames import FrameSource
from oneshot_vos.videos.images import normalise

_log = logging.getLogger(__name__)


def both_ways(length: int, given: GivenMasks) -> list[tuple[range, range]]:
    """Two ways through a video of `length` frames: the frames in their order, and those of them to output.

    From the first given mask forwards, through every further one, and from the same mask backwards to the start, unless
    it is there already. Together they output every frame once.
    """
    first = min(given.files)
    ahead, back = range(first, length), range(first, -1, -1)
    return [(ahead, ahead), (back, back[1:])] if first > 0 else [(ahead, ahead)]


class Segmented(NamedTuple):
    """A frame, by its number. ids: int32 [H, W]; probabilities: [K + 1, H, W], background first, if asked for."""

    frame: int
    ids: np.ndarray
    probabilities: Tensor | None


class Walk:
    """One way through a video, from its start or from where it was saved.

    The network must be in evaluation mode. order: frames by their numbers; given: masks, of which those
    on the way are shown to the network; output: the frames that are handed out, None for all. A frame that none of
    these depends on is not read. probabilities: hand them out as well. scene_cuts: where a scene certainly ends, forget
    the frames just before; one line in the log for each.
    """

    def __init__(
        self,
        network: Network,
        source: FrameSource,
        given: GivenMasks,
        order: range,
        settings: InferenceSettings,
        *,
        output: Collection[int] | None = None,
        dtype: torch.dtype = torch.float32,
        probabilities: bool = False,
        scene_cuts: bool = False,
    ) -> None:
        self.position = 0  # steps behind us
        self.seconds = 0.0  # spent on them, less what reading takes
        self._source = source
        self._given = given
        self.direction = "forwards" if order.step > 0 else "backwards"
        self._steps = plan_frames(
            order,
            given.files.keys(),
            settings,
            required=output,
            recurrent=network.recurrent,
            updates_memory_frames=network.updates_memory_frames,
        )
        self._device = next(network.parameters()).device
        self._probabilities = probabilities
        self._scene_cuts = scene_cuts
        self._inner = short_side_size(*source.size, settings.short_side)
        permanent = sum(step.memorise is Memorise.PERMANENT for step in self._steps)
        self.tracker = ObjectTracker(network, len(given.ids), settings, frames=permanent, dtype=dtype)
        self._restored: Path | None = None  # from where, until a frame has shown that it fits

    @property
    def output(self) -> list[int]:
        """Numbers of the frames that are behind us and were handed out."""
        return [step.index for step in self._steps[: self.position] if step.output]

    def save(self, path: Path) -> None:
        """Write where we stand; to be called between two frames."""
        save_tracker(path, self.tracker, self.position)

    def restore(self, path: Path) -> bool:
        """Go to where we stood when `path` was written; False, and nothing is changed, if that cannot be read."""
        position = load_tracker(path, self.tracker, self._device, len(self._steps))
        if position is None:
            return False
        self.position, self._restored = position, path
        return True

    def frames(self) -> Iterator[Segmented]:
        """Go on to the end; a frame that is handed out is behind us."""
        table = np.array([0, *self._given.ids], np.int32)
        steps = self._steps[self.position :]
        ahead = read_ahead(self._prepared(image, new_scene) for image, new_scene in self._marked(steps))
        try:
            for step, (image, new_scene) in zip(steps, ahead, strict=True):
                t = step.index
                if new_scene:
                    name = self._source.names[t]
                    _log.info("%s: scene cut at frame %s (%s)", self._source.path, name, self.direction)
                annotation = self._given.annotation(t, self._inner) if step.annotated else None
                start = perf_counter()
                result = self._advance(step, image, annotation, new_scene)
                ids = table[most_probable(result, self._source.size).cpu().numpy()] if step.output else None
                self.seconds += perf_counter() - start
                self.position += 1
                if ids is not None:
                    yield Segmented(t, ids, resize_maps(result, self._source.size) if self._probabilities else None)
        finally:
            ahead.close()

    def _advance(self, step: Step, image: Tensor, annotation: Annotation | None, new_scene: bool) -> Tensor:
        """One frame; what goes wrong in the first one after a restoration is what was restored."""
        try:
            result = self.tracker.advance(step, image, annotation, new_scene=new_scene)
        except (RuntimeError, IndexError, TypeError, AttributeError, ValueError) as error:
            if self._restored is None or isinstance(error, torch.OutOfMemoryError):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{self._restored}: does not fit this video ({reason}); expected what an interrupted start left. "
                "Delete it, then rerun: this direction is segmented again"
            ) from error
        self._restored = None
        return result

    def _marked(self, steps: Sequence[Step]) -> Iterator[tuple[np.ndarray, bool]]:
        """Frames, and whether a scene begins with each."""
        frames = self._source.read([step.index for step in steps])
        if not self._scene_cuts:
            return ((frame, False) for frame in frames)
        before = [step.index for step in self._steps[max(0, self.position - WINDOW) : self.position]]
        return with_cuts(frames, self._source.read(before))

    def _prepared(self, rgb: np.ndarray, new_scene: bool) -> tuple[Tensor, bool]:
        return resize_image(torch.from_numpy(normalise(rgb)).to(self._device), self._inner), new_scene


def save_tracker(path: Path, tracker: ObjectTracker, position: int) -> None:
    """Write a tracker that has passed `position` frames, atomically: tensors and plain values alone."""
    with replacing(path) as temporary:
        torch.save({"version": __version__, "position": position, "tracker": tracker.state_dict()}, temporary)


def load_tracker(path: Path, tracker: ObjectTracker, device: torch.device, frames: int) -> int | None:
    """Let `tracker`, made with the same arguments, go where the one that was saved stood, and return its position.

    frames: of the whole way.

    None, with a line in the log, if the file cannot be read or is of another version; no file is no news. `tracker` is
    then as it was: the frames are gone through again, with the same result.
    """
    before = tracker.state_dict()
    try:
        content = read_tensors(path, device)
        if content["version"] != __version__:
            raise ValueError(f"written by version {content['version']} of the program, this is {__version__}")
        if content["position"] not in range(frames + 1):
            raise ValueError(f"{content['position']} frames of {frames} passed")
        tracker.load_state_dict(content["tracker"])
        return int(content["position"])
    except FileNotFoundError:
        return None
    except (UnreadableTensorsError, ValueError, LookupError, TypeError, AttributeError) as error:
        tracker.load_state_dict(before)
        _log.info("%s: not usable (%s); this direction of the video is segmented again", path, error)
        return None
