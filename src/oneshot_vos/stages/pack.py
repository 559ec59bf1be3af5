"""Command `pack`: masks as the server of a benchmark takes them. It stands outside the pipeline."""

from pathlib import Path
from tempfile import TemporaryDirectory

from oneshot_vos.errors import UserError
from oneshot_vos.evaluation.server_zip import write_server_zip
from oneshot_vos.sets.davis import read_davis
from oneshot_vos.sets.mask_inputs import read_mask_tree, told_as
from oneshot_vos.sets.server import as_server_set
from oneshot_vos.videos.frames import frame_named


def run(
    folder: Path, images: str, annotations: str, list_file: str | None, masks: Path, server: str, out: Path
) -> None:
    """Pack `masks`, as `segment-all` or another program wrote them, of the videos below `folder` into `out`.

    Raises `UserError` for all by which they differ from what the server expects.
    """
    videos = read_davis(folder, images=images, annotations=annotations, list_file=list_file)
    dataset = as_server_set(videos, server)
    with TemporaryDirectory(prefix="pack-") as scratch:
        read, named = Path(scratch) / "masks", Path(scratch) / "named"
        with told_as(
            *((read / masks.name, masks), (f"{read}/", f"{masks}: "), (named, masks)),
            ("; run `infer` for this set again", ""),
        ):
            found = read_mask_tree(masks, read, [video.name for video in videos])
            for video in videos:
                if video.name not in found:
                    raise UserError(
                        f"{masks}: no masks of video '{video.name}'; expected those of {len(videos)} videos"
                    )
                (named / video.name).mkdir(parents=True)
                places = {video.stem(t): t for t in range(len(video))}
                for frame, file in found[video.name].items():
                    place = frame_named(places, frame)
                    if place is not None:
                        (named / video.name / f"{video.stem(place)}.png").symlink_to(file.absolute())
            write_server_zip(dataset, named, out)
