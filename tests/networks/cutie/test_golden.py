"""Cutie against the numbers of the official program; settings come from each file, so any folder of cases will do."""

import itertools
import math
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.golden import build_blank, each_case, make_clip, read_shapes
from torch import Tensor

from oneshot_vos.networks.common.aggregation import aggregate, one_hot
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.memory import ClipMemory, memory_tokens, query_tokens, similarity
from oneshot_vos.networks.common.official import load_official
from oneshot_vos.networks.cutie.loss import PointLoss, sample, score_points
from oneshot_vos.networks.cutie.network import Cutie
from oneshot_vos.networks.cutie.object_transformer import PositionalEncoding, attention_mask
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

pytestmark = pytest.mark.golden

_SMALL = {"pixel_block": "basic", "pixel_depths": (2, 2, 2)}
_SETTINGS: dict[str, dict[str, Any]] = {"base": {}, "small": _SMALL}
# Limits of the reader's guide beside the numbers; absolute unless said otherwise.
_FEATURES, _SUMS, _READOUTS, _LOGITS = 1e-4, 5e-4, 5e-4, 1e-3


@dataclass
class Case:
    """One file of expected numbers."""

    name: str
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def check(self, name: str, actual: Tensor, limit: float) -> None:
        """Compare with the array of this name."""
        expected, ours = self.arrays[name], actual.detach().numpy()
        assert ours.shape == expected.shape, f"{self.name}: {name}"
        error = np.abs(ours - expected).max()
        assert error <= limit, f"{self.name}: {name} is off by {error:.2g}"

    def check_aggregated(self, name: str, actual: Tensor) -> None:
        """Compare aggregated logits, which are large and unsteady where a probability nears 0 or 1."""
        expected = torch.from_numpy(self.arrays[name])
        near = (actual.detach() - expected).abs() <= 1e-2
        near |= (actual.detach().sigmoid() - expected.sigmoid()).abs() <= 1e-4
        assert near.all(), f"{self.name}: {name}"


class Scripted(RolloutOptions):
    """Deep updates at every frame, or only at the first."""

    def draw_deep_updates(self, frames: int, generator: torch.Generator) -> list[bool]:
        return [True, *[self.deep_update == 1] * (frames - 1)]


class KeptMemory(ClipMemory):
    """A clip's memory that keeps its last readout."""

    last_readout = torch.empty(0)

    def read(self, key: Tensor, selection: Tensor | None) -> Tensor:
        self.last_readout = super().read(key, selection)
        return self.last_readout


@pytest.fixture(scope="module")
def cases(golden_root: Path) -> Callable[[str], Iterator[Case]]:
    """Cases of a kind."""
    return lambda kind: itertools.starmap(
        Case, each_case(golden_root / "cutie", kind, lambda stem: kind in stem.split("_"))
    )


@pytest.fixture(scope="module")
def shapes(golden_root: Path) -> Callable[[str], dict[str, list[int]]]:
    """Names and shapes of a model's official state dict."""

    def read(model: str) -> dict[str, list[int]]:
        return read_shapes(golden_root / "cutie", f"keys_{model}.json")

    return read


@pytest.fixture(scope="module")
def network(shapes, recipe) -> Callable[[Case], Cutie]:
    """The network of a case with its weights; loaded strictly, through the loader of official files."""

    def build(case: Case) -> Cutie:
        model = case.meta["model"]
        weights = recipe.det_state_dict(shapes(model), case.meta["salt"])
        crc = 0
        for array in weights.values():
            crc = zlib.crc32(array.tobytes(), crc)
        assert crc == case.meta["weights_crc32"], "the recipe made other weights than the case was made from"
        net = build_blank(lambda: Cutie(**_SETTINGS[model]))
        load_official(net, {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()})
        return net

    return build


def load_clip(recipe: types.ModuleType, video: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Normalised images [T, 3, H, W] and ids [T, H, W] of a video of a case."""
    images, ids = make_clip(recipe, video, video)
    return images, torch.from_numpy(ids.astype(np.int64))


@pytest.mark.parametrize("model", ["base", "small"])
def test_state_dict_is_the_official_one(shapes, model):
    with torch.device("meta"):
        state = Cutie(**_SETTINGS[model]).state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == shapes(model)
    assert list(state) == list(shapes(model))


@torch.no_grad()
def test_encode(cases, network, recipe):
    for case in cases("encode"):
        net = network(case)
        images = torch.cat([load_clip(recipe, video)[0] for video in case.meta["videos"]])
        for name, maps in zip(("f4", "f8", "f16"), net.pixel_encoder(images), strict=True):
            case.check(name, maps[:, ::8], _FEATURES)
        features = net.encode(images)
        case.check("pix_feat", features.pixels[:, ::4], _FEATURES)
        case.check("key", features.key, _FEATURES)
        case.check("shrinkage", features.shrinkage, _SUMS)
        case.check("selection", features.selection, _FEATURES)


@torch.no_grad()
def test_mask(cases, network, recipe):
    for case in cases("mask"):
        net, (video,) = network(case), case.meta["videos"]
        images, ids = load_clip(recipe, video)
        features = net.encode(images)
        weights: list[Tensor] = []
        net.object_summarizer.weights_pred.register_forward_hook(lambda _m, _i, out, seen=weights: seen.append(out))
        for tag in sorted({name.rpartition(".")[0] for name in case.arrays}):
            count, kind, update = tag.split("_")
            objects, soft = int(count.removeprefix("n")), kind == "soft"
            masks = one_hot(ids, objects)
            (sensory,) = net.initial_state(features, objects)
            if soft:
                noise = np.random.default_rng(video["seed"] + objects).standard_normal(sensory.shape)
                masks, sensory = 0.7 * masks + 0.1, torch.from_numpy(noise.astype(np.float32)) * 0.5
            frame, (after,) = net.memorise(features, masks, (sensory,), deep=update == "deep")
            case.check(f"{tag}.value", frame.value[:, :, ::4], _FEATURES)
            case.check(f"{tag}.summaries", frame.summary, _SUMS)
            height, width = frame.value.shape[-2:]
            case.check(f"{tag}.summary_logits", weights[-1].view(1, objects, height, width, -1), _FEATURES)
            if update == "deep":
                case.check(f"{tag}.sensory", after[:, :, ::4], _FEATURES)
            else:
                assert after is sensory


@torch.no_grad()
def test_read(cases, network, recipe):
    for case in cases("read"):
        net, (video,) = network(case).train(), case.meta["videos"]
        images, ids = load_clip(recipe, video)
        masks = one_hot(ids, video["objects"])
        first, second, query = (net.encode(image[None]) for image in images[:3])
        memory, state = KeptMemory(), net.initial_state(first, video["objects"])
        frames = []
        for features, t in ((first, 0), (second, 1)):
            frame, state = net.memorise(features, masks[t : t + 1], state)
            memory.add(frame)
            frames.append(frame)
        _check_reading(case, query, frames)
        for tag in ("plain", "last_absent"):
            present = None
            if tag == "last_absent":
                present = torch.ones(1, video["objects"])
                present[:, -1] = 0
            _check_decoding(case, tag, net, query, memory, state, masks[1:2], present)


def _check_reading(case: Case, query, frames) -> None:
    keys = torch.cat([memory_tokens(frame.key, frame.shrinkage) for frame in frames], 1)
    scores = similarity(query_tokens(query.key, query.selection), keys).transpose(1, 2)
    case.check("similarity", scores, 2e-3)
    case.check("affinity", scores.softmax(1), _READOUTS)
    best = scores.topk(10, dim=1)
    top = torch.zeros_like(scores).scatter(1, best.indices, best.values.softmax(1))
    case.check("topk10_affinity", top, _READOUTS)
    case.check("topk10_usage", top.sum(2), _READOUTS * 10)


def _check_decoding(case: Case, tag: str, net: Cutie, query, memory, state, previous, present) -> None:
    fused: list[Tensor] = []
    raw: list[Tensor] = []
    aggregated: list[list[Tensor]] = []
    readouts: list[Tensor] = []
    hooks = [net.pixel_fuser.register_forward_hook(lambda _m, _i, out: fused.append(out))]
    hooks += [
        head.register_forward_hook(lambda _m, _i, out: raw.append(out)) for head in net.object_transformer.mask_pred
    ]

    def keep(_module, _inputs, output):
        readouts.append(output[0])
        aggregated.append(output[1])

    hooks.append(net.object_transformer.register_forward_hook(keep))
    decoded, (sensory,) = net.decode(query, memory, state, previous, present)
    for hook in hooks:
        hook.remove()
    case.check("visual_readout", memory.last_readout[:, :, ::4], _READOUTS)
    case.check("fused", fused[0][None, :, ::4], _READOUTS)
    case.check(f"{tag}.object_readout", readouts[0][:, :, ::4], _READOUTS)
    case.check(f"{tag}.q_logits_raw", torch.cat(raw, 1)[None], _READOUTS)
    blocked = torch.stack([~attention_mask(level) for level in aggregated[0]], 2).numpy()
    assert (blocked != case.arrays[f"{tag}.blocked"]).mean() <= 0.005
    case.check(f"{tag}.decoder_logits", decoded.logits, _READOUTS)
    case.check(f"{tag}.logits", net.combine(decoded.logits, present), _LOGITS)
    case.check(f"{tag}.sensory", sensory[:, :, ::4], _FEATURES)
    case.check_aggregated(f"{tag}.aux_sensory_logits", decoded.auxiliary["sensory"])
    case.check_aggregated(f"{tag}.aux_q_logits", decoded.auxiliary["query"])


def test_training(cases, network, recipe):
    for case in cases("train"):
        net = network(case).train()
        images, ids = _batch(recipe, case)
        slots, counts = case.meta["slots"], case.meta["counts"]
        present = torch.tensor([[float(k < count) for k in range(slots)] for count in counts])
        targets = list(ids[:, 1:].unbind(1))
        for tag, probability in (("nodeep", 0.0), ("deep", 1.0)):
            rollout = Scripted(case.meta["num_ref_frames"], probability)
            order = range(images.shape[1])
            features = encode_clip(net, images, learn=order)
            reference = one_hot(ids[:, 0], slots)
            predictions = propagate(
                net, features, order, reference, present, rollout, Generators.of(0, 0, range(len(present)))
            )
            for t, prediction in enumerate(predictions, 1):
                case.check(f"{tag}.logits_{t}", prediction.logits[:, :, ::3, ::3], _LOGITS)
                case.check_aggregated(f"{tag}.aux_sensory_{t}", prediction.auxiliary["sensory"])
                case.check_aggregated(f"{tag}.aux_q_{t}", prediction.auxiliary["query"])
            total, dense = _check_losses(case, tag, predictions, targets, present)
        _check_gradients(case, net, dense, "dense_grad_norms")
        _check_gradients(case, net, total, "grad_norms")
        _check_step(case, net)


def _batch(recipe: types.ModuleType, case: Case) -> tuple[Tensor, Tensor]:
    clips = [load_clip(recipe, video) for video in case.meta["videos"]]
    images, ids = (torch.stack(part) for part in zip(*clips, strict=True))
    return images, ids


def _official_name(name: str) -> str:
    if name == "total":
        return "total_loss"
    if name in ("ce", "dice"):
        return f"loss_{name}"
    kind, level = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz_")
    return f"aux_{kind}l{level}" if level else f"aux_{name}"


def _check_losses(
    case: Case, tag: str, predictions: list[Prediction], targets: list[Tensor], present: Tensor
) -> tuple[Tensor, Tensor]:
    stage = case.meta["stage"]
    loss = PointLoss(stage["train_num_points"], stage["oversample_ratio"], stage["importance_sample_ratio"])
    generator = torch.Generator().manual_seed(case.meta["loss_seed"])
    terms = loss(predictions, targets, present, 0, Generators(generator, [generator] * len(present)))
    expected = {
        name.removeprefix(f"{tag}."): float(case.arrays[name])
        for name in case.arrays
        if name.startswith(f"{tag}.") and case.arrays[name].ndim == 0
    }
    dense = torch.stack([_dense(predictions, targets, b, count) for b, count in enumerate(case.meta["counts"])]).mean()
    ours = {_official_name(name): term.item() for name, term in terms.items()} | {"dense_loss": dense.item()}
    assert ours == pytest.approx(expected, rel=5e-4), f"{case.name}: {tag}"
    return terms["total"], dense


def _dense(predictions: list[Prediction], targets: list[Tensor], sample_index: int, objects: int) -> Tensor:
    """The same formulas with every pixel as a point."""
    logits = torch.stack([prediction.logits[sample_index, : objects + 1].flatten(1) for prediction in predictions])
    labels = torch.stack([target[sample_index].flatten() for target in targets])
    truth = torch.nn.functional.one_hot(labels, objects + 1).movedim(-1, 1).float()
    return sum(score_points(logits, truth))


def _check_gradients(case: Case, net: Cutie, loss: Tensor, kind: str) -> None:
    """Compare the norm of each parameter's gradient, and leave the gradients with the parameters."""
    parameters = dict(net.named_parameters())
    assert list(parameters) == case.meta["parameters"]
    net.zero_grad()
    loss.backward(retain_graph=True)
    expected = case.arrays[kind].tolist()
    total = math.sqrt(sum(norm**2 for norm in expected if not math.isnan(norm)))
    for (name, parameter), norm in zip(parameters.items(), expected, strict=True):
        if math.isnan(norm):
            assert parameter.grad is None or parameter.grad.abs().max() == 0, f"{case.name}: {kind} of {name}"
        elif name != "key_proj.key_proj.bias":  # in theory zero; what is stored is rounding
            limit = 1e-2 * norm + 1e-5 * total
            assert parameter.grad.norm().item() == pytest.approx(norm, abs=limit), f"{case.name}: {kind} of {name}"


def _check_step(case: Case, net: Cutie) -> None:
    """Clip the gradients, take one step in the official groups, and compare how far the weights moved."""
    stage, parameters = case.meta["stage"], dict(net.named_parameters())
    groups = [
        {
            "params": group.parameters,
            "lr": group.rate * stage["learning_rate"],
            "weight_decay": group.decay * stage["weight_decay"],
        }
        for group in net.parameter_groups()
    ]
    ours = [(len(group["params"]), group["lr"], group["weight_decay"]) for group in groups]
    theirs = [(group["count"], group["lr"], group["weight_decay"]) for group in case.meta["groups"]]
    assert ours == [pytest.approx(group) for group in theirs]
    embeddings = {id(parameter) for parameter in groups[1]["params"]}
    assert [name for name in parameters if id(parameters[name]) in embeddings] == case.meta["embedding_group"]

    norm = torch.nn.utils.clip_grad_norm_(net.parameters(), stage["clip_grad_norm"])
    assert norm.item() == pytest.approx(float(case.arrays["grad_total_norm"]), rel=1e-3)
    before = {name: parameters[name].detach().clone() for name in case.meta["step_keys"]}
    torch.optim.AdamW(groups, eps=1e-8).step()
    moved = [(parameters[name].detach() - start).norm().item() for name, start in before.items()]
    assert moved == pytest.approx(case.arrays["step_delta_norms"].tolist(), rel=1e-3)


def test_parts(cases):
    for case in cases("parts"):
        widths = {array.shape[-1] for name, array in case.arrays.items() if name.startswith("pe.") and "x" in name}
        for width in widths:
            encoding = PositionalEncoding(width, 32, 128)
            case.check("pe.inv_freq", encoding.inv_freq, 1e-6)
            for name, array in case.arrays.items():
                if name.startswith("pe.") and array.ndim == 3:
                    height, across = array.shape[:2]
                    case.check(name, encoding(height, across).view(height, across, -1), 1e-6)
        case.check("aggregate.out", aggregate(torch.from_numpy(case.arrays["aggregate.in"])), 1e-6)
        for name in case.arrays:
            if name.endswith(".points"):
                _check_points(case, name.removesuffix(".points"))


def _check_points(case: Case, tag: str) -> None:
    classes, seed = int(tag.removeprefix("loss")), case.meta["seed"]
    frames, height, width = 2, 24, 32
    noise = np.random.default_rng(seed + classes).standard_normal((frames, classes, height, width))
    logits = 2 * torch.from_numpy(noise.astype(np.float32))
    labels = np.random.default_rng(seed + 10 + classes).integers(0, classes, (frames, 1, height, width))
    truth = (torch.from_numpy(labels) == torch.arange(classes).view(-1, 1, 1)).float()
    points = PointLoss(64).choose_points(logits, torch.Generator().manual_seed(seed))
    case.check(f"{tag}.points", points, 1e-6)
    case.check(f"{tag}.point_logits", sample(logits, points), 1e-5)
    case.check(f"{tag}.point_labels", sample(truth, points), 1e-5)
    entropy, dice = score_points(sample(logits, points), sample(truth, points))
    case.check(f"{tag}.ce", entropy, 1e-5)
    case.check(f"{tag}.dice", dice, 1e-5)
