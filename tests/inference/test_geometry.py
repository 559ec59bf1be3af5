import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oneshot_vos.inference.geometry import (
    crop,
    limited_size,
    most_probable,
    pad_image,
    padding_for,
    resize_ids,
    resize_image,
    short_side_size,
)


@pytest.mark.parametrize(
    ("size", "padding"),
    [((32, 48), (0, 0, 0, 0)), ((33, 47), (0, 1, 7, 8)), ((1, 16), (0, 0, 7, 8)), ((480, 854), (5, 5, 0, 0))],
)
def test_padding_puts_the_odd_pixel_after(size: tuple[int, int], padding: tuple[int, int, int, int]) -> None:
    assert padding_for(*size, 16) == padding
    image = torch.rand(3, *size)
    padded = F.pad(image, padding)
    assert padded.shape[-2] % 16 == padded.shape[-1] % 16 == 0
    assert torch.equal(crop(padded, padding), image)


def test_the_longer_side_is_rounded_down() -> None:
    assert short_side_size(1080, 1919, 480) == (480, 852)
    assert short_side_size(1919, 1080, 480) == (852, 480)
    assert short_side_size(100, 50, None) == (100, 50)
    assert short_side_size(60, 60, 96) == (96, 96)


def test_only_a_longer_shorter_side_is_limited() -> None:
    assert limited_size(96, 129, 72) == (72, 96)
    assert limited_size(129, 96, 72) == (96, 72)
    assert limited_size(60, 100, 72) == (60, 100)
    assert limited_size(60, 100, None) == (60, 100)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 0, 3)])
def test_an_image_gets_a_border_of_a_colour(padding: tuple[int, int, int, int]) -> None:
    image, colour = torch.rand(3, 5, 6), torch.tensor([1.0, 2.0, 3.0])
    padded = pad_image(image, padding, colour)
    assert torch.equal(crop(padded, padding), image)
    around = F.pad(torch.zeros(5, 6), padding, value=1).bool()
    assert (padded[:, around] == colour[:, None]).all()
    assert torch.equal(pad_image(image, padding), F.pad(image, padding))


def test_ids_keep_their_values_when_resized() -> None:
    ids = np.array([[0, 65_535], [300, 7]], np.int32)
    assert resize_ids(ids, (4, 4)).tolist() == np.kron(ids, np.ones((2, 2), np.int32)).tolist()
    assert resize_ids(ids, (2, 2)).tolist() == ids.tolist()


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = torch.rand(3, 8, 8)
    assert resize_image(image, (8, 8)) is image
    assert resize_image(image, (12, 16)).shape == (3, 12, 16)


@pytest.mark.parametrize("channels", [1, 5, 20])
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_most_probable_does_not_depend_on_the_chunk(channels: int, chunk: int) -> None:
    probabilities = torch.rand(channels, 9, 7, generator=torch.Generator().manual_seed(channels)).softmax(0)
    whole = F.interpolate(probabilities[None], size=(20, 31), mode="bilinear")[0].argmax(0)
    assert torch.equal(most_probable(probabilities, (20, 31), chunk=chunk), whole)
    assert torch.equal(most_probable(probabilities, (9, 7), chunk=chunk), probabilities.argmax(0))


def test_of_equal_channels_the_lowest_wins() -> None:
    assert not most_probable(torch.full((40, 4, 4), 0.025), (8, 8), chunk=16).any()
