"""The loss at sampled points."""

from typing import Any

import pytest
import torch
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_loss
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.cutie.loss import PointLoss, sample, score_points


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generators(seed: int = 0) -> Generators:
    return Generators.of(seed, 0, range(3))


def prediction(logits: Tensor, **auxiliary: Tensor) -> Prediction:
    return Prediction(logits, logits.softmax(1)[:, 1:], auxiliary)


def clips(batch: int, objects: int, frames: int = 2) -> tuple[list[Prediction], list[Tensor]]:
    """Random predictions with all auxiliary maps, and targets."""
    draw = generator(3)
    predictions = [
        prediction(
            torch.randn(batch, objects + 1, 24, 32, generator=draw),
            sensory=torch.randn(batch, objects + 1, 6, 8, generator=draw),
            query=torch.randn(batch, objects + 1, 3, 6, 8, generator=draw),
        )
        for _ in range(frames)
    ]
    return predictions, [torch.randint(0, objects + 1, (batch, 24, 32), generator=draw) for _ in range(frames)]


def plain(predictions: list[Prediction]) -> list[Prediction]:
    return [p._replace(auxiliary={}) for p in predictions]


def test_terms_and_their_sum():
    predictions, targets = clips(2, 2)
    terms = build_loss("cutie", {"points": 64})(predictions, targets, torch.ones(2, 2), 0, generators())
    levels = [f"query_{kind}_{level}" for level in range(3) for kind in ("ce", "dice")]
    assert list(terms) == ["total", "ce", "dice", "sensory_ce", "sensory_dice", *levels]
    torch.testing.assert_close(terms["total"], sum(term for name, term in terms.items() if name != "total"))


def test_points_of_the_recipe_do_not_depend_on_how_a_batch_is_cut():
    """The same predictions give the same terms and gradients; tests/training/test_equality.py has whole trainings."""
    predictions, targets = clips(4, 2)
    logits = [p.logits.requires_grad_() for p in predictions]
    present = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    loss = build_loss("cutie", {"points": 64, "importance": 0.75})

    def part(clips: slice) -> dict[str, Tensor]:
        cut = [
            Prediction(p.logits[clips], p.masks[clips], {k: v[clips] for k, v in p.auxiliary.items()})
            for p in predictions
        ]
        drawn = Generators.of(0, 5, range(4)[clips])
        terms: dict[str, Tensor] = loss(cut, [target[clips] for target in targets], present[clips], 0, drawn)
        return terms

    whole = part(slice(4))
    halves = part(slice(2)), part(slice(2, 4))
    for name, value in whole.items():
        torch.testing.assert_close(value, (halves[0][name] + halves[1][name]) / 2, msg=name)
    gradients = torch.autograd.grad(whole["total"], logits)
    again = torch.autograd.grad((halves[0]["total"] + halves[1]["total"]) / 2, logits)
    for one, other in zip(gradients, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_without_auxiliary_maps_only_the_masks_count():
    predictions, targets = clips(2, 2)
    terms = PointLoss(64)(plain(predictions), targets, torch.ones(2, 2), 0, generators())
    assert list(terms) == ["total", "ce", "dice"]


def test_weights_of_the_auxiliary_maps():
    predictions, targets = clips(1, 1)
    light = PointLoss(64)(predictions, targets, torch.ones(1, 1), 0, generators())
    heavy = PointLoss(64, sensory_weight=0.1, query_weight=0.02)(
        predictions, targets, torch.ones(1, 1), 0, generators()
    )
    for name, factor in (("ce", 1), ("sensory_dice", 10), ("query_ce_2", 2)):
        torch.testing.assert_close(heavy[name], factor * light[name])


def test_sum_over_frames_and_mean_over_clips():
    """Of equal frames each counts fully; equal clips count once. (Points differ, so the maps are constant.)"""
    logits = torch.tensor([0.3, -0.2]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    target = torch.ones(1, 8, 8).long()

    def total(frames: int, batch: int) -> Tensor:
        # Inside half a pixel of the border labels and logits fade; a wide middle and many points hide that.
        return PointLoss(20000, importance=0.0)(
            [prediction(logits.expand(batch, -1, -1, -1))] * frames,
            [target.expand(batch, -1, -1)] * frames,
            torch.ones(batch, 1),
            0,
            generators(),
        )["total"]

    torch.testing.assert_close(total(3, 1), 3 * total(1, 1), rtol=0.02, atol=0)
    torch.testing.assert_close(total(1, 3), total(1, 1), rtol=0.02, atol=0)


def test_each_clip_counts_its_own_objects():
    predictions, targets = clips(2, 2)
    targets = [target.clamp(max=1) for target in targets]
    loss, present = PointLoss(64), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    padded = loss(predictions, targets, present, 0, generators())
    cut = [
        Prediction(p.logits[:, :2], p.masks[:, :1], {name: maps[:, :2] for name, maps in p.auxiliary.items()})
        for p in predictions
    ]
    alone = loss(cut, targets, torch.ones(2, 1), 0, generators())
    assert padded == alone


def test_empty_slots_get_no_gradient():
    predictions, targets = clips(1, 2)
    logits = predictions[0].logits.requires_grad_()
    present = torch.tensor([[1.0, 0.0]])
    target = targets[0].clamp(max=1)
    PointLoss(64)([prediction(logits)], [target], present, 0, generators())["total"].backward()
    assert logits.grad is not None
    assert logits.grad[:, 2].abs().max() == 0
    assert logits.grad[:, :2].abs().max() > 0


def test_a_clip_without_objects_adds_nothing():
    predictions, targets = clips(2, 1)
    logits = [p.logits.requires_grad_() for p in predictions]
    loss = PointLoss(64)
    terms = loss(plain(predictions), targets, torch.tensor([[0.0], [1.0]]), 0, generators())
    second = [prediction(frame[1:]) for frame in logits]
    own = Generators.of(0, 0, [1])
    alone = loss(second, [target[1:] for target in targets], torch.ones(1, 1), 0, own)
    torch.testing.assert_close(terms["total"], alone["total"] / 2)
    assert loss(plain(predictions), targets, torch.zeros(2, 1), 0, generators())["total"] == 0
    terms["total"].backward()
    assert all(frame.grad is not None and frame.grad.isfinite().all() for frame in logits)


def test_points_lie_where_the_masks_are_unsure():
    columns = torch.linspace(-8, 8, 64).expand(1, 1, 48, 64)  # the foreground's logit crosses 0 in the middle
    logits = torch.cat([-columns, columns], 1)
    points = PointLoss(100).choose_points(logits, generator())
    assert points.shape == (1, 100, 2)
    unsure, others = points[0, :75, 0], points[0, 75:, 0]
    assert (unsure - 0.5).abs().max() < 0.2
    assert (others - 0.5).abs().max() > 0.3
    three = torch.cat([columns, -columns, columns.new_full(columns.shape, -20)], 1)
    unsure = PointLoss(100).choose_points(three, generator())[0, :75, 0]
    assert (unsure - 0.5).abs().max() < 0.2


def test_the_generator_alone_decides():
    predictions, targets = clips(2, 2)
    loss, present = PointLoss(64), torch.ones(2, 2)
    first = loss(predictions, targets, present, 0, generators(1))["total"]
    torch.manual_seed(5)
    assert loss(predictions, targets, present, 10**6, generators(1))["total"] == first
    assert loss(predictions, targets, present, 0, generators(2))["total"] != first


def test_samples_are_bilinear():
    maps = torch.arange(4.0).view(1, 1, 2, 2)  # 0 1 / 2 3
    points = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [0.0, 0.25]]])
    torch.testing.assert_close(sample(maps, points), torch.tensor([[[0.0, 1.0, 1.5, 0.0]]]))


def test_certain_and_right_costs_nothing_and_wrong_is_finite():
    truth = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 2).repeat(1, 1, 10)
    entropy, dice = score_points(32 * truth - 16, truth)
    assert entropy.item() == pytest.approx(0, abs=1e-5)
    assert dice.item() == pytest.approx(0, abs=1e-5)
    entropy, dice = score_points(16 - 32 * truth, truth)
    assert entropy.item() == pytest.approx(32, rel=1e-3)
    assert 0.9 < dice.item() < 1


@pytest.mark.parametrize("wrong", [{"points": 0}, {"oversample": 0.5}, {"importance": 1.5}, {"importance": -0.1}])
def test_wrong_arguments_are_refused(wrong: dict[str, Any]):
    (name,) = wrong
    with pytest.raises(UserError, match=f"{name} {wrong[name]}"):
        PointLoss(**wrong)


def test_an_unknown_argument_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"cutie\.loss.*point.*points"):
        build_loss("cutie", {"point": 5})


def test_void_pixels_teach_nothing():
    predictions, targets = clips(1, 2, frames=1)
    logits = predictions[0].logits.detach().requires_grad_()
    targets[0][..., 16:] = -100
    loss = build_loss("cutie", {"points": 4000, "importance": 0.0})
    loss([prediction(logits)], targets, torch.ones(1, 2), 0, generators())["total"].backward()
    assert not logits.grad[..., 17:].any()  # a point is a mean of its neighbours
    assert logits.grad[..., :16].any()
