"""Tracking objects frame by frame, for a camera or a loop of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from oneshot_vos import shipped
from oneshot_vos.errors import UserError
from oneshot_vos.inference.geometry import most_probable, resize_ids, resize_image, short_side_size
from oneshot_vos.inference.plan import Rhythm
from oneshot_vos.inference.propagate import Annotation, ObjectTracker
from oneshot_vos.inference_settings import InferenceSettings, settings_of
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.precision import choose_precision
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.networks.common.weights import architecture
from oneshot_vos.videos.images import normalise
from oneshot_vos.videos.masks import LARGEST_ID


def load_network(weights: str | Path | None = None, device: str | torch.device | None = None) -> Network:
    """The network of a weight file, ours (`.safetensors`) or official (`.pth`), ready for inference on `device`.

    weights: None for the network that ships. device: None for a GPU if there is one. Raises `UserError` for a file that
    is missing, damaged or of no network known here.
    """
    path = shipped.WEIGHTS if weights is None else Path(weights).expanduser()
    name, arguments = architecture(path)
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return load_for_inference(name, arguments, path, chosen)


def default_settings(network: Network) -> InferenceSettings:
    """How a network is run where nothing else is asked for: the official rhythm, a memory of bounded size."""
    place = f"{type(network).__module__}:{type(network).__name__}"
    values = next((NETWORKS[name].inference for name in NETWORKS if NETWORKS[name].network == place), {})
    return settings_of(values)


class Tracker:
    """Follows objects through one video, a frame at a time, from the masks of any frames.

    network: from `load_network`, in evaluation mode. settings: memory and resolution; None: `default_settings`.
    dtype: type of the arithmetic; None: bfloat16 where that is surely faster, else float32. A video needs a tracker of
    its own. `step` gives what `segment_video` gives for the same frames and masks, up to rounding.
    """

    def __init__(
        self, network: Network, settings: InferenceSettings | None = None, *, dtype: torch.dtype | None = None
    ) -> None:
        self._network = network.eval()
        self._settings = settings if settings is not None else default_settings(network)
        self._device = next(network.parameters()).device
        chosen = choose_precision(self._device, "auto") if dtype is None else dtype
        self._objects = ObjectTracker(network, 0, self._settings, dtype=chosen)
        self._rhythm = Rhythm(self._settings, updates_memory_frames=network.updates_memory_frames)
        self._ids: list[int] = []  # the object of channel k is ids[k - 1]
        self._size: tuple[int, int] | None = None
        self._frames = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the objects known so far, in the order of their introduction."""
        return tuple(self._ids)

    def step(self, image: NDArray[np.uint8], mask: NDArray[Any] | None = None) -> NDArray[np.int32]:
        """Object ids [H, W] of the next frame `image`, RGB uint8 [H, W, 3]; 0 is background.

        mask: ids [H, W] of objects that are given in this frame; new ones may come at any time, and a known one
        is corrected. Before the first mask all is background. Raises `UserError` for arrays of another kind or size.
        """
        size = self._checked(image, mask)
        given = [] if mask is None else [int(number) for number in np.unique(mask) if number > 0]
        self._ids += [number for number in given if number not in self._ids]
        t, self._frames = self._frames, self._frames + 1
        if not self._ids:
            return np.zeros(size, np.int32)
        resized = short_side_size(*size, self._settings.short_side)
        frame = resize_image(torch.from_numpy(normalise(image)).to(self._device), resized)
        annotation = None
        if mask is not None and given:
            annotation = Annotation.of(resize_ids(mask.astype(np.int32), resized), given, self._ids)
        step = self._rhythm.step(t, annotated=annotation is not None)
        probabilities = self._objects.advance(step, frame, annotation)
        table = np.array([0, *self._ids], np.int32)
        found: NDArray[np.int32] = table[most_probable(probabilities, size).cpu().numpy()]
        return found

    def _checked(self, image: NDArray[np.uint8], mask: NDArray[Any] | None) -> tuple[int, int]:
        """Height and width of the frame."""
        plain = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
        if not plain or image.size == 0:
            raise UserError(f"frame {self._frames}: {_kind(image)}; expected an RGB image, uint8 [H, W, 3]")
        size = (image.shape[0], image.shape[1])
        if self._size is not None and size != self._size:
            raise UserError(
                f"frame {self._frames}: {size[1]}x{size[0]} pixels, but the first frame was "
                f"{self._size[1]}x{self._size[0]}; expected one size. Another video wants another tracker"
            )
        if mask is not None:
            integral = isinstance(mask, np.ndarray) and np.issubdtype(mask.dtype, np.integer)
            if not integral or mask.shape != size or mask.min() < 0 or mask.max() > LARGEST_ID:
                raise UserError(
                    f"mask of frame {self._frames}: {_kind(mask)}; expected object ids, 0 to {LARGEST_ID}, integers "
                    f"[{size[0]}, {size[1]}] as the frame has pixels"
                )
        self._size = size
        return size


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}" + (
            " with values below 0" if value.size and value.min() < 0 else ""
        )
    return f"a {type(value).__name__}"
