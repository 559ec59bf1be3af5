"""Stage `probe`: does a network look at its references? How well it finds the first frame's masks again from three.

One-shot training from random weights first learns to do without the references, then suddenly to use them: J from the
predicted and from the true masks takes off from that of empty ones.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot_vos.evaluation.measures import region_similarity
from oneshot_vos.files import write_text
from oneshot_vos.inference.geometry import crop, padding_for, resize_ids, resize_image, short_side_size
from oneshot_vos.inference.given import read_ids
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Network, Prediction
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.params import Params
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate
from oneshot_vos.videos.images import normalise, read_frame
from oneshot_vos.videos.index import read_index
from oneshot_vos.videos.video import Video, evaluation_videos

REFERENCES = ("predicted", "true", "empty")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledClip:
    """Frames [T, 3, H, W], normalised, and masks [T, K, H, W] in {0, 1} of the objects of the first frame."""

    frames: Tensor
    masks: Tensor


def run(params: Params, run_key: str, weights: Path, snapshots: Path, sets: Path, out: Path) -> None:
    """Probe the weights in `snapshots`, named by iteration, and the finished `weights`.

    Writes the table `out`, tab-separated: iteration, and J in percent from each of `REFERENCES`, the mean over the
    objects of one clip of each of the curve's videos. A clip has as many frames as in the run's training, the largest
    distance of its curriculum apart.
    """
    profile, chosen, recipe = params.profile, params.runs[run_key], params.trainings[run_key]
    distance = max(recipe.max_skip.values) if recipe.max_skip else 1
    videos = evaluation_videos(read_index(sets / f"{profile.curve.set}.json"), chosen.given, profile.curve.videos)
    short_side = profile.infer[chosen.network].short_side
    clips = [read_clip(video, recipe.frames, distance, short_side) for video in videos]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    states = {int(file.stem): file for file in sorted(snapshots.glob("*.safetensors"))} | {recipe.iterations: weights}
    lines = ["\t".join(["iteration", *REFERENCES])]
    for iteration, file in states.items():
        network = load_for_inference(chosen.network, profile.networks[chosen.network], file, device)
        found = [probe(network, clip, device) for clip in clips]
        scores = [100 * fmean(value for each in found for value in each[name]) for name in REFERENCES]
        lines.append("\t".join([str(iteration), *(f"{score:.2f}" for score in scores)]))
    write_text(out, "\n".join(lines) + "\n")
    last = ", ".join(f"{name} {value}" for name, value in zip(REFERENCES, lines[-1].split("\t")[1:], strict=True))
    _log.info("%s: J of the first frame at the end, by reference masks: %s", run_key, last)


def read_clip(video: Video, frames: int, distance: int, short_side: int | None) -> LabelledClip:
    """`frames` labelled frames of a video, `distance` labelled frames apart, or as many and as far as it has."""
    labelled = video.labelled
    distance = max(1, min(distance, (len(labelled) - 1) // (frames - 1)))
    times = labelled[::distance][:frames]
    images = [read_frame(video.frames[t]) for t in times]
    height, width = images[0].shape[:2]
    size = short_side_size(height, width, short_side)
    ids = [resize_ids(read_ids(video.masks[video.stem(t)], video.single_object), size) for t in times]
    objects = [number for number in ids[0].unique().tolist() if number > 0]
    masks = [torch.stack([each == number for number in objects]).float() for each in ids]
    return LabelledClip(
        torch.stack([resize_image(torch.from_numpy(normalise(image)), size) for image in images]), torch.stack(masks)
    )


@torch.inference_mode()
def probe(network: Network, clip: LabelledClip, device: torch.device) -> Mapping[str, list[float]]:
    """J of every object in the first frame, found again from masks of the later ones, by `REFERENCES`.

    predicted: what the network made of the first masks on the way there, as in one-shot training. true: the labels.
    empty: no object, what can be known without a reference.
    """
    height, width = clip.frames.shape[-2:]
    padding = padding_for(height, width, network.stride)
    frames, masks = (F.pad(each, padding).to(device) for each in (clip.frames, clip.masks))
    present = torch.ones(1, masks.shape[1], device=device)
    features = encode_clip(network, frames[None], learn=())
    order, options = range(len(frames)), RolloutOptions(deep_update=1.0)
    draws = Generators(torch.Generator(), ())  # nothing is left to chance: every frame is read, every update is deep
    ahead = propagate(network, features, order, masks[None, 0], present, options, draws)
    true = [masks[None, t] for t in order[1:]]
    references = ([prediction.masks for prediction in ahead], true, [torch.zeros_like(each) for each in true])
    found = {}
    for name, given in zip(REFERENCES, references, strict=True):
        logits = crop(_found_again(network, features, given, present).logits[0], padding)
        winner, truth = logits.argmax(0).cpu().numpy(), clip.masks[0].bool().numpy()
        found[name] = [region_similarity(winner == number, mask) for number, mask in enumerate(truth, 1)]
    return found


def _found_again(network: Network, features: Sequence[Any], given: Sequence[Tensor], present: Tensor) -> Prediction:
    """Frame 0, walked to from the last frame back; `given` [1, K, H, W] are the masks of the frames from 1 on."""
    memory = ClipMemory(keep_first=network.reads_first_frame)
    state = network.initial_state(features[-1], given[-1].shape[1])
    for t in range(len(features) - 1, 0, -1):
        frame, state = network.memorise(features[t], given[t - 1], state)
        memory.add(frame)
        prediction, state = network.segment(features[t - 1], memory, state, given[t - 1], present, update=t > 1)
    return prediction
