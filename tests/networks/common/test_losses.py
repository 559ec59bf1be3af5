"""Losses over all pixels, and soft aggregation."""

import pytest
import torch
import torch.nn.functional as F

from oneshot_vos.networks.common.aggregation import aggregate, one_hot, sum_of_others
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy, BootstrappedDice

GENERATOR = torch.Generator()  # these losses draw nothing


def prediction(logits: torch.Tensor) -> Prediction:
    return Prediction(logits, logits.softmax(1)[:, 1:], {})


@pytest.mark.parametrize(
    ("iteration", "share"), [(0, 1.0), (99, 1.0), (100, 1.0), (150, 0.6), (200, 0.2), (201, 0.2), (10**6, 0.2)]
)
def test_share_of_pixels(iteration, share):
    assert BootstrappedCrossEntropy(100, 200, 0.2).share(iteration) == pytest.approx(share)


def test_share_with_an_instant_warm_up():
    loss = BootstrappedCrossEntropy(100, 100, 0.2)
    assert [loss.share(iteration) for iteration in (99, 100, 101)] == pytest.approx([1.0, 0.2, 0.2])


def test_hardest_pixels_of_each_sample():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 8, generator=generator)
    labels = torch.randint(0, 3, (2, 5, 8), generator=generator)
    terms = BootstrappedCrossEntropy(0, 0, 0.25)([prediction(logits)], [labels], torch.ones(2, 2), 1, GENERATOR)
    pixels = F.cross_entropy(logits, labels, reduction="none").flatten(1)
    expected = pixels.sort(descending=True).values[:, :10].mean()
    torch.testing.assert_close(terms["total"], expected)
    assert set(terms) == {"total", "frame_1", "p"}


def test_total_is_the_sum_over_frames():
    generator = torch.Generator().manual_seed(0)
    frames = [prediction(torch.randn(2, 2, 4, 4, generator=generator)) for _ in range(3)]
    labels = [torch.randint(0, 2, (2, 4, 4), generator=generator) for _ in range(3)]
    terms = BootstrappedCrossEntropy()(frames, labels, torch.ones(2, 1), 0, GENERATOR)
    torch.testing.assert_close(terms["total"], terms["frame_1"] + terms["frame_2"] + terms["frame_3"])


def test_absent_objects_take_no_part_and_get_no_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    labels = torch.randint(0, 2, (1, 4, 4))
    terms = BootstrappedCrossEntropy()([prediction(logits)], [labels], torch.tensor([[1.0, 0.0]]), 0, GENERATOR)
    torch.testing.assert_close(terms["total"], F.cross_entropy(logits[:, :2], labels))
    terms["total"].backward()
    assert logits.grad is not None
    assert logits.grad[:, 2].abs().max() == 0


def test_small_images_keep_at_least_one_pixel():
    terms = BootstrappedCrossEntropy(0, 0, 0.1)(
        [prediction(torch.randn(1, 2, 2, 2))], [torch.zeros(1, 2, 2).long()], torch.ones(1, 1), 5, GENERATOR
    )
    assert terms["total"].isfinite()


def test_dice_is_added_to_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    frames = [prediction(torch.randn(2, 3, 4, 4, generator=generator)) for _ in range(2)]
    labels = [torch.randint(0, 3, (2, 4, 4), generator=generator) for _ in range(2)]
    arguments = frames, labels, torch.ones(2, 2), 50_000, GENERATOR
    terms, plain = BootstrappedDice()(*arguments), BootstrappedCrossEntropy()(*arguments)
    assert set(terms) == {*plain, "dice_1", "dice_2"}
    for name in ("frame_1", "frame_2", "p"):
        torch.testing.assert_close(terms[name], plain[name])
    torch.testing.assert_close(terms["total"], plain["total"] + terms["dice_1"] + terms["dice_2"])


def test_dice_is_a_mean_over_the_objects_of_the_batch():
    generator = torch.Generator().manual_seed(0)
    frame = prediction(torch.randn(2, 3, 4, 4, generator=generator))
    labels = torch.randint(0, 3, (2, 4, 4), generator=generator)
    losses = []
    for masks, target in zip(frame.masks, labels, strict=True):
        for number, mask in enumerate(masks, 1):
            wanted = (target == number).float()
            losses.append(1 - (2 * (mask * wanted).sum() + 1) / (mask.sum() + wanted.sum() + 1))
    terms = BootstrappedDice()([frame], [labels], torch.ones(2, 2), 0, GENERATOR)
    torch.testing.assert_close(terms["dice_1"], torch.stack(losses).mean())


@pytest.mark.parametrize(("shift", "expected"), [(0, 0.0), (1, 1.0)])
def test_dice_of_perfect_and_of_disjoint_masks(shift, expected):
    labels = torch.tensor([0, 1, 2, 2]).repeat_interleave(64).view(1, 16, 16)
    predicted = F.one_hot((labels + shift) % 3, 3).permute(0, 3, 1, 2).float()
    terms = BootstrappedDice()([prediction(60 * predicted)], [labels], torch.ones(1, 2), 0, GENERATOR)
    assert terms["dice_1"].item() == pytest.approx(expected, abs=0.01)


def test_absent_objects_dilute_the_dice_loss():
    logits, labels = torch.randn(1, 2, 4, 4), torch.randint(0, 2, (1, 4, 4))
    alone = BootstrappedDice()([prediction(logits)], [labels], torch.ones(1, 1), 0, GENERATOR)
    padded = torch.cat([logits, torch.full((1, 1, 4, 4), -20.0)], 1)
    beside = BootstrappedDice()([prediction(padded)], [labels], torch.tensor([[1.0, 0.0]]), 0, GENERATOR)
    torch.testing.assert_close(beside["dice_1"], alone["dice_1"] / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(beside["frame_1"], alone["frame_1"])


def test_aggregation_of_certain_masks_is_finite_and_differentiable():
    masks = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).requires_grad_()
    logits = aggregate(masks)
    assert logits.flatten().tolist() == pytest.approx([-16.118, -16.118, 15.942], abs=1e-3)
    logits.sum().backward()
    assert masks.grad is not None
    assert masks.grad.isfinite().all()


def test_one_hot_and_others():
    labels = torch.tensor([[[0, 1, 2, 3, 9]]])
    masks = one_hot(labels, 3)
    assert masks.shape == (1, 3, 1, 5)
    assert masks.sum(1).flatten().tolist() == [0, 1, 1, 1, 0]
    torch.testing.assert_close(sum_of_others(masks) + masks, masks.sum(1, keepdim=True).expand_as(masks))
    torch.testing.assert_close(sum_of_others(masks[:, :2]), masks[:, :2].flip(1))
    assert sum_of_others(masks[:, :1]).abs().max() == 0


def test_void_pixels_teach_nothing_and_the_others_what_they_would():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 8, generator=generator).requires_grad_()
    labels = torch.randint(0, 3, (2, 6, 8), generator=generator)
    labels[:, :, 5:] = -100
    loss = BootstrappedDice(0, 0, 1.0)
    terms = loss([prediction(logits)], [labels], torch.ones(2, 2), 1, GENERATOR)
    terms["total"].backward()
    assert not logits.grad[..., 5:].any()
    assert logits.grad[..., :5].any()
    seen = loss([prediction(logits[..., :5])], [labels[..., :5]], torch.ones(2, 2), 1, GENERATOR)
    torch.testing.assert_close(terms["dice_1"], seen["dice_1"])
    torch.testing.assert_close(terms["frame_1"], seen["frame_1"] * 5 / 8)  # of all pixels
