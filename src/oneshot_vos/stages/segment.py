"""Command `segment`: the masks of a whole video from one or more given ones. It stands outside the pipeline."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tqdm import tqdm

from oneshot_vos import shipped
from oneshot_vos.errors import UserError
from oneshot_vos.files import held, sha256_of
from oneshot_vos.inference.given import GivenMasks, find_given
from oneshot_vos.inference.walk import Segmented, Walk, both_ways
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.interrupts import stop_requests
from oneshot_vos.networks.common.precision import choose_precision
from oneshot_vos.networks.common.ready import load_for_inference
from oneshot_vos.networks.common.weights import architecture
from oneshot_vos.reporting.overlay_video import write_contact_sheet, write_gif, write_overlay
from oneshot_vos.reporting.own_results import MASKS, OVERLAY
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.stages.confidence import Notes, write_confidence, write_next
from oneshot_vos.stages.segment_files import GIF, SHEET, Output, find_masks, given_as, name_of
from oneshot_vos.stages.segment_formats import log_absences, write_format
from oneshot_vos.stages.segment_options import PALETTE, Options
from oneshot_vos.videos.frames import FrameSource, content_of, open_frames
from oneshot_vos.videos.masks import read_mask

SHORT_SIDE = 480  # pixels, the official size of evaluation; for other weights than those that ship nothing is enlarged
_SAVE_EVERY = 300.0  # seconds
_log = logging.getLogger(__name__)


def run(
    video: Path,
    masks: Sequence[str],
    weights: Path | None,
    network: str | None,
    out: Path | None,
    options: Options,
) -> None:
    """Segment `video`, a folder of frames or a video file, from `masks` (see `find_masks`) into the folder `out`."""
    if not masks:
        raise UserError("no mask is given; expected --mask with the mask of at least one frame")
    segmenter = Segmenter(weights, network, options)  # first: looking through a video takes longer
    source = _open(video)
    with TemporaryDirectory(prefix="masks-") as scratch:
        given = find_masks(masks, source, Path(scratch))
        origins = given_as(given.files, masks, Path(scratch))
        segmenter.segment(segmenter.output(source, given, out or Path("segmented") / name_of(video), origins))


def run_all(
    folder: Path,
    images: str,
    annotations: str,
    weights: Path | None,
    network: str | None,
    out: Path,
    options: Options,
    *,
    first_only: bool = False,
) -> None:
    """Segment every video of a folder with `images`/<video>/ and `annotations`/<video>/ into `out`/<video>/.

    first_only: from the first mask of each that shows an object, whatever others there are.
    """
    segmenter = Segmenter(weights, network, options)
    videos = read_davis(folder, images=images, annotations=annotations)
    outputs = []
    for video in videos:  # all are looked at before the first is segmented
        source = _open(video.frames[0].parent)
        labelled = find_given(video).files if first_only else video.labelled
        masks = [video.masks[video.stem(t)] for t in labelled]
        given = find_masks([str(mask) for mask in masks], source, out)  # PNG files, which are not converted
        outputs.append(segmenter.output(source, given, out / video.name))
    for output in outputs:
        segmenter.segment(output)
    if options.confidence:
        write_next(out)


def _open(video: Path) -> FrameSource:
    with tqdm(desc=f"indexing {video.name}", unit="frame", leave=False, disable=video.is_dir()) as bar:
        return open_frames(video, bar.update)


class Segmenter:
    """A network with its weights, and how it is to segment."""

    def __init__(self, weights: Path | None, network: str | None, options: Options) -> None:
        """weights: None for the network that ships. network: its name, None: as the weights tell."""
        self._weights = weights or shipped.WEIGHTS
        self._ships = weights is None
        if weights is None:
            _log.info("no --weights: the network that ships (%s), see docs/model-card.md", shipped.WEIGHTS.stem)
        self.network, self._arguments = architecture(self._weights, network)
        self._options, self._device = options, choose_device(options.device)
        self._dtype = choose_precision(self._device, "auto")
        self._network = load_for_inference(self.network, self._arguments, self._weights, self._device)
        self._checksum = sha256_of(self._weights)

    def output(
        self, source: FrameSource, given: GivenMasks, out: Path, origins: Mapping[int, str] | None = None
    ) -> Output:
        """The folder `out` for the results, looked at; nothing is written yet. origins: where masks are from."""
        stamp = self._stamp(source, given, origins or {t: str(file) for t, file in given.files.items()})
        return Output(out, stamp, source, given, overwrite=self._options.overwrite)

    def segment(self, output: Output) -> None:
        """Write masks, and pictures of them and probabilities if asked for; resumes what was interrupted."""
        source, given, options = output.source, output.given, self._options
        with held(output.path, "segmenting into this folder"):
            if output.complete:
                output.tidy()
            else:
                output.begin()
                self._write_masks(output)
                output.finish()
                log_absences(output.path / MASKS, source.names, given.ids)
            for wanted, name, write in (
                (options.overlay, OVERLAY, _write_overlay),
                (options.gif, GIF, write_gif),
                (options.contact_sheet, SHEET, write_contact_sheet),
            ):
                if wanted and not (output.path / name).exists():
                    write(source, output.path / MASKS, given.ids, output.path / name)
            if options.form != PALETTE:
                write_format(options.form, source, output.path / MASKS, given.ids, output.path)
            if options.confidence:
                write_confidence(self, output)
        _log.info("%s: %d masks of %d object(s) in %s", source.path, len(source.names), len(given.ids), output.path)

    def frames(self, source: FrameSource, given: GivenMasks) -> Generator[Segmented]:
        """All frames as they are segmented, forwards, then backwards; nothing is written."""
        for order, wanted in both_ways(len(source.names), given):
            yield from _over(given, self._walk(source, given, order, wanted))

    def second_look(self, source: FrameSource, given: GivenMasks, order: range) -> Iterator[Segmented]:
        """The frames `order` as they are segmented from masks of some of them, in that direction alone."""
        return self._walk(source, given, order, order, scene_cuts=False).frames()  # cuts are logged already

    def _write_masks(self, output: Output) -> None:
        source, given = output.source, output.given
        notes = Notes(output) if self._options.confidence else None
        with tqdm(total=len(source.names), desc=source.path.name, unit="frame") as bar, stop_requests() as stop:
            for order, wanted in both_ways(len(source.names), given):
                walk = self._walk(source, given, order, wanted)
                done, snapshot = (output.state / f"{walk.direction}.{end}" for end in ("done", "pt"))
                if done.exists() and output.has(wanted):
                    bar.update(len(wanted))
                    continue
                if walk.restore(snapshot) and not output.has(walk.output):
                    walk = self._walk(source, given, order, wanted)
                bar.update(len(walk.output))
                saved = time.monotonic()
                for frame in _over(given, walk):
                    output.write(frame)
                    if notes is not None:
                        notes.add(frame)
                    bar.update()
                    if stop.requested or time.monotonic() - saved > _SAVE_EVERY:
                        if notes is not None:
                            notes.save()
                        walk.save(snapshot)
                        saved = time.monotonic()
                    stop.leave()
                if notes is not None:
                    notes.save()
                done.touch()
                snapshot.unlink(missing_ok=True)

    def _walk(
        self, source: FrameSource, given: GivenMasks, order: range, wanted: range, *, scene_cuts: bool | None = None
    ) -> Walk:
        """A walk that hands out probabilities if they are needed. scene_cuts: None, as the options say."""
        options = self._options
        return Walk(
            self._network,
            source,
            given,
            order,
            self._settings(source),
            output=wanted,
            dtype=self._dtype,
            probabilities=options.probabilities or options.confidence,
            scene_cuts=options.scene_cuts if scene_cuts is None else scene_cuts,
        )

    def _settings(self, source: FrameSource) -> InferenceSettings:
        shorter = min(source.size)
        usual = shipped.short_side(shorter) if self._ships else min(SHORT_SIDE, shorter)
        return self._options.settings(self.network, source.size, usual)

    def _stamp(self, source: FrameSource, given: GivenMasks, origins: Mapping[int, str]) -> dict[str, Any]:
        """All that the results depend on."""
        return {
            "video": str(source.path),
            "masks": {source.names[t]: origin for t, origin in origins.items()},
            "objects": list(given.ids),
            "weights": str(self._weights),
            "model": self.network,
            "arguments": self._arguments,
            "settings": asdict(self._settings(source)),
            "precision": str(self._dtype).removeprefix("torch."),
            "device": self._device.type,
            "probabilities": self._options.probabilities,
            "scene_cuts": self._options.scene_cuts,
            "sha256": {
                "video": content_of(source),
                "masks": {source.names[t]: sha256_of(file) for t, file in given.files.items()},
                "weights": self._checksum,
            },
        }


def _over(given: GivenMasks, walk: Walk) -> Iterator[Segmented]:
    """The frames of a walk, given masks over what was found: a network that works at a smaller size blurs them."""
    for frame in walk.frames():
        given.put_over(frame.frame, frame.ids)
        yield frame


def choose_device(name: str | None) -> torch.device:
    """The device of that name, once it is found to work; by default a GPU if there is one."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"--device {name}: not to be used here; expected cpu, cuda or cuda:1. Leave it out") from error
    return device


def _write_overlay(source: FrameSource, masks: Path, objects: Sequence[int], out: Path) -> None:
    frames = source.read(range(len(source.names)))
    ids = (read_mask(masks / f"{name}.png") for name in source.names)
    pairs = tqdm(zip(frames, ids, strict=True), total=len(source.names), desc="overlay video", unit="frame")
    write_overlay(out, pairs, source.rate, objects)
