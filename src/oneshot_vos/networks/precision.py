"""Which floating-point type a device computes fast in."""

import warnings

import torch

from oneshot_vos.errors import UserError

_CHOICES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Instructions that multiply bfloat16 matrices in hardware; without them bfloat16 on a CPU is emulated and many times
# slower than float32.
_CPU_PROBES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16 natively; unknown kinds of device count as no."""
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        probes = (getattr(torch.cpu, name, None) for name in _CPU_PROBES)
        return any(bool(probe()) for probe in probes if probe is not None)
    return False


def choose_precision(device: torch.device, requested: str) -> torch.dtype:
    """The type for the network's arithmetic: `float32`, `bfloat16`, or `auto` (bfloat16 where it is native).

    An explicit `bfloat16` is honoured on any device, with a warning where it will be slow.
    """
    if requested == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if requested not in _CHOICES:
        raise UserError(f"precision '{requested}' is unknown; expected auto, {' or '.join(_CHOICES)}")
    if requested == "bfloat16" and not has_fast_bfloat16(device):
        warnings.warn(
            f"bfloat16 is emulated on this {device.type} and much slower than float32; precision auto would take "
            "float32",
            stacklevel=2,
        )
    return _CHOICES[requested]
