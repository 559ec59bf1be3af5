"""What is Cutie's own; tests/networks/test_every_network.py has what it shares with the others."""

import pytest
import torch
from tests.networks.walks import clip, loss_of, tiny, walk

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.official import load_official
from oneshot_vos.networks.cutie.network import Cutie
from oneshot_vos.networks.cutie.object_transformer import PositionalEncoding, attention_mask


def test_auxiliary_outputs_are_for_training_alone():
    network = tiny("cutie").eval()
    frames, _, masks = clip(1, 2)
    assert walk(network, frames, masks)[-1].auxiliary == {}
    trained = walk(network.train(), frames, masks)[-1].auxiliary
    assert {name: tuple(maps.shape) for name, maps in trained.items()} == {
        "sensory": (1, 3, 3, 4),
        "query": (1, 3, 3, 3, 4),
    }


def test_training_and_evaluation_compute_the_same():
    network = tiny("cutie", norm="frozen_batch")
    frames, _, masks = clip(1, 2)
    with torch.no_grad():
        trained = walk(network.train(), frames, masks)[-1].logits
        evaluated = walk(network.eval(), frames, masks)[-1].logits
    torch.testing.assert_close(trained, evaluated)


def test_updates_move_the_state_only_when_asked():
    network = tiny("cutie").eval()
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
    network = tiny("cutie").eval()
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
    network = tiny("cutie").eval()
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


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_empty_and_full_masks_stay_finite(fill):
    network = tiny("cutie").train()
    frames, labels, masks = clip(1, 2)
    masks = torch.full_like(masks, 0.0)
    masks[:, 0] = fill
    predictions = walk(network, frames, masks)
    assert all(prediction.logits.isfinite().all() for prediction in predictions)
    loss_of("cutie", predictions, labels).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_masks_are_enlarged_after_they_are_weighed():
    network = tiny("cutie")
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
    encoding = PositionalEncoding(8)
    assert encoding(1, 3)[:, 4:].tolist() == [[0.0, 1.0, 0.0, 1.0]] * 3
    before = encoding(2, 3)
    encoding.load_state_dict({"inv_freq": torch.tensor([0.5, 0.25])})
    assert not torch.allclose(encoding(2, 3), before)


def test_encodings_made_for_inference_do_not_hinder_training():
    network = tiny("cutie").train()
    frames, labels, masks = clip(1, 1)
    with torch.inference_mode():
        walk(network, frames, masks)
    loss_of("cutie", walk(network, frames, masks), labels).backward()


def test_bfloat16_trains_and_keeps_what_must_be_exact():
    network = tiny("cutie").train()
    frames, labels, masks = clip(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        features = network.encode(frames[:, 0])
        frame, (sensory,) = network.memorise(features, masks, network.initial_state(features, 2))
        predictions = walk(network, frames, masks)
        loss = loss_of("cutie", predictions, labels)
    assert features.pixels.dtype == torch.bfloat16
    exact = (*features[-3:], frame.summary, sensory, predictions[-1].logits, *predictions[-1].auxiliary.values())
    assert all(tensor.dtype == torch.float32 for tensor in exact)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    with torch.no_grad():
        expected = walk(network, frames, masks)[-1].masks
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
    single, many = tiny("cutie", single_object=True).eval(), tiny("cutie").eval()
    frames, _, masks = clip(1, 1)
    with torch.no_grad():
        expected = walk(single, frames, masks)[-1].logits
        load_official(many, single.state_dict())  # widened by zeros: no other objects, no change
        torch.testing.assert_close(walk(many, frames, masks)[-1].logits, expected)
        load_official(many, single.state_dict(), generator=torch.Generator().manual_seed(0))
        for name in Cutie.others_channels:
            added = many.state_dict()[name][:, -1].flatten(1)
            gram = added.T @ added if added.shape[0] >= added.shape[1] else added @ added.T
            torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
        fresh = tiny("cutie", single_object=True).eval()
        load_official(fresh, many.state_dict())
        torch.testing.assert_close(walk(fresh, frames, masks)[-1].logits, expected)


def test_weights_that_serve_training_alone_may_be_absent():
    network = tiny("cutie")
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
    network = tiny("cutie")
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
