"""Cutie's variants through the interface that training and inference use."""

from typing import Any

import pytest
import torch
from torch import Tensor

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.official import load_official
from oneshot_vos.networks.cutie.network import Cutie
from oneshot_vos.networks.cutie.object_transformer import PositionalEncoding, attention_mask
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

TINY: dict[str, Any] = {
    "pixel_block": "basic",
    "pixel_widths": (8, 12, 16),
    "pixel_depths": (1, 1, 1),
    "mask_widths": (8, 12, 16),
    "mask_depths": (1, 1, 1),
    "key_dim": 8,
    "value_dim": 16,
    "queries": 4,
    "transformer_blocks": 2,
    "heads": 2,
    "feedforward": 32,
    "decoder_dims": (16, 12, 8),
    "norm": "group",
}


def tiny(**changes: Any) -> Cutie:
    torch.manual_seed(0)
    return Cutie(**{**TINY, **changes})


def walk(network: Cutie, frames: Tensor, masks: Tensor, present: Tensor, *, deep: float = 1.0) -> list[Prediction]:
    """Predict frames [B, T, 3, H, W] one after another from the masks [B, K, H, W] of the first."""
    order = range(frames.shape[1])
    features = encode_clip(network, frames, learn=order)
    generators = Generators.of(0, 0, range(len(present)))
    return propagate(network, features, order, masks, present, RolloutOptions(None, deep), generators)


def clip(batch: int, objects: int, *, frames: int = 3, height: int = 48, width: int = 64):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, objects + 1, (batch, height // 8, width // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    masks = torch.stack([(labels == k).float() for k in range(1, objects + 1)], 1)
    return torch.randn(batch, frames, 3, height, width, generator=generator), labels, masks


def loss_of(predictions: list[Prediction], labels: Tensor, present: Tensor) -> Tensor:
    """The loss of predictions against the same classes [B, H, W] in every frame."""
    loss = build_loss("cutie", {"points": 200})
    generators = Generators.of(0, 0, range(len(present)))
    total: Tensor = loss(predictions, [labels] * len(predictions), present, 0, generators)["total"]
    return total


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("change", [{}, {"norm": "frozen_batch", "pixel_block": "bottleneck"}])
def test_small_variants_learn(objects, change):
    torch.manual_seed(0)
    network = build_network("cutie", {**TINY, **change}).train()
    frames, labels, masks = clip(2, objects)
    present = torch.ones(2, objects)
    predictions = walk(network, frames, masks, present)
    assert predictions[-1].logits.shape == (2, objects + 1, 48, 64)
    assert predictions[-1].masks.shape == (2, objects, 48, 64)
    assert predictions[-1].auxiliary["sensory"].shape == (2, objects + 1, 3, 4)
    assert predictions[-1].auxiliary["query"].shape == (2, objects + 1, 3, 3, 4)
    # The last frame alone, as in one-shot training: all that led to it learns.
    loss_of(predictions[-1:], labels, present).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_two_steps_fill_what_one_step_leaves_empty():
    """With two frames the decoder's update of the state is never used; this is why one-step training is refused."""
    network = tiny().train()
    frames, labels, masks = clip(1, 1, frames=2)
    loss_of(walk(network, frames, masks, torch.ones(1, 1)), labels, torch.ones(1, 1)).backward()
    empty = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert empty
    assert all(name.startswith("mask_decoder.sensory_update.") for name in empty)


def test_auxiliary_outputs_are_for_training_alone():
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    assert walk(network, frames, masks, torch.ones(1, 2))[-1].auxiliary == {}


def test_training_and_evaluation_compute_the_same():
    network = tiny(norm="frozen_batch")
    frames, _, masks = clip(1, 2)
    with torch.no_grad():
        trained = walk(network.train(), frames, masks, torch.ones(1, 2))[-1].logits
        evaluated = walk(network.eval(), frames, masks, torch.ones(1, 2))[-1].logits
    torch.testing.assert_close(trained, evaluated)


def test_updates_move_the_state_only_when_asked():
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    features = network.encode(frames[:, 0])
    start = network.initial_state(features, 2)
    assert start[0].shape == (1, 2, 16, 3, 4)
    frame, shallow = network.memorise(features, masks, start, deep=False)
    deep_frame, deep = network.memorise(features, masks, start, deep=True)
    assert shallow[0] is start[0]
    assert not torch.equal(deep[0], start[0])
    torch.testing.assert_close(deep_frame.value, frame.value)  # values do not depend on the state
    memory = ClipMemory()
    memory.add(frame)
    updated, after = network.segment(features, memory, deep, masks)
    kept, before = network.segment(features, memory, deep, masks, update=False)
    torch.testing.assert_close(updated.logits, kept.logits)
    assert before[0] is deep[0]
    assert not torch.equal(after[0], deep[0])


def test_what_a_prediction_depends_on():
    """The state, the masks before and the object memory all matter, each by itself."""
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    features = network.encode(frames[:, 0])
    start = network.initial_state(features, 2)
    frame, moved = network.memorise(features, masks, start)
    memory, flipped = ClipMemory(), ClipMemory()
    memory.add(frame)
    flipped.add(frame._replace(summary=frame.summary.flip(1)))
    with torch.no_grad():
        plain = network.segment(features, memory, moved, masks)[0].logits
        others = [
            network.segment(features, memory, start, masks)[0].logits,
            network.segment(features, memory, moved, masks.flip(1))[0].logits,
            network.segment(features, flipped, moved, masks)[0].logits,
        ]
    for other in others:
        assert not torch.allclose(other, plain, atol=1e-4)


def test_summaries_add_up():
    """Two equal frames say of an object what one says: sums and areas both double."""
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    features = network.encode(frames[:, 0])
    frame, state = network.memorise(features, masks, network.initial_state(features, 2))
    once, twice = ClipMemory(), ClipMemory()
    for memory, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            memory.add(frame)
    with torch.no_grad():
        a = network.segment(features, once, state, masks)[0].logits
        b = network.segment(features, twice, state, masks)[0].logits
    torch.testing.assert_close(a, b, atol=2e-3, rtol=0)


def test_objects_are_interchangeable():
    network = tiny().eval()
    frames, _, masks = clip(1, 3)
    with torch.no_grad():
        straight = walk(network, frames, masks, torch.ones(1, 3))[-1].masks
        turned = walk(network, frames, masks.flip(1), torch.ones(1, 3))[-1].masks
    torch.testing.assert_close(turned.flip(1), straight, atol=1e-5, rtol=1e-4)


def test_absent_object_changes_nothing():
    network = tiny().train()
    frames, labels, masks = clip(1, 1)
    padded = torch.cat([masks, torch.zeros_like(masks)], 1)
    present = torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        alone = walk(network, frames, masks, torch.ones(1, 1))
        beside = walk(network, frames, padded, present)
    torch.testing.assert_close(beside[-1].masks[:, :1], alone[-1].masks, atol=1e-5, rtol=1e-4)
    assert beside[-1].masks[:, 1].max() < 1e-6
    torch.testing.assert_close(
        loss_of(beside, labels, present), loss_of(alone, labels, torch.ones(1, 1)), atol=1e-4, rtol=1e-4
    )


def test_samples_of_a_batch_are_independent():
    network = tiny().eval()
    frames, _, masks = clip(3, 2)
    with torch.no_grad():
        batched = walk(network, frames, masks, torch.ones(3, 2))[-1].logits
        single = walk(network, frames[1:2], masks[1:2], torch.ones(1, 2))[-1].logits
    torch.testing.assert_close(batched[1:2], single, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_empty_and_full_masks_stay_finite(fill):
    network = tiny().train()
    frames, labels, masks = clip(1, 2)
    masks = torch.full_like(masks, 0.0)
    masks[:, 0] = fill
    predictions = walk(network, frames, masks, torch.ones(1, 2))
    assert all(prediction.logits.isfinite().all() for prediction in predictions)
    loss_of(predictions, labels, torch.ones(1, 2)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_masks_are_enlarged_after_they_are_weighed():
    network = tiny()
    logits = torch.randn(1, 2, 12, 16, generator=torch.Generator().manual_seed(0))
    combined = network.combine(logits, torch.tensor([[1.0, 0.0]]))
    assert combined.shape == (1, 3, 48, 64)
    assert combined[:, 2].max() == pytest.approx(-16.118, abs=1e-3)
    torch.testing.assert_close(combined[:, 0], -combined[:, 1], atol=1e-4, rtol=0)  # one object: odds and their inverse


def test_attention_of_foreground_and_background_queries():
    aggregated = torch.tensor([[[2.0, 0.0]], [[1.0, 3.0]], [[1.0, 1.0]]]).unsqueeze(0)  # background and two objects
    allowed = attention_mask(aggregated)
    assert allowed.shape == (1, 2, 2, 1, 2)
    assert allowed[0, 0].flatten().tolist() == [False, True, True, False]
    # The second object is nowhere: its foreground queries see everything.
    assert allowed[0, 1].flatten().tolist() == [True, True, True, True]


def test_the_frequencies_come_from_the_weights_and_a_single_row_has_position_zero():
    encoding = PositionalEncoding(8, 32.0, 128.0)
    assert encoding(1, 3)[:, 4:].tolist() == [[0.0, 1.0, 0.0, 1.0]] * 3
    before = encoding(2, 3)
    encoding.load_state_dict({"inv_freq": torch.tensor([0.5, 0.25])})
    assert not torch.allclose(encoding(2, 3), before)


def test_encodings_made_for_inference_do_not_hinder_training():
    network = tiny().train()
    frames, labels, masks = clip(1, 1)
    with torch.inference_mode():
        walk(network, frames, masks, torch.ones(1, 1))
    loss_of(walk(network, frames, masks, torch.ones(1, 1)), labels, torch.ones(1, 1)).backward()


def test_channels_last_gives_the_same():
    network = tiny().eval()
    frames, _, masks = clip(1, 2)
    with torch.no_grad():
        plain = walk(network, frames, masks, torch.ones(1, 2))[-1].logits
        network.to(memory_format=torch.channels_last)
        last = walk(network, frames, masks, torch.ones(1, 2))[-1].logits
    torch.testing.assert_close(last, plain, atol=1e-4, rtol=1e-4)


def test_bfloat16_trains_and_keeps_what_must_be_exact():
    network = tiny().train()
    frames, labels, masks = clip(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        features = network.encode(frames[:, 0])
        frame, (sensory,) = network.memorise(features, masks, network.initial_state(features, 2))
        predictions = walk(network, frames, masks, torch.ones(1, 2))
        loss = loss_of(predictions, labels, torch.ones(1, 2))
    assert features.pixels.dtype == torch.bfloat16
    exact = (*features[-3:], frame.summary, sensory, predictions[-1].logits, *predictions[-1].auxiliary.values())
    assert all(tensor.dtype == torch.float32 for tensor in exact)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    with torch.no_grad():
        expected = walk(network, frames, masks, torch.ones(1, 2))[-1].masks
    assert (predictions[-1].masks - expected).abs().max() < 0.1


def test_the_published_start_of_the_attention():
    """Uniform within 1/sqrt(D), as PyTorch's own attention starts: of the published width 256, a deviation of 0.036."""
    network = Cutie()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.start_as_published(torch.Generator().manual_seed(0))
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert len(changed) == 9  # three attentions in each of three blocks
    for name in changed:
        assert name.endswith("_attn.out_proj.weight")
        weight = network.state_dict()[name]
        assert abs(float(weight.std()) - 0.0361) < 0.0005
        assert weight.abs().max() <= 1 / 16


def test_single_object_network_takes_and_gives_weights_of_the_other_kind():
    single, many = tiny(single_object=True).eval(), tiny().eval()
    frames, _, masks = clip(1, 1)
    with torch.no_grad():
        expected = walk(single, frames, masks, torch.ones(1, 1))[-1].logits
        load_official(many, single.state_dict())  # widened by zeros: no other objects, no change
        torch.testing.assert_close(walk(many, frames, masks, torch.ones(1, 1))[-1].logits, expected)
        load_official(many, single.state_dict(), generator=torch.Generator().manual_seed(0))
        for name in Cutie.others_channels:
            added = many.state_dict()[name][:, -1].flatten(1)
            gram = added.T @ added if added.shape[0] >= added.shape[1] else added @ added.T
            torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
        fresh = tiny(single_object=True).eval()
        load_official(fresh, many.state_dict())
        torch.testing.assert_close(walk(fresh, frames, masks, torch.ones(1, 1))[-1].logits, expected)


def test_weights_that_serve_training_alone_may_be_absent():
    network = tiny()
    state = network.state_dict()
    wanted = {name: tensor for name, tensor in state.items() if not name.startswith(network.optional_weights)}
    assert {name.rpartition(".")[0] for name in state.keys() - wanted.keys()} == {
        "aux_computer.sensory_aux.projection",
        "object_transformer.mask_pred.2.1",
    }
    load_official(network, wanted)
    del wanted["object_transformer.mask_pred.1.1.weight"]
    with pytest.raises(UserError, match=r"mask_pred\.1\.1\.weight"):
        load_official(network, wanted)


def test_parameter_groups():
    network = tiny()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    pixels, embeddings, rest = network.parameter_groups()
    assert (pixels.rate, pixels.decay, embeddings.rate, embeddings.decay) == (0.1, 1.0, 1.0, 0.0)
    assert all(names[id(parameter)].startswith("pixel_encoder.") for parameter in pixels.parameters)
    assert [names[id(parameter)].removeprefix("object_transformer.") for parameter in embeddings.parameters] == [
        "query_init.weight",
        "query_emb.weight",
        "summary_to_query_init.weight",
        "summary_to_query_emb.weight",
    ]
    assert sum(len(group.parameters) for group in (pixels, embeddings, rest)) == len(names)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"norm": "batch"}, "batch"),
        ({"pixel_block": "wide"}, "wide"),
        ({"mask_widths": (8, 16)}, "three stages"),
        ({"queries": 5}, "queries 5"),
        ({"heads": 3}, "3 heads"),
        ({"transformer_blocks": 0}, "0 transformer_blocks"),
        ({"value_dim": 18, "decoder_dims": (18, 8, 8)}, "value_dim 18"),
        ({"decoder_dims": (12, 12, 8)}, r"decoder_dims \[12, 12, 8\].*16"),
        ({"decoder_dims": (16, 8)}, r"decoder_dims \[16, 8\]"),
    ],
)
def test_wrong_arguments_are_refused(wrong, named):
    with pytest.raises(UserError, match=named):
        Cutie(**{**TINY, **wrong})
