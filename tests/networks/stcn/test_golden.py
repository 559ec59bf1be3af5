"""STCN against the numbers of the official program; settings come from each file, so any folder of cases will do."""

import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden import build_blank, each_case, load_weights_of, make_clip, read_shapes
from tests.networks.top_k import read_top_k
from torch import Tensor

from oneshot_vos.networks.common.aggregation import aggregate
from oneshot_vos.networks.common.interface import MemoryFrame, Prediction
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.common.memory import ClipMemory, as_maps, memory_tokens, query_tokens, read_full, value_tokens
from oneshot_vos.networks.stcn.network import STCN

pytestmark = pytest.mark.golden

_TOLERANCE = 1e-4  # absolute; relative for values above 1
_MASK_CHANNEL_WEIGHT = "value_encoder.conv1.weight"


@dataclass
class Case:
    """One file of expected numbers."""

    name: str
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def check(self, name: str, actual: Tensor) -> None:
        """Compare with the array of this name, or with the thinned form `name__everyN`."""
        stored = next(key for key in self.arrays if key == name or key.startswith(f"{name}__every"))
        expected = self.arrays[stored]
        ours = actual.detach().numpy()
        if stored != name:
            ours = ours.reshape(-1)[:: int(stored.rpartition("every")[2])]
        error = np.abs(ours.reshape(expected.shape) - expected) / np.maximum(np.abs(expected), 1)
        assert error.max() <= _TOLERANCE, f"{self.name}: {name} is off by {error.max():.2g}"


class TopKMemory(ClipMemory):
    """A clip's memory read as inference does."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self.last_readout = torch.empty(0)

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        readout = read_top_k(query_tokens(key, selection), self.keys, self.values, self.k)
        self.last_readout = as_maps(readout, *key.shape[-2:])
        return self.last_readout


@pytest.fixture(scope="module")
def cases(golden_root: Path) -> Callable[[str], Iterator[Case]]:
    """Cases of a kind."""
    return lambda kind: itertools.starmap(Case, each_case(golden_root / "stcn", kind))


@pytest.fixture(scope="module")
def network(golden_root: Path, recipe: types.ModuleType) -> Callable[..., STCN]:
    """The network with the weights of a salt; loaded strictly, through the loader of official files."""
    shapes = read_shapes(golden_root / "stcn", "keys.json")

    def build(salt: str, *, single_object_weights: bool = False, single_object_network: bool = False) -> STCN:
        wanted = dict(shapes)
        if single_object_weights:
            wanted[_MASK_CHANNEL_WEIGHT] = [shapes[_MASK_CHANNEL_WEIGHT][0], 4, *shapes[_MASK_CHANNEL_WEIGHT][2:]]
        net = build_blank(lambda: STCN(single_object=single_object_network))
        return load_weights_of(recipe, net, wanted, salt)

    return build


def tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def load_clip(recipe: types.ModuleType, meta: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Normalised images [T, 3, H, W] and ids [T, H, W], padded as the case says."""
    images, ids = make_clip(recipe, meta, meta)
    pad = meta.get("pad", [0, 0, 0, 0])
    return torch.nn.functional.pad(images, pad), torch.nn.functional.pad(torch.from_numpy(ids.astype(np.int64)), pad)


def one_hot(ids: Tensor, objects: int) -> Tensor:
    """Ids [B, H, W] to masks [B, K, H, W]."""
    return torch.stack([(ids == k).float() for k in range(1, objects + 1)], 1)


@torch.no_grad()
def test_encoders(cases, network, recipe):
    for case in cases("encoders_"):
        net, (images, ids) = network(case.meta["salt"]), load_clip(recipe, case.meta)
        t = case.meta["frame"]
        features = net.encode(images[t : t + 1])
        frame, _ = net.memorise(features, one_hot(ids[t : t + 1], case.meta["objects"]), ())
        case.check("k16", features.key)
        case.check("f16_thin", net.key_comp(features.f16))
        for name in ("f16", "f8", "f4"):
            case.check(name, getattr(features, name))
        case.check("value", frame.value)


@torch.no_grad()
def test_query(cases, network, recipe):
    for case in cases("query_"):
        net, (images, ids) = network(case.meta["salt"]), load_clip(recipe, case.meta)
        decoded: list[Tensor] = []
        net.decoder.register_forward_hook(lambda _m, _i, output, seen=decoded: seen.append(output))
        query = net.encode(images[case.meta["query"]][None])
        for name in ("m1", "m2"):
            memory = TopKMemory(case.meta["top_k"])
            for t in case.meta[name]:
                masks = one_hot(ids[t : t + 1], case.meta["objects"])
                memory.add(net.memorise(net.encode(images[t : t + 1]), masks, ())[0])
            prediction, _ = net.segment(query, memory, (), masks)
            case.check(f"{name}_readout", memory.last_readout)
            case.check(f"{name}_logits", decoded[-1])
            case.check(f"{name}_prob", prediction.logits.softmax(1))


@torch.no_grad()
def test_memory_read(cases):
    for case in cases("memory_read"):
        given = tensors(case.arrays)
        mk, mv, qk = given["mk"], given["mv"], given["qk"]
        height, width = qk.shape[-2:]
        memory, query, values = _stored(mk, mv), query_tokens(qk), _values(mv)
        length = memory.shape[1]
        identity = torch.eye(length)[None, None]  # read with these values, the readout is the affinity
        case.check("readout_all", as_maps(read_full(query, memory, values), height, width))
        case.check("affinity_all", read_full(query, memory, identity)[0].transpose(1, 2))
        for name in (name for name in case.arrays if name.startswith("readout_top")):
            k = int(name.removeprefix("readout_top"))
            case.check(name, as_maps(read_top_k(query, memory, values, k), height, width))
            case.check(f"affinity_top{k}", read_top_k(query, memory, identity, k)[0].transpose(1, 2))
        case.check("readout_temp", as_maps(read_top_k(query, memory, values, 20), height, width))
        mk[:, :, 1] *= 0.5
        mv[:, :, 1] *= 2
        replaced = read_top_k(query, _stored(mk, mv), _values(mv), 20)
        case.check("readout_temp_replaced", as_maps(replaced, height, width))


def _stored(mk: Tensor, mv: Tensor) -> Tensor:
    """Memory of keys [1, CK, T, h, w], frame by frame."""
    return torch.cat([memory_tokens(key) for key in mk.unbind(2)], 1)


def _values(mv: Tensor) -> Tensor:
    frames = (MemoryFrame(value, None, None, value[None], None) for value in mv.unbind(2))
    return torch.cat([value_tokens(frame) for frame in frames], 2)


def test_aggregation(cases):
    for case in cases("aggregate"):
        logits = aggregate(torch.from_numpy(case.arrays["prob_in"]).transpose(0, 1))
        case.check("train_logits", logits)
        case.check("prob_with_bg", logits.softmax(1))
        case.check("prob_no_bg", logits.softmax(1)[:, 1:])


def test_loss(cases):
    for case in cases("loss"):
        given = tensors(case.arrays)
        logits = [given["in_logits_1"], given["in_logits_2"]]
        labels = [given["in_labels"][:, t].long() for t in (1, 2)]
        _check_losses(case, "", logits, labels, given["in_selector"])
        single = [frame[:, :2] for frame in logits], [frame.clamp(max=1) for frame in labels]
        _check_losses(case, "so_", *single, torch.ones(len(labels[0]), 1))


def _check_losses(
    case: Case, prefix: str, logits: list[Tensor], labels: list[Tensor], present: Tensor
) -> dict[int, dict[str, Tensor]]:
    predictions = [Prediction(frame, frame.softmax(1)[:, 1:], {}) for frame in logits]
    results = {}
    for index, iteration in enumerate(case.arrays[f"{prefix}iterations"].tolist()):
        results[iteration] = terms = _loss(predictions, labels, present, iteration)
        for theirs, ours in (("total_loss", "total"), ("loss_1", "frame_1"), ("loss_2", "frame_2")):
            expected = case.arrays[f"{prefix}{theirs}"][index]
            where = f"{case.name}: {prefix}{theirs} at iteration {iteration}"
            assert terms[ours].item() == pytest.approx(expected, rel=1e-4), where
        assert terms["p"].item() == pytest.approx(case.arrays[f"{prefix}p"][index], abs=1e-6)
    return results


def _loss(predictions: list[Prediction], labels: list[Tensor], present: Tensor, iteration: int) -> dict[str, Tensor]:
    return BootstrappedCrossEntropy()(predictions, labels, present.float(), iteration, torch.Generator())


def test_training_step(cases, network, recipe):
    for case in cases("train_"):
        single = case.meta["single_object"]
        net = network(case.meta["salt"], single_object_weights=single, single_object_network=single).train()
        items = [load_clip(recipe, item) for item in case.meta["items"]]
        images, ids = (torch.stack(part) for part in zip(*items, strict=True))
        objects = case.arrays["logits_1"].shape[1] - 1
        present = torch.tensor([[float(k < item["objects"]) for k in range(objects)] for item in case.meta["items"]])

        predictions = _three_frames(net, images, one_hot(ids[:, 0], objects), present)
        for number, prediction in enumerate(predictions, 1):
            case.check(f"logits_{number}", prediction.logits)
            case.check(f"mask_{number}", prediction.masks[:, :1])
            if objects > 1:
                case.check(f"sec_mask_{number}", prediction.masks[:, 1:])
        targets = [ids[:, 1], ids[:, 2]]
        _check_losses(case, "", [prediction.logits for prediction in predictions], targets, present)
        for suffix, iteration in zip("ab", case.meta["backward_at"], strict=True):
            loss = _loss(predictions, targets, present, iteration)["total"]
            _check_gradients(case, net, loss, case.arrays[f"grad_norm_{suffix}"])


def _three_frames(net: STCN, images: Tensor, masks: Tensor, present: Tensor) -> list[Prediction]:
    """The official training step: each frame from all before it, the second one remembered with its soft masks."""
    memory, predictions = ClipMemory(), []
    features = [net.encode(frame) for frame in images.unbind(1)]
    for t in (0, 1):
        memory.add(net.memorise(features[t], masks, ())[0])
        predictions.append(net.segment(features[t + 1], memory, (), masks, present)[0])
        masks = predictions[-1].masks
    return predictions


def _check_gradients(case: Case, net: STCN, loss: Tensor, expected: np.ndarray) -> None:
    names = [str(name) for name in case.arrays["grad_names"]]
    parameters = dict(net.named_parameters())
    assert names == list(parameters)
    gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True)
    for name, gradient, norm in zip(names, gradients, expected.tolist(), strict=True):
        if name != "key_proj.key_proj.bias":  # in theory zero; what is stored is rounding
            assert gradient.norm().item() == pytest.approx(norm, rel=5e-3, abs=1e-5), f"{case.name}: {name}"


@torch.no_grad()
def test_single_object_weights_in_the_evaluation_network(cases, network, recipe):
    for case in cases("stage0_in_eval"):
        assert not case.meta["include_last"]
        net, (images, ids) = network(case.meta["salt"], single_object_weights=True), load_clip(recipe, case.meta)
        memory = TopKMemory(case.meta["top_k"])
        logits = aggregate(one_hot(ids[:1], case.meta["objects"]))
        probabilities = logits.softmax(1)
        for t, image in enumerate(images):
            features = net.encode(image[None])
            if t > 0:
                logits = net.segment(features, memory, (), probabilities[:, 1:])[0].logits
            probabilities = logits.softmax(1)
            left, right, top, bottom = case.meta["pad"]
            inside = probabilities[0, :, top : image.shape[1] - bottom, left : image.shape[2] - right]
            step = case.meta["prob_step"]
            error = np.abs(inside[:, ::step, ::step].numpy() - case.arrays["prob"][:, t]).max()
            assert error <= _TOLERANCE, f"{case.name}: frame {t} is off by {error:.2g}"
            if t % case.meta["mem_every"] == 0:
                memory.add(net.memorise(features, probabilities[:, 1:], ())[0])


def test_state_dict_is_the_official_one(golden_root):
    shapes = read_shapes(golden_root / "stcn", "keys.json")
    with torch.device("meta"):
        state = STCN().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == shapes
    assert list(state) == list(shapes)
