"""Stage `pseudo`: labels for every frame of the training videos, by a network that was trained on one of each."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from tqdm import tqdm

from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, held, read_json, replacing_folder, sha256_of, write_json
from oneshot_vos.inference.given import find_given, read_ids
from oneshot_vos.inference.pseudo_labels import Labeller
from oneshot_vos.inference.writer import keep_if_made_from
from oneshot_vos.networks.common.precision import choose_precision
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.params import Params, PseudoLabels
from oneshot_vos.videos.index import read_index, write_index
from oneshot_vos.videos.masks import VOID, write_mask
from oneshot_vos.videos.video import Video

_log = logging.getLogger(__name__)
_MASKS, _COUNTS = "Annotations", "counts.json"  # folder of the masks of a set; beside those of a video
_COUNTED = ("frames", "kept", "pixels", "void")


def run(params: Params, name: str, weights: Path, labels: Path, out: Path) -> None:
    """Write the labels `name`: masks of all frames of the videos in `labels`, which have one each, and their indices.

    The mask that is given stays as it is. In the others, pixels that are less sure than `confidence` are void, and
    frames in which the walks agree less than `agreement` have none. `out/pseudo.json` counts what came of it; in
    `out/label_ratio.json` only given masks count as labels. An interrupted stage goes on with the first unfinished
    video.
    """
    choice = params.pseudo[name]
    made_from = {
        "choice": choice.model_dump(),
        "weights": sha256_of(weights),
        "network": params.profile.networks[choice.network],
        "infer": repr(params.profile.infer[choice.network]),
        "sets": {each: sha256_of(labels / f"{each}.json") for each in params.profile.data.training_sets},
    }
    state = Path("state") / params.profile_name / f"pseudo-{name}"
    with held(state, f"making the labels {name}"):
        finished = state / "finished"
        keep_if_made_from(finished, fingerprint(made_from))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        built = load_for_inference(choice.network, params.profile.networks[choice.network], weights, device)
        settings = params.profile.infer[choice.network]
        labeller = Labeller(built, settings, choose_precision(device, "auto"))
        sets = {each: read_index(labels / f"{each}.json") for each in params.profile.data.training_sets}
        with replacing_folder(out) as folder:
            counts = {}
            for each, videos in sets.items():
                for video in tqdm(videos, desc=f"{name}: {each}", unit="video"):
                    if not (finished / each / video.name).exists():
                        _label(labeller, video, choice, finished / each / video.name)
                masks = folder / _MASKS / each
                shutil.copytree(finished / each, masks, ignore=shutil.ignore_patterns(_COUNTS))
                write_index(folder / f"{each}.json", [_indexed(video, masks / video.name) for video in videos])
                of_videos = [read_json(finished / each / video.name / _COUNTS, "counts") for video in videos]
                counts[each] = {key: sum(count[key] for count in of_videos) for key in _COUNTED}
            write_json(folder / "pseudo.json", counts)
            shutil.copyfile(labels / "label_ratio.json", folder / "label_ratio.json")
        shutil.rmtree(finished)
    for each, count in counts.items():
        kept, void = count["kept"], 100 * count["void"] / max(count["pixels"], 1)
        _log.info("%s, %s: %d of %d frames have labels, %.1f %% of these void", out, each, kept, count["frames"], void)


def _label(labeller: Labeller, video: Video, choice: PseudoLabels, target: Path) -> None:
    """Write the masks of one video, and what they are in numbers, into the folder `target`."""
    counts = dict.fromkeys(_COUNTED, 0)
    given = find_given(video)
    if max(given.ids) >= VOID:
        raise UserError(f"video '{video.name}': object id {max(given.ids)}; expected less than {VOID}, which is void")
    with TemporaryDirectory(prefix="pseudo-") as scratch, replacing_folder(target) as folder:
        (t, mask), *_ = given.files.items()
        write_mask(folder / f"{video.stem(t)}.png", read_ids(mask, video.single_object))
        for found in labeller.label(video, Path(scratch)):
            counts["frames"] += 1
            if found.agreement < choice.agreement:
                continue
            void = found.confidence < choice.confidence
            counts["kept"] += 1
            counts["pixels"] += void.size
            counts["void"] += int(void.sum())
            write_mask(folder / f"{video.stem(found.frame)}.png", np.where(void, VOID, found.ids))
        write_json(folder / _COUNTS, counts)


def _indexed(video: Video, masks: Path) -> Video:
    """The video with the masks of a folder; of a single-object one they show one object already."""
    files = {file.stem: file for file in sorted(masks.glob("*.png"))}
    return replace(video, masks=files, single_object=False, anchor=video.stem(min(find_given(video).files)))
