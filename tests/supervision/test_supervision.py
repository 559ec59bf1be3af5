"""One-shot and full supervision on a tiny network."""

from typing import Any

import pytest
import torch
from tests.stages.clips import TINY
from torch import Tensor

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.supervision import STRATEGIES
from oneshot_vos.supervision.backward import TStep, TwoStep
from oneshot_vos.supervision.build import build_strategy, check_settings
from oneshot_vos.supervision.empty import EmptyReference
from oneshot_vos.supervision.full import FullSupervision
from oneshot_vos.supervision.one_shot import hard, soft
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

BATCH, FRAMES, OBJECTS, SIZE = 2, 4, 2, 32
EVERYTHING = RolloutOptions()


def draws() -> Generators:
    return Generators.of(0, 0, range(BATCH))


class CountingSTCN(STCN):
    """Counts the images that are encoded, with and without gradient."""

    def __init__(self) -> None:
        super().__init__(**TINY["stcn"])
        self.encoded = {True: 0, False: 0}

    def encode(self, image: Tensor) -> Any:
        self.encoded[torch.is_grad_enabled()] += image.shape[0]
        return super().encode(image)


@pytest.fixture
def network() -> CountingSTCN:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return CountingSTCN()


@pytest.fixture
def clip() -> ClipBatch:
    draws = torch.Generator().manual_seed(2)
    targets = torch.randint(0, OBJECTS + 1, (BATCH, FRAMES, SIZE, SIZE), generator=draws)
    one_hot = torch.nn.functional.one_hot(targets[:, 0], OBJECTS + 1).movedim(-1, 1)[:, 1:].float()
    return ClipBatch(
        frames=torch.randn(BATCH, FRAMES, 3, SIZE, SIZE, generator=draws),
        first_masks=one_hot,
        targets=targets,
        labelled=torch.ones(BATCH, FRAMES, dtype=torch.bool),
        present=torch.ones(BATCH, OBJECTS),
        names=["a", "b"],
    )


def gradients(network: STCN) -> list[Tensor]:
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize(("name", "learned"), [("t_step", FRAMES), ("two_step", 3), ("one_step", 2)])
def test_each_frame_is_encoded_once_and_only_the_way_back_learns(
    network: CountingSTCN, clip: ClipBatch, name: str, learned: int
) -> None:
    strategy = build_strategy(name, {}, network, BootstrappedCrossEntropy(), EVERYTHING)
    strategy(clip, 0, draws())["total"].backward()
    assert network.encoded == {True: BATCH * learned, False: BATCH * (FRAMES - learned)}
    assert all(p.grad is not None for p in network.parameters())


def test_the_loss_sees_no_label_but_the_first(network: CountingSTCN, clip: ClipBatch) -> None:
    strategy = TStep(network, BootstrappedCrossEntropy(), EVERYTHING)
    clean = strategy(clip, 0, draws())["total"]
    clip.targets[:, 1:] = -999
    assert torch.equal(strategy(clip, 0, draws())["total"], clean)


def test_one_shot_is_forward_inference_then_backward_reconstruction(network: CountingSTCN, clip: ClipBatch) -> None:
    """The gradient equals that of the method written out with its forward pass cut off by hand."""
    strategy = TStep(network, BootstrappedCrossEntropy(), EVERYTHING)
    strategy(clip, 0, draws())["total"].backward()
    ours = gradients(network)

    network.zero_grad()
    features = encode_clip(network, clip.frames, learn=range(FRAMES))
    ahead = propagate(network, features, range(FRAMES), clip.first_masks, clip.present, EVERYTHING, draws())
    back = propagate(network, features, [3, 2, 1, 0], ahead[-1].masks.detach(), clip.present, EVERYTHING, draws())
    loss = torch.nn.functional.cross_entropy(back[-1].logits, clip.targets[:, 0])
    loss.backward()
    for mine, written_out in zip(ours, gradients(network), strict=True):
        torch.testing.assert_close(mine, written_out, rtol=1e-4, atol=1e-6)


def test_the_way_back_starts_from_what_the_forward_pass_predicts(network: CountingSTCN, clip: ClipBatch) -> None:
    handed: list[Tensor] = []

    def spy(prediction: Prediction) -> Tensor:
        handed.append(prediction.masks)
        return soft(prediction)

    strategy = TwoStep(network, BootstrappedCrossEntropy(), EVERYTHING)
    strategy.handover = spy
    strategy(clip, 0, draws())
    clip.first_masks = 1 - clip.first_masks
    strategy(clip, 0, draws())
    assert not torch.equal(handed[0], handed[1])  # the first masks travel through the forward pass
    assert not handed[0].requires_grad


def test_full_supervision_sums_over_the_predicted_frames(network: CountingSTCN, clip: ClipBatch) -> None:
    terms = FullSupervision(network, BootstrappedCrossEntropy(), EVERYTHING)(clip, 0, draws())
    frames = [terms[f"frame_{t}"] for t in range(1, FRAMES)]
    torch.testing.assert_close(terms["total"], torch.stack(frames).sum())
    assert network.encoded == {True: BATCH * FRAMES, False: 0}


def test_soft_and_hard_references() -> None:
    logits = torch.tensor([[[[2.0, 0.0]], [[1.0, 3.0]], [[0.0, 1.0]]]])  # background wins, then object 1
    prediction = Prediction(logits, logits.softmax(1)[:, 1:], {})
    assert torch.equal(soft(prediction), prediction.masks)
    assert torch.equal(hard(prediction), torch.tensor([[[[0.0, 1.0]], [[0.0, 0.0]]]]))


def test_one_step_is_refused_for_recurrent_networks(network: CountingSTCN) -> None:
    network.recurrent = True
    with pytest.raises(UserError, match="'one_step' cannot train CountingSTCN"):
        build_strategy("one_step", {}, network, BootstrappedCrossEntropy(), EVERYTHING)
    build_strategy("two_step", {}, network, BootstrappedCrossEntropy(), EVERYTHING)


def test_unknown_names_are_refused_with_the_nearest(network: CountingSTCN) -> None:
    with pytest.raises(UserError, match="unknown strategy 'two-step': did you mean 'two_step'"):
        build_strategy("two-step", {}, network, BootstrappedCrossEntropy(), EVERYTHING)
    with pytest.raises(UserError, match="unknown handover 'sotf': did you mean 'soft'"):
        build_strategy("two_step", {}, network, BootstrappedCrossEntropy(), RolloutOptions(handover="sotf"))


def test_every_strategy_can_be_built(network: CountingSTCN) -> None:
    for name in STRATEGIES:
        assert isinstance(build_strategy(name, {}, network, BootstrappedCrossEntropy(), EVERYTHING), torch.nn.Module)


def test_an_empty_reference_hides_the_masks_and_merges_the_objects(network: CountingSTCN, clip: ClipBatch) -> None:
    strategy = EmptyReference(network, BootstrappedCrossEntropy(), EVERYTHING)
    clean = strategy(clip, 0, draws())["total"]
    clip.first_masks = 1 - clip.first_masks  # never looked at
    clip.targets[:, 1:] = -999  # nor these
    clip.targets[:, 0] = clip.targets[:, 0].clamp(max=1) * 2  # which object it is does not matter
    assert torch.equal(strategy(clip, 0, draws())["total"], clean)
    clean.backward()
    assert network.encoded == {True: 2 * BATCH * 3, False: 0}
    assert all(p.grad is not None for p in network.parameters())


class Watched(CountingSTCN):
    """Records how it is walked through a clip."""

    def __init__(self) -> None:
        super().__init__()
        self.deep: list[bool] = []
        self.updates: list[bool] = []

    def memorise(self, *args: Any, deep: bool = True) -> Any:
        self.deep.append(deep)
        return super().memorise(*args, deep=deep)

    def decode(self, *args: Any, update: bool = True) -> Any:
        self.updates.append(update)
        return super().decode(*args, update=update)


@pytest.mark.parametrize(("probability", "deep"), [(0.0, [True, False, False]), (1.0, [True, True, True])])
def test_the_state_takes_up_the_reference_and_some_predictions(
    clip: ClipBatch, probability: float, deep: list[bool]
) -> None:
    network = Watched()
    FullSupervision(network, BootstrappedCrossEntropy(), RolloutOptions(deep_update=probability))(clip, 0, draws())
    assert network.deep == deep
    assert network.updates == [True, True, False]  # nothing comes after the last frame


def test_deep_updates_come_as_often_as_asked() -> None:
    draws = RolloutOptions(deep_update=0.2).draw_deep_updates(5001, torch.Generator().manual_seed(0))
    assert draws[0]
    assert len(draws) == 5001
    assert 0.18 < sum(draws[1:]) / 5000 < 0.22


def test_absent_objects_do_not_matter(network: CountingSTCN, clip: ClipBatch) -> None:
    """What stands in the mask of an object that is not present changes the loss through nothing but its value."""
    clip.present[:, 1] = 0
    clip.first_masks[:, 1] = 0
    clip.targets[clip.targets == OBJECTS] = 0
    terms = FullSupervision(network, BootstrappedCrossEntropy(), EVERYTHING)(clip, 0, draws())
    assert torch.isfinite(terms["total"])


def test_every_prediction_there_and_back_reaches_the_objective(network: CountingSTCN, clip: ClipBatch) -> None:
    class Watching(TStep):
        def objective(self, clip: ClipBatch, path: Any, ahead: Any, back: Any, *rest: Any) -> dict[str, Tensor]:
            self.seen = (list(path), ahead, back)
            return super().objective(clip, path, ahead, back, *rest)

    strategy = Watching(network, BootstrappedCrossEntropy(), EVERYTHING)
    strategy(clip, 0, draws())
    path, ahead, back = strategy.seen
    assert path == [3, 2, 1, 0]
    assert len(ahead) == len(back) == 3
    assert not any(prediction.masks.requires_grad for prediction in ahead)
    assert all(prediction.masks.requires_grad for prediction in back)


def test_settings_of_a_strategy_are_checked(network: CountingSTCN) -> None:
    with pytest.raises(UserError, match=r"strategy\.two_step\.steps: unknown key"):
        build_strategy("two_step", {"steps": 3}, network, BootstrappedCrossEntropy(), EVERYTHING)
    with pytest.raises(UserError, match=r"runs\.x\.strategy\.steps: unknown key"):
        check_settings("t_step", {"steps": 3}, "runs.x.strategy")
    check_settings("t_step", {}, "runs.x.strategy")
    for settings in ({"decay": 2}, {"decay": float("nan")}, {"agreement": -0.1}):
        with pytest.raises(UserError, match=r"ema_teacher: decay is .* expected a share from 0 to 1, and at least 0"):
            build_strategy("ema_teacher", settings, network, BootstrappedCrossEntropy(), EVERYTHING)


def test_no_strategy_but_that_with_a_teacher_keeps_a_state(network: CountingSTCN) -> None:
    for name in STRATEGIES:
        state = build_strategy(name, {}, network, BootstrappedCrossEntropy(), EVERYTHING).state()
        assert bool(state) == (name == "ema_teacher")
