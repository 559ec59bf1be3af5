"""XMem against the numbers of the official program; settings come from each file, so any folder of cases will do."""

import itertools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden import build_blank, each_case, load_weights_of, make_clip, read_shapes
from tests.networks.top_k import read_top_k
from torch import Tensor

from oneshot_vos.networks.common.aggregation import aggregate, one_hot
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.losses import BootstrappedDice
from oneshot_vos.networks.common.memory import ClipMemory, memory_tokens, query_tokens, read_full, similarity
from oneshot_vos.networks.common.official import load_official
from oneshot_vos.networks.xmem.network import XMem
from oneshot_vos.params import Optimiser
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate
from oneshot_vos.training.schedule import build_optimiser

pytestmark = pytest.mark.golden

_TOLERANCE = 1e-4  # absolute, plus relative
_SUMS = 1e-3  # absolute; differences of large sums
_HALF = 1e-3  # absolute; stored in float16
_VARIANTS = {"keys": {}, "keys_single_object": {"single_object": True}, "keys_no_hidden": {"hidden_dim": 0}}


@dataclass
class Case:
    """One file of expected numbers."""

    name: str
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def check(self, name: str, actual: Tensor, tolerance: float | None = None) -> None:
        """Compare with the array of this name, within the tolerance that its type asks for."""
        expected = self.tensor(name)
        if tolerance is None:
            tolerance = _HALF if expected.dtype == torch.float16 else _TOLERANCE
        relative = _TOLERANCE if tolerance == _TOLERANCE else 0
        message = f"{self.name}: {name}"
        torch.testing.assert_close(
            actual.detach().float(), expected.float(), atol=tolerance, rtol=relative, msg=lambda m: f"{message}: {m}"
        )

    def check_norms(self, name: str, tensors: Sequence[Tensor]) -> None:
        """Compare the L2 norms of the parameters named in the meta data."""
        pairs = zip(self.meta["parameters"], tensors, self.arrays[name].tolist(), strict=True)
        for parameter, tensor, expected in pairs:
            assert tensor.norm().item() == pytest.approx(expected, rel=2e-3), f"{self.name}: {name} of {parameter}"


class GivenDecisions(RolloutOptions):
    """The random choices of a clip, with the deep updates as the case says."""

    def __init__(self, references: int, deep_updates: list[bool]) -> None:
        super().__init__(references)
        object.__setattr__(self, "given", [True, *deep_updates])

    def draw_deep_updates(self, frames: int, generator: torch.Generator) -> list[bool]:
        assert len(self.given) == frames
        return self.given


@pytest.fixture(scope="module")
def cases(golden_root: Path) -> Callable[[str], Iterator[Case]]:
    """Cases of a kind."""
    return lambda kind: itertools.starmap(Case, each_case(golden_root / "xmem", kind))


@pytest.fixture(scope="module")
def network(golden_root: Path, recipe: types.ModuleType) -> Callable[..., XMem]:
    """The network with the weights of a salt; loaded strictly, through the loader of official files."""

    def build(salt: str, **settings: Any) -> XMem:
        return load_weights_of(recipe, blank(**settings), key_shapes(golden_root, "keys"), salt)

    return build


def blank(**settings: Any) -> XMem:
    return build_blank(lambda: XMem(**settings))


def key_shapes(golden_root: Path, name: str) -> dict[str, list[int]]:
    return read_shapes(golden_root / "xmem", f"{name}.json")


def load_clips(recipe: types.ModuleType, meta: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Normalised images [B, T, 3, H, W] and ids [B, T, H, W] of the clips of a case."""
    videos = meta.get("videos", [meta.get("video")])
    images, labels = [], []
    for video, rgb_crc, ids_crc in zip(videos, meta["rgb_crc32"], meta["ids_crc32"], strict=True):
        frames, ids = make_clip(recipe, video, {"rgb_crc32": rgb_crc, "ids_crc32": ids_crc})
        images.append(frames)
        labels.append(torch.from_numpy(ids.astype(np.int64)))
    return torch.stack(images), torch.stack(labels)


@pytest.mark.parametrize("name", _VARIANTS)
def test_state_dict_is_the_official_one(golden_root, name):
    shapes = key_shapes(golden_root, name)
    with torch.device("meta"):
        state = XMem(**_VARIANTS[name]).state_dict()
    assert list(state) == list(shapes)
    assert {key: list(tensor.shape) for key, tensor in state.items()} == shapes


def test_similarity_and_softmax(cases):
    for case in cases("units"):
        mk, ms, qk, qe = (case.tensor(name) for name in ("mk", "ms", "qk", "qe"))
        # The query-square term that the official program leaves out without selection is kept by selection 1: without
        # shrinkage a softmax cannot see it. Shrinkage without selection is a combination that no network has.
        square = qk.square().sum(1).flatten(1)[:, :, None] / mk.shape[1] ** 0.5
        memory, query = _stored(mk, ms), query_tokens(qk, qe)
        ones = _stored(mk, torch.ones_like(ms))
        plain = torch.cat([memory_tokens(frame) for frame in mk.unbind(2)], 1)
        case.check("similarity_ms_qe", similarity(query, memory).transpose(1, 2), _SUMS)
        case.check("similarity_none_qe", similarity(query, ones).transpose(1, 2), _SUMS)
        case.check("similarity_none_none", similarity(query_tokens(qk), plain).transpose(1, 2), _SUMS)
        without = similarity(query_tokens(qk, torch.ones_like(qk)), ones) + square
        case.check("similarity_none_none", without.transpose(1, 2), _SUMS)
        case.check("softmax_full", _affinity(query, memory, None))
        for name in (name for name in case.arrays if name.startswith("softmax_top")):
            k = int(name.removeprefix("softmax_top"))
            affinity = _affinity(query, memory, k)
            case.check(name, affinity)
            case.check(f"usage_top{k}", affinity.sum(2))


def _stored(mk: Tensor, ms: Tensor) -> Tensor:
    """Memory of keys [B, CK, T, h, w] and shrinkages [B, 1, T, h, w], frame by frame."""
    return torch.cat([memory_tokens(k, s) for k, s in zip(mk.unbind(2), ms.unbind(2), strict=True)], 1)


def _affinity(query: Tensor, memory: Tensor, k: int | None) -> Tensor:
    """Weights [B, N, M]: what is read where every memory position has a value of its own."""
    identity = torch.eye(memory.shape[1]).expand(memory.shape[0], 1, -1, -1)
    read = read_full(query, memory, identity) if k is None else read_top_k(query, memory, identity, k)
    return read[:, 0].transpose(1, 2)


def test_aggregation_and_losses(cases):
    for case in cases("units"):
        logits = aggregate(case.tensor("aggregate_in"))
        case.check("aggregate_logits", logits)
        case.check("aggregate_prob", logits.softmax(1))
        target = case.tensor("target").long()
        for index, iteration in enumerate(case.arrays["its"].tolist()):
            first = _losses([logits[:1]], [target[:1]], iteration)
            assert first["frame_1"].item() == pytest.approx(float(case.arrays["ce"][index]), rel=1e-4)
            assert first["p"].item() == pytest.approx(float(case.arrays["ce_p"][index]), abs=1e-6)
        dice = _losses([logits], [target], 0)["dice_1"]
        assert dice.item() == pytest.approx(float(case.arrays["dice"]), rel=1e-4)


def _losses(logits: list[Tensor], targets: list[Tensor], iteration: int) -> dict[str, Tensor]:
    predictions = [Prediction(frame, frame.softmax(1)[:, 1:], {}) for frame in logits]
    present = torch.ones(logits[0].shape[0], logits[0].shape[1] - 1)
    return BootstrappedDice()(predictions, targets, present, iteration, torch.Generator())


@torch.no_grad()
def test_encode_key(cases, network, recipe):
    for case in cases("encode_key"):
        net, (images, _) = network(case.meta["salt"]), load_clips(recipe, case.meta)
        features = encode_clip(net, images, [])
        clip = type(features[0])(*(torch.stack(parts, 1) for parts in zip(*features, strict=True)))  # B T C h w
        for name in ("key", "shrinkage", "selection"):
            case.check(name, getattr(clip, name).transpose(1, 2))
        case.check("f16", clip.f16[:, :, ::8])
        case.check("f8", clip.f8[:, :, ::8, ::2, ::2])
        case.check("f4", clip.f4[:, :, ::8, ::4, ::4])


@torch.no_grad()
def test_encode_value(cases, network, recipe):
    for case in cases("encode_value"):
        net, (images, ids) = network(case.meta["salt"]), load_clips(recipe, case.meta)
        features = net.encode(images[:, 0])
        for objects in case.meta["object_counts"]:
            masks = 0.8 * one_hot(ids[:, 0], objects) + 0.1
            state = (case.tensor(f"hidden_in_{objects}"),)
            frame, (deep,) = net.memorise(features, masks, state, deep=True)
            case.check(f"value_{objects}", frame.value)
            case.check(f"hidden_deep_{objects}", deep)
            frame, (shallow,) = net.memorise(features, masks, state, deep=False)
            case.check(f"value_{objects}", frame.value)
            torch.testing.assert_close(shallow, state[0], atol=0, rtol=0)


@torch.no_grad()
def test_read_and_segment(cases, network, recipe):
    for case in cases("read_segment"):
        meta = case.meta
        net, (images, ids) = network(meta["salt"]), load_clips(recipe, meta)
        objects = case.arrays["hidden_in"].shape[1]
        features = encode_clip(net, images, [])
        memory, state = ClipMemory(), net.initial_state(features[0], objects)
        for t in meta["memory_frames"]:
            masks = one_hot(ids[:, t], objects)
            frame, state = net.memorise(features[t], masks, state, deep=t == meta["memory_frames"][0])
            memory.add(frame)
        case.check("hidden_in", state[0])
        query = features[meta["query_frame"]]
        _check_reading(case, query_tokens(query.key, query.selection), memory)
        case.check("readout", memory.read(query.key, query.selection))
        prediction, (hidden,) = net.segment(query, memory, state, masks)
        case.check("logits", prediction.logits)
        case.check("prob", prediction.logits.softmax(1))
        case.check("hidden_out", hidden)
        present = torch.tensor([meta["selector"]], dtype=torch.float32)
        prediction, (kept,) = net.segment(query, memory, state, masks, present, update=False)
        case.check("logits_selector", prediction.logits[:, :, ::2, ::2])
        case.check("prob_selector", prediction.masks)
        torch.testing.assert_close(kept, state[0], atol=0, rtol=0)


def _check_reading(case: Case, query: Tensor, memory: ClipMemory) -> None:
    case.check("similarity", similarity(query, memory.keys).transpose(1, 2), _SUMS)
    case.check("affinity", _affinity(query, memory.keys, None))
    k = case.meta["top_k"]
    affinity = _affinity(query, memory.keys, k)
    case.check(f"affinity_top{k}", affinity)
    case.check(f"usage_top{k}", affinity.sum(2))


def test_training_step(cases, network, recipe):
    for case in cases("train_"):
        meta = case.meta
        net, (images, ids) = network(meta["salt"]).train(), load_clips(recipe, meta)
        present = torch.tensor([[float(k < n) for k in range(meta["slots"])] for n in meta["num_objects"]])
        ids = ids * (ids <= torch.tensor(meta["num_objects"]).view(-1, 1, 1, 1))
        times = range(images.shape[1])
        rollout = GivenDecisions(meta["num_ref_frames"], meta["deep_update"])
        generator = torch.Generator().manual_seed(meta.get("torch_manual_seed", 0))
        reference = one_hot(ids[:, 0], meta["slots"])
        features = encode_clip(net, images, times)
        generators = Generators(generator, [generator] * len(present))
        predictions = propagate(net, features, times, reference, present, rollout, generators)
        for t, prediction in enumerate(predictions, 1):
            case.check(f"logits_{t}", prediction.logits[..., ::2, ::2])
            case.check(f"masks_{t}", prediction.masks)
        loss = BootstrappedDice(meta["start_warm"], meta["end_warm"])
        gradients = {}
        for iteration in meta["iterations"]:
            terms = loss(predictions, list(ids.unbind(1)[1:]), present, iteration, generators)
            _check_losses(case, iteration, terms)
            gradients[iteration] = _checked_gradients(case, iteration, net, terms["total"])
        for iteration in meta["iterations"]:  # last, because a step changes the weights of the graph above
            _check_step(case, iteration, net, gradients[iteration])


def _check_losses(case: Case, iteration: int, terms: Mapping[str, Tensor]) -> None:
    names = {f"total_loss_{iteration}": "total"}
    for t in range(1, case.meta["videos"][0]["frames"]):
        names |= {f"ce_{iteration}_{t}": f"frame_{t}", f"dice_{iteration}_{t}": f"dice_{t}"}
    for theirs, ours in names.items():
        assert terms[ours].item() == pytest.approx(float(case.arrays[theirs]), rel=1e-4), f"{case.name}: {theirs}"
    assert terms["p"].item() == pytest.approx(float(case.arrays[f"p_{iteration}"]), abs=1e-6)


def _checked_gradients(case: Case, iteration: int, net: XMem, loss: Tensor) -> dict[str, Tensor]:
    """Gradients of the parameters that the case lists."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
    total = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    assert total == pytest.approx(float(case.arrays[f"grad_norm_all_{iteration}"]), rel=2e-3)
    listed = {name: dict(zip(names, gradients, strict=True))[name] for name in case.meta["parameters"]}
    case.check_norms(f"grad_norm_{iteration}", list(listed.values()))
    return listed


def _check_step(case: Case, iteration: int, net: XMem, gradients: Mapping[str, Tensor]) -> None:
    """One step of the optimiser from the initial weights, which are put back afterwards."""
    recipe = Optimiser(
        name="adamw", epsilon=1e-8, learning_rate=case.meta["lr"], weight_decay=case.meta["weight_decay"], clip=None
    )
    optimiser = build_optimiser(recipe, net)
    parameters = dict(net.named_parameters())
    for name, gradient in gradients.items():  # the others have no gradient and stay
        parameters[name].grad = gradient
    before = {name: parameters[name].detach().clone() for name in gradients}
    optimiser.step()
    case.check_norms(f"step_norm_{iteration}", [parameters[name].detach() - before[name] for name in gradients])
    net.load_state_dict(before, strict=False)


def test_single_object_weights(golden_root, recipe):
    """Widened by a channel of zeros, they make no use of the other objects; what is left is the official weight."""
    weights = recipe.det_state_dict(key_shapes(golden_root, "keys_single_object"), "single")
    state = {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()}
    net, name = blank(), "value_encoder.conv1.weight"
    load_official(net, {"it": 1, "network": state, "optimizer": {}, "scheduler": {}})
    for key, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor[:, :4] if key == name else tensor, state[key], atol=0, rtol=0)
    assert net.state_dict()[name][:, 4:].abs().max() == 0
