import warnings

import pytest
import torch

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common import precision
from oneshot_vos.networks.common.precision import choose_precision, choose_training_precision, has_fast_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_only_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, precision._CPU_PROBE, lambda: native, raising=False)
    assert has_fast_bfloat16(CPU) is native
    assert choose_precision(CPU, "auto") is expected


def test_scalar_products_alone_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert choose_precision(CPU, "auto") is torch.float32


def test_a_version_of_torch_without_the_probes_counts_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, precision._CPU_PROBE, raising=False)
    assert choose_precision(CPU, "auto") is torch.float32


def test_other_devices_count_as_slow() -> None:
    assert choose_precision(torch.device("meta"), "auto") is torch.float32


def test_an_explicit_choice_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: False)
    assert choose_precision(CPU, "float32") is torch.float32
    with pytest.warns(UserWarning, match="no matrix instructions"):
        assert choose_precision(CPU, "bfloat16") is torch.bfloat16
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_precision(CPU, "bfloat16") is torch.bfloat16


def test_an_unknown_name() -> None:
    with pytest.raises(UserError, match=r"half.*auto, float32, bfloat16, float16"):
        choose_precision(CPU, "half")


@pytest.mark.parametrize(
    ("capability", "training", "inference"),
    [
        ((9, 0), torch.bfloat16, torch.bfloat16),
        ((8, 0), torch.bfloat16, torch.bfloat16),
        ((7, 5), torch.float16, torch.float32),
        ((7, 0), torch.float16, torch.float32),
        ((6, 1), torch.float32, torch.float32),
    ],
)
def test_a_gpu_without_bfloat16_trains_in_float16(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], training: torch.dtype, inference: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    card = torch.device("cuda", 0)
    assert choose_training_precision(card, "auto") is training
    assert choose_precision(card, "auto") is inference
    assert choose_training_precision(card, "float32") is torch.float32
