"""Time STCN's training step and inference, beside the same network computed the plain way, in one run.

    python benchmarks/stcn.py [--device cpu] [--threads 2] [--repeat 5] [--only inference] [--out stcn.json]

The full-size network with random weights. Training: one step (forward, backward, Adam) on 2 clips of 3 frames,
192x192, 2 objects. Inference: 20 frames of 240x432, 1 object, every fifth frame memorised, top-20.
`ours` is what the package does. `plain` is the same arithmetic in the usual form: one object at a time, with
concatenations, contiguous tensors, and for reading the memory a dense matrix product over scattered top-k weights.
Both must give the same numbers, else the command fails. bfloat16 is measured where the device computes it natively.

Every measurement is a fresh process that repeats the work after one warm-up. The JSON has medians: wall seconds and
CPU seconds (per step, or per frame of inference), peak memory in MB, and `ratio`, ours over plain.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, predict_frames
from oneshot_vos.inference_settings import InferenceSettings
from oneshot_vos.networks.common.aggregation import aggregate
from oneshot_vos.networks.common.blocks import ResidualBlock, SplitResidualBlock, UpsampleBlock
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Prediction
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.networks.common.precision import has_fast_bfloat16
from oneshot_vos.networks.common.resnet import FrozenBatchNorm
from oneshot_vos.networks.stcn.network import STCN

TOP_K, MEMORY_EVERY, FRAMES = 20, 5, 20
TOLERANCE = 1e-3  # of logits; absolute, relative above 1

# --- the plain form -------------------------------------------------------------------------------------------------


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """The layer as PyTorch computes it."""
    return F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)


def residual(block: ResidualBlock | SplitResidualBlock, x: Tensor) -> Tensor:
    """A residual block over one, concatenated input."""
    shortcut = x if block.downsample is None else convolve(block.downsample, x)
    return shortcut + convolve(block.conv2, F.relu(convolve(block.conv1, F.relu(x))))


def upsample(block: UpsampleBlock, x: Tensor, skip: Tensor) -> Tensor:
    """An upsampling block that convolves the skip features anew for each object."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return residual(block.out_conv, convolve(block.skip_conv, skip) + x)


class Plain:
    """A network's weights, used the plain way, object by object; keeps the memory itself."""

    def __init__(self, network: STCN) -> None:
        self.network = network
        self.keys: list[Tensor] = []
        self.values: list[list[Tensor]] = []  # frame, object

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features of images [B, 3, H, W]."""
        f4, f8, f16 = self.network.key_encoder(image)
        return image, f4, f8, f16, self.network.key_proj(f16), convolve(self.network.key_comp, f16)

    def memorise(self, features: tuple[Tensor, ...], masks: Tensor) -> None:
        """Add a frame and its masks [B, K, H, W] to the memory."""
        image, _, _, f16, key, _ = features
        encoder, values = self.network.value_encoder, []
        for index in range(masks.shape[1]):
            others = masks.sum(1, keepdim=True) - masks[:, index : index + 1]
            inputs = torch.cat([image, masks[:, index : index + 1], others], 1)
            x = residual(encoder.fuser.block1, torch.cat([encoder.trunk(encoder.stem(inputs))[-1], f16], 1))
            values.append(residual(encoder.fuser.block2, x + encoder.fuser.attention(x)))
        self.keys.append(key)
        self.values.append(values)

    def segment(self, features: tuple[Tensor, ...], top_k: int | None) -> Prediction:
        """Predict the masks of a frame."""
        _, f4, f8, _, key, thin = features
        decoder, weights = self.network.decoder, self.affinity(key, top_k)
        logits = []
        for index in range(len(self.values[0])):
            values = torch.stack([frame[index] for frame in self.values], 2).flatten(2)
            readout = (values @ weights.to(values.dtype)).unflatten(2, key.shape[-2:])
            x = residual(decoder.compress, torch.cat([readout, thin], 1))
            x = upsample(decoder.up_8_4, upsample(decoder.up_16_8, x, f8), f4)
            x = convolve(decoder.pred, F.relu(x))
            logits.append(F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False))
        aggregated = aggregate(torch.cat(logits, 1).sigmoid())
        return Prediction(aggregated, aggregated.softmax(1)[:, 1:], {})

    def affinity(self, query: Tensor, top_k: int | None) -> Tensor:
        """Dense weights [B, N, M] of memory positions for query positions."""
        memory, query = torch.stack(self.keys, 2).flatten(2).float(), query.flatten(2).float()
        scores = 2 * (memory.transpose(1, 2) @ query) - memory.square().sum(1).unsqueeze(2)
        scores = scores / memory.shape[1] ** 0.5
        if top_k is None:
            return scores.softmax(1)
        best, winners = scores.topk(min(top_k, scores.shape[1]), dim=1)
        return torch.zeros_like(scores).scatter_(1, winners, best.softmax(1))


# --- the work -------------------------------------------------------------------------------------------------------


def build(device: torch.device) -> STCN:
    """The full-size network with the same random weights in every process."""
    torch.manual_seed(0)
    network = STCN()
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm):
            nn.init.constant_(module.weight, 0.5)  # statistics that fit no weights would let activations grow
    nn.init.normal_(network.decoder.pred.weight, std=3.0)  # logits of a few units, so that differences would show
    return network.to(device)


def sample(logits: Tensor) -> list[float]:
    """A few of the numbers, to compare."""
    values: list[float] = logits.detach().flatten()[::1009].tolist()
    return values


def training_step(plain: bool, device: torch.device, dtype: torch.dtype) -> Callable[[], list[float]]:
    """A function that does one step and returns some logits."""
    network = build(device).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-5, weight_decay=1e-7)
    loss = BootstrappedCrossEntropy()
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(2, 3, 3, 192, 192, generator=generator).to(device)
    labels = torch.randint(0, 3, (2, 12, 12), generator=generator).to(device)
    labels = labels.repeat_interleave(16, 1).repeat_interleave(16, 2)
    reference = torch.stack([(labels == 1).float(), (labels == 2).float()], 1)
    present = torch.ones(2, 2, device=device)

    def step() -> list[float]:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            predictions = (walk_plain if plain else walk_ours)(network, frames, reference)
            terms = loss(predictions, [labels, labels], present, 45_000, Generators.of(0, 0, range(len(present))))
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
        return sample(predictions[-1].logits)

    if not plain:
        network.to(memory_format=torch.channels_last)
    return step


def walk_plain(network: STCN, frames: Tensor, masks: Tensor) -> list[Prediction]:
    """Predict frames [B, T, 3, H, W] from the masks [B, K, H, W] of the first, the plain way."""
    plain, predictions = Plain(network), []
    encoded = plain.encode(frames.transpose(0, 1).flatten(0, 1))
    features = [tuple(part) for part in zip(*(tensor.chunk(frames.shape[1]) for tensor in encoded), strict=True)]
    for t in range(1, frames.shape[1]):
        plain.memorise(features[t - 1], masks)
        predictions.append(plain.segment(features[t], None))
        masks = predictions[-1].masks
    return predictions


def walk_ours(network: STCN, frames: Tensor, masks: Tensor) -> list[Prediction]:
    """The same through the package's interface, as training does it."""
    memory, predictions = ClipMemory(), []
    images = frames.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    encoded = network.encode(images)
    features = [type(encoded)(*part) for part in zip(*(x.chunk(frames.shape[1]) for x in encoded), strict=True)]
    for t in range(1, frames.shape[1]):
        memory.add(network.memorise(features[t - 1], masks, ())[0])
        predictions.append(network.segment(features[t], memory, (), masks)[0])
        masks = predictions[-1].masks
    return predictions


def inference(plain: bool, device: torch.device, dtype: torch.dtype) -> Callable[[], list[float]]:
    """A function that segments the video and returns some logits of its last frame."""
    network = build(device).eval()
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(FRAMES, 3, 240, 432, generator=generator).to(device)
    mask = torch.zeros(1, 240, 432, device=device)
    mask[:, 60:180, 100:300] = 1
    settings = InferenceSettings(memory_every=MEMORY_EVERY, top_k=TOP_K)
    steps = plan_frames(range(FRAMES), {0}, settings)

    @torch.inference_mode()
    def video_plain() -> list[float]:
        reader, logits = Plain(network), aggregate(mask[None])
        for t, frame in enumerate(frames):
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                features = reader.encode(frame[None])
                if t > 0:
                    logits = reader.segment(features, TOP_K).logits
                if t % MEMORY_EVERY == 0 and t < FRAMES - 1:
                    reader.memorise(features, logits.softmax(1)[:, 1:])
        return sample(logits.softmax(1).logit())

    def video_ours() -> list[float]:
        outputs = predict_frames(network, steps, frames, lambda _: Annotation((1,), mask), 1, settings, dtype=dtype)
        *_, (_, last) = outputs
        return sample(last.logit())

    if plain:
        return video_plain
    network.to(memory_format=torch.channels_last)
    return video_ours


# --- measuring ------------------------------------------------------------------------------------------------------


def measure(work: str, form: str, dtype: str, device: torch.device, threads: int, repeat: int) -> dict[str, Any]:
    """Repeat one kind of work in this process."""
    torch.set_num_threads(threads)
    precision = getattr(torch, dtype)
    prepare, units = (training_step, 1) if work == "train" else (inference, FRAMES)
    run = prepare(form == "plain", device, precision)
    numbers = run()  # the warm-up gives the numbers to compare: later training steps have other weights
    seconds, cpu_seconds = [], []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append((time.perf_counter() - wall) / units)
        cpu_seconds.append((time.process_time() - cpu) / units)
    result = {
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(cpu_seconds),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "numbers": numbers,
    }
    if device.type == "cuda":
        result["peak_gpu_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return result


def measure_apart(arguments: argparse.Namespace, work: str, form: str, dtype: str) -> dict[str, Any]:
    """`measure` in a fresh process."""
    command = [sys.executable, __file__, "--child", work, form, dtype, "--device", arguments.device]
    command += ["--threads", str(arguments.threads), "--repeat", str(arguments.repeat)]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


def compare(arguments: argparse.Namespace, work: str, dtype: str) -> dict[str, Any]:
    """Ours beside plain; ends the program if their numbers differ."""
    forms = {form: measure_apart(arguments, work, form, dtype) for form in ("plain", "ours")}
    pairs = list(zip(forms["plain"].pop("numbers"), forms["ours"].pop("numbers"), strict=True))
    difference = max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)
    if dtype == "float32" and difference > TOLERANCE:
        raise SystemExit(f"{work}: the logits of plain and ours differ by {difference}")
    ratio = {key: round(forms["ours"][key] / forms["plain"][key], 3) for key in ("seconds", "cpu_seconds", "peak_mb")}
    return {
        "work": work,
        "dtype": dtype,
        **forms,
        "ratio": ratio,
        "largest_logit": max(abs(a) for a, _ in pairs),
        "difference": difference,
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=("train", "inference"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if arguments.child:
        work, form, dtype = arguments.child
        print(json.dumps(measure(work, form, dtype, device, arguments.threads, arguments.repeat)))
        return
    types = ["float32", "bfloat16"] if has_fast_bfloat16(device) else ["float32"]
    works = [arguments.only] if arguments.only else ["train", "inference"]
    report = {
        "what": "full-size STCN; seconds per training step (batch 2, 192x192, 3 frames, 2 objects) and per frame of "
        "inference (240x432, 1 object, 20 frames, memory every 5, top-20)",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": arguments.threads,
        "repetitions": arguments.repeat,
        "torch": torch.__version__,
        "results": [compare(arguments, work, dtype) for work in works for dtype in types],
    }
    text = json.dumps(report, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
