"""What `adapt` remembers of a folder between two runs, and what it tells of it in `adapt.json`."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from oneshot_vos import shipped
from oneshot_vos.errors import UserError
from oneshot_vos.files import fingerprint, read_json, replacing, sha256_of, taken_apart, write_json
from oneshot_vos.networks.common.weights import architecture
from oneshot_vos.params import Training
from oneshot_vos.reporting.own_results import ADAPT
from oneshot_vos.stages.segment import SHORT_SIDE
from oneshot_vos.stages.segment_options import Options
from oneshot_vos.videos.masks import object_ids, read_small_mask
from oneshot_vos.videos.video import Video

START = "start"  # the weights before the first round; those of a round are called by its number and their share
_FORMAT = "oneshot-vos adapt 2"


@dataclass(frozen=True)
class Kept:
    """What came of a round.

    iteration: of the best weights. weights: files by their share of these, the rest of which is the start. shares: what
    each video takes, 0 for the weights that it had. before, after: agreement of each with those, and with what it
    takes, or refuses.
    """

    iteration: int
    weights: Mapping[float, Path]
    shares: dict[str, float]
    trained: int  # iterations
    minutes: float
    agreement: list[tuple[int, float]]  # mean over the videos, of the best weights at an iteration
    loss: list[tuple[int, float]]
    before: dict[str, float]
    after: dict[str, float]
    recipe: Training

    @property
    def better(self) -> list[str]:
        """The videos that are better off with new weights."""
        return [name for name, share in self.shares.items() if share]

    @property
    def share(self) -> float:
        """What most of these take, the larger one of two; 0 where there are none."""
        return (
            max(self.weights, key=lambda share: (list(self.shares.values()).count(share), share))
            if self.better
            else 0.0
        )


@dataclass(frozen=True)
class Start:
    """The weights before the first round. shipped: those that come with the program, wherever it lies."""

    name: str
    weights: str
    sha256: str
    network: str
    arguments: dict[str, Any]  # of the network
    shipped: bool

    @property
    def metadata(self) -> dict[str, Any]:
        """What files of weights say of the network."""
        return {"model": self.network, "settings": self.arguments}

    @property
    def short_side(self) -> int:
        """Pixels that a longer shorter side of a video is reduced to, as these weights want it."""
        return shipped.SHORT_SIDE if self.shipped else SHORT_SIDE


class State:
    """The file `.state/state.json` of a folder: where it started, its finished rounds, and every video's weights.

    labels: the fingerprint of the masks that the last round has seen, None before the first.
    """

    FOLDER = ".state"

    def __init__(self, folder: Path, weights: Path | None, network: str | None) -> None:
        """weights, network: what the first round starts from, None for the network that ships; later ones: no need.

        Raises `UserError` for a folder of other things, of another version, or one that was started from other weights.
        """
        self.folder, self._file = folder, folder / self.FOLDER / "state.json"
        self.labels: str | None = None
        self._rounds: list[dict[str, Any]] = []  # as `adapt.json` has them
        self._videos: dict[str, dict[str, Any]] = {}  # by name: weights, and agreement before and after the last round
        self._current, self._why = START, "nothing was trained"
        known = self._known()
        place = weights or (Path(known.weights) if known and not known.shipped else shipped.WEIGHTS)
        name, arguments = architecture(place, network)
        self.start = Start(place.stem, str(place), sha256_of(place), name, dict(arguments), place == shipped.WEIGHTS)
        if known and known.sha256 != self.start.sha256:
            raise UserError(
                f"{self.folder}: was started from {known.name}, not from {place}; expected the same weights, or "
                "--weights left out. Choose another folder with --out for another start"
            )
        self._save()

    def _known(self) -> Start | None:
        """What an earlier call has left of where it started, and all else taken over from there; None: the first."""
        if not self._file.exists():
            if others := {entry.name for entry in self.folder.iterdir()} - {self.FOLDER, "videos"}:
                raise UserError(
                    f"{self.folder}: holds other things than results of `adapt` ({sorted(others)[0]}); expected a new "
                    "or empty folder. Choose another one with --out"
                )
            return None
        expected = "what `oneshot-vos adapt` keeps"
        content = read_json(self._file, expected)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise UserError(f"{self._file}: of another version of this program; choose another folder with --out")
        with taken_apart(self._file, expected, "Choose another folder with --out"):
            self.labels, self._rounds, self._videos = content["labels"], content["rounds"], content["videos"]
            self._current, self._why = content["current"], content.get("why", self._why)
            return Start(**content["start"])

    @property
    def current(self) -> Path:
        """The best weights so far."""
        return self._weights(self._current)

    @property
    def next_round(self) -> int:
        """Its number, from 1."""
        return len(self._rounds) + 1

    def round_folder(self, number: int) -> Path:
        """Where a round works, and leaves its weights."""
        return self.folder / self.FOLDER / f"round-{number}"

    def weights_of(self, video: str) -> Path:
        """What a video is segmented with; a new one with the best so far."""
        return self._weights(self._videos.get(video, {}).get("weights", self._current))

    def options(self, device: torch.device) -> Options:
        """How videos are segmented."""
        return Options(short_side=self.start.short_side, overwrite=True, device=str(device), confidence=True)

    def add(self, kept: Kept, labels: str, masks: int, why: str) -> None:
        """Note a round that has ended, and keep its weights if any video is better off with them."""
        number = self.next_round
        for share in {share for share in kept.shares.values() if share}:
            with replacing(self._weights(f"{number}-{share:g}")) as temporary:
                shutil.copyfile(kept.weights[share], temporary)
        videos = {name: self._videos.get(name, {"weights": self._current}) for name in kept.before}
        for name, known in videos.items():
            share = kept.shares[name]
            known |= {"weights": f"{number}-{share:g}"} if share else {}
            known |= {"before": kept.before[name], "after": (kept.after if share else kept.before)[name]}
        self._rounds.append(
            {
                "round": number,
                "iterations": kept.trained,
                "minutes": kept.minutes,
                "masks": masks,
                "agreement": kept.agreement,
                "loss": kept.loss,
            }
        )
        self._current = f"{number}-{kept.share:g}" if kept.better else self._current
        self._videos, self.labels, self._why = videos, labels, why
        self._save()

    def write_record(self, videos: Sequence[Video]) -> None:
        """Write `adapt.json`."""
        write_json(
            self.folder / ADAPT,
            {
                "started_from": self.start.name,
                "kept": START if self._current == START else "adapted",
                "why": self._why,
                "rounds": self._rounds,
                "videos": {video.name: _described(video, self._videos.get(video.name, {})) for video in videos},
            },
        )

    def _weights(self, name: str) -> Path:
        if name == START:
            return Path(self.start.weights)
        number, share = name.split("-")
        return self.round_folder(int(number)) / f"adapted-{share}.safetensors"

    def _save(self) -> None:
        write_json(
            self._file,
            {
                "format": _FORMAT,
                "start": asdict(self.start),
                "rounds": self._rounds,
                "videos": self._videos,
                "current": self._current,
                "labels": self.labels,
                "why": self._why,
            },
        )


def labels_of(videos: Sequence[Video]) -> str:
    """A fingerprint of all masks, and of the frames by their names."""
    return fingerprint(
        {
            video.name: {
                "frames": [video.stem(t) for t in range(len(video))],
                "masks": {stem: sha256_of(file) for stem, file in sorted(video.masks.items())},
            }
            for video in videos
        }
    )


def _described(video: Video, known: Mapping[str, Any]) -> dict[str, Any]:
    masks = [video.masks[video.stem(t)] for t in video.labelled]
    return {
        "frames": len(video),
        "masks": [video.stem(t) for t in video.labelled],
        "objects": sorted(set().union(*(object_ids(read_small_mask(mask)) for mask in masks))),
        "agreement_before": known.get("before"),
        "agreement_after": known.get("after"),
    }
