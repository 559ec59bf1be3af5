"""Command `score`: J and F of masks against true ones, wherever both are from. It stands outside the pipeline."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.davis import evaluate_set
from oneshot_vos.evaluation.listing import SHOWN, numbers, text_table
from oneshot_vos.evaluation.results import GLOBAL_NAMES, SetResult, summarise
from oneshot_vos.files import write_csv
from oneshot_vos.sets.mask_inputs import Frames, read_mask_tree, told_as
from oneshot_vos.videos.frame_files import natural_key
from oneshot_vos.videos.frames import frame_named
from oneshot_vos.videos.label_map import read_label_map
from oneshot_vos.videos.mask_rules import MaskRules
from oneshot_vos.videos.masks import object_ids, write_mask
from oneshot_vos.videos.scorable import doubtful_ids
from oneshot_vos.videos.video import Video

_MOST_NAMED = 5
Tree = Mapping[str, Frames]
_log = logging.getLogger(__name__)


def run(
    truth: Path,
    masks: Path,
    csv_file: Path | None,
    *,
    all_frames: bool = False,
    single_object: bool = False,
    processes: int | None = None,
) -> str:
    """A table of the scores of `masks`, in percent, worst sequences first; and all numbers in `csv_file`, if named.

    Both are folders or zips in any form that `read_mask_tree` takes. The protocol is that of DAVIS, in which the first
    and the last annotated frame are not scored; `all_frames` scores them as well. Masks of sequences that are not in
    `truth`, and missing sequences or frames, raise `UserError`; frames without a true mask are counted in the log.
    """
    workers = len(os.sched_getaffinity(0)) if processes is None else processes
    with TemporaryDirectory(prefix="score-") as scratch:
        own = {name: Path(scratch) / name for name in ("truth", "masks", "predictions")}
        with told_as(
            *((own["truth"] / truth.name, truth), (own["masks"] / masks.name, masks), (own["predictions"], masks)),
            *((f"{own['truth']}/", f"{truth}: "), (f"{own['masks']}/", f"{masks}: ")),
            ("; run `infer` for this set again", ""),
            ("set `single_object: true` for this set", "give --single-object"),
        ):
            true = read_mask_tree(truth, own["truth"])
            found = _same_sequences(true, read_mask_tree(masks, own["masks"], true), truth, masks)
            for name, files in true.items():
                rules = MaskRules(single_object, "all")
                ids = [object_ids(rules.read(files[stem]).ids) for stem in sorted(files, key=natural_key)]
                doubts = None if single_object else doubtful_ids(ids)
                if doubts:
                    _log.warning("warning: %s: %s", name, doubts)
            for name, files in found.items():
                _lay_out(true[name], files, own["predictions"] / name)
            videos = [Video(name, (), files, single_object) for name, files in sorted(true.items())]
            result = evaluate_set(videos, own["predictions"], processes=workers, left_out=0 if all_frames else 1)
    if csv_file is not None:
        write_scores(csv_file, result)
    cells = [(*row, *numbers(summary)) for *row, summary in _rows(result)]
    return text_table(("sequence", "object", "frames", *SHOWN), cells)


def _same_sequences(true: Tree, found: Tree, truth: Path, masks: Path) -> Tree:
    """The masks to score by the names of the true ones; of one sequence each, the names may differ."""
    if len(true) == len(found) == 1:
        (name,), (other,) = true, found
        if name != other:
            _log.info("one sequence each: '%s' is scored as '%s'", other, name)
        return {name: found[other]}
    for names, where, against in (
        (sorted(true.keys() - found.keys()), truth, masks),
        (sorted(found.keys() - true.keys()), masks, truth),
    ):
        if names:
            raise UserError(
                f"{where}: {len(names)} sequence(s) that {against} has no masks for: {_some(names)}; expected the same "
                "sequences in both. Take them out, or complete the others"
            )
    return found


def _lay_out(true: Frames, files: Frames, folder: Path) -> None:
    """Put masks under the names of the true ones, as ids where a label map says what their colours mean."""
    folder.mkdir(parents=True)
    places = {stem: number for number, stem in enumerate(true)}
    stems = list(true)
    taken: dict[int, Path] = {}
    rules, others = MaskRules(border="all"), []
    for frame, file in files.items():
        place = frame_named(places, frame)
        if place is not None and place in taken:
            raise UserError(
                f"{file}: a mask of the same frame as {taken[place]}; expected one per frame. Take one away"
            )
        if place is None:
            others.append(frame)
            continue
        taken[place] = file
        if read_label_map(file):
            write_mask(folder / f"{stems[place]}.png", rules.read(file).ids)
        else:
            (folder / f"{stems[place]}.png").symlink_to(file.absolute())
    if others and len(files) == len(true) and not taken.keys() >= {0, len(stems) - 1}:
        raise UserError(
            f"{folder.name}: as many masks as true ones, {len(files)}, but their frames are {others[0]} and others, "
            f"not {stems[0]} to {stems[-1]}: counted from another number, so that each would be compared with a "
            "neighbour; expected the names of the true masks. Rename them"
        )
    if others:
        _log.info("%s: %d frame(s) have no true mask and are not scored: %s", folder.name, len(others), _some(others))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _rows(result: SetResult) -> Iterator[tuple[str, str, int, dict[str, float]]]:
    """Sequence, object, frames and the seven numbers: sequences from the worst, each before its objects, means last."""
    scored = [sequence for sequence in result.sequences if sequence.objects]
    for sequence in sorted(scored, key=lambda each: each.summary["J&F-Mean"]):
        yield sequence.name, "all", len(sequence.frames), sequence.summary
        for entry in sequence.objects:
            yield sequence.name, str(entry.id), len(sequence.frames), summarise([entry])
    yield "all", "all", sum(len(sequence.frames) for sequence in scored), result.summary


def write_scores(path: Path, result: SetResult) -> None:
    """Write all numbers, from 0 to 1 with six decimals."""
    lines = ((*row, *(f"{summary[name]:.6f}" for name in GLOBAL_NAMES)) for *row, summary in _rows(result))
    write_csv(path, ("sequence", "object", "frames", *GLOBAL_NAMES), lines)
