"""What is chosen from the videos themselves: how far apart frames are, and the recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stages.clips import TINY

from oneshot_vos.adaptation.recipe import choose_recipe, frame_distance
from oneshot_vos.videos.frame_files import frame_files
from oneshot_vos.videos.masks import write_mask
from oneshot_vos.videos.video import Video

HEIGHT, WIDTH, SIDE = 96, 160, 24


def moving(folder: Path, speed: int, labelled: int = 0) -> Video:
    """A textured square of 24 pixels that moves by `speed` pixels from frame to frame."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 90, (HEIGHT // 8, WIDTH // 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    square = rng.integers(120, 255, (SIDE // 4, SIDE // 4, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    for t in range(6):
        frame = ground.copy()
        left = 20 + speed * t
        frame[30 : 30 + SIDE, left : left + SIDE] = square
        Image.fromarray(frame).save(folder / f"{t:05}.png")
        if t == labelled:
            ids = np.zeros((HEIGHT, WIDTH), np.int32)
            ids[30 : 30 + SIDE, left : left + SIDE] = 1
            write_mask(folder.parent / f"{folder.name}-mask.png", ids)
    return Video(folder.name, tuple(frame_files(folder)), {f"{labelled:05}": folder.parent / f"{folder.name}-mask.png"})


@pytest.mark.parametrize("labelled", [0, 5])
def test_frames_are_as_far_apart_as_objects_take_to_move_by_half_of_their_size(tmp_path: Path, labelled: int) -> None:
    still, slow, fast = (moving(tmp_path / str(speed), speed, labelled) for speed in (0, 2, 8))
    assert frame_distance([still]) == 10
    assert 4 <= frame_distance([slow]) <= 8  # 6 by its definition, as far as the flow is right
    assert 1 <= frame_distance([fast]) <= 3
    assert frame_distance([still, slow, fast]) == frame_distance([slow])


def test_a_video_of_one_frame_has_no_motion(tmp_path: Path) -> None:
    video = moving(tmp_path / "v", 1)
    assert frame_distance([Video("v", video.frames[:1], video.masks)]) == 1


@pytest.mark.parametrize("network", ["stcn", "xmem", "cutie"])
def test_the_recipe_suits_every_network(network: str, tmp_path: Path) -> None:
    videos = [moving(tmp_path / "v", 2)]
    recipe = choose_recipe(videos, network, TINY[network], torch.device("cpu"), 50)
    assert (recipe.iterations, recipe.crop, recipe.objects, recipe.frames) == (50, 96, 1, 3)
    assert ("top_p" in recipe.loss) == (network != "cutie")
    assert recipe.schedule.milestones == ()
    official = choose_recipe(videos, network, {}, torch.device("cpu"), 50)
    assert official.optimiser.learning_rate < recipe.optimiser.learning_rate
