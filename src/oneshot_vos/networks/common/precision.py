"""Which floating-point type a device computes fast in."""

import warnings

import torch

from oneshot_vos.errors import UserError

_CHOICES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What makes bfloat16 faster than float32 on a CPU: matrix instructions. Without any help it is emulated and many times
# slower. The scalar products of AVX512-BF16 alone may be slower as well (benchmarks/precision.py: 1.3 to 1.9 times on a
# Xeon without AMX). Timing would tell, but the same run should have the same precision every time.
_CPU_PROBE = "_is_amx_tile_supported"


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` surely computes faster in bfloat16 than in float32; unknown kinds of device count as no."""
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        probe = getattr(torch.cpu, _CPU_PROBE, None)
        return probe is not None and bool(probe())
    return False


def has_fast_float16(device: torch.device) -> bool:
    """Whether `device` surely computes faster in float16 than in float32: GPUs with tensor cores (from V100 on)."""
    return device.type == "cuda" and torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (7, 0)


def choose_training_precision(device: torch.device, requested: str) -> torch.dtype:
    """As `choose_precision`, but `auto` is float16 on GPUs that are fast in it and not in bfloat16.

    Training in float16 needs its loss scaled, so that small gradients do not vanish.
    """
    if requested == "auto" and has_fast_float16(device) and not has_fast_bfloat16(device):
        return torch.float16
    return choose_precision(device, requested)


def choose_precision(device: torch.device, requested: str) -> torch.dtype:
    """The type for the network's arithmetic: `float32`, `bfloat16`, `float16` or `auto`.

    `auto` is bfloat16 where that is surely faster, else float32. An explicit choice is honoured on any device, with a
    warning where it will be slow.
    """
    if requested == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if requested not in _CHOICES:
        raise UserError(f"precision '{requested}' is unknown; expected auto, {', '.join(_CHOICES)}")
    fast = {"bfloat16": has_fast_bfloat16, "float16": has_fast_float16}.get(requested)
    if fast is not None and not fast(device):
        warnings.warn(
            f"{requested} has no matrix instructions on this {device.type} and is most likely slower than float32; "
            "precision auto would take float32",
            stacklevel=2,
        )
    return _CHOICES[requested]


def training_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """The context in which a training step computes in `dtype`.

    Autocast keeps its copies of the weights by default. In torch 2.10, a copy made without gradient, as in the
    forward walk of one-shot training, serves the backward walk as well and silently cuts off its weight's gradient.
    """
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False)
