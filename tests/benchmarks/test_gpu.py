"""The benchmark of one card, on none: every part gives numbers, and a part that fails leaves the others theirs."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def gpu(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    module = importlib.import_module("gpu")
    monkeypatch.setattr(module, "WARM_UP", 1)
    return module


def results_in(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "gpu.json").read_text(encoding="utf-8"))["results"]
    return results


@pytest.fixture
def run(gpu: ModuleType, tmp_path: Path) -> Iterator[Run]:
    """On one thread: with more, oneDNN's convolutions of such sizes crash on processors with AVX-512 (torch 2.14)."""

    def run(*arguments: str) -> dict[str, Any]:
        options = ["--device", "cpu", "--small", "--seconds", "0", "--out", str(tmp_path / "gpu.json")]
        gpu.main([*options, *arguments])
        return results_in(tmp_path)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield run
    torch.set_num_threads(threads)


def test_every_part_but_compiling_measures(run: Run) -> None:
    results = run("--only", "stcn", "--parts", "train,infer,sync,loader")
    assert results["train"].keys() == results["sync"].keys() == {"stcn two_step", "stcn full"}
    assert all(each["seconds_per_step"] > 0 and "loss" in each["terms"] for each in results["train"].values())
    assert results["infer"].keys() == {"stcn 1", "stcn 3"}
    assert all(each["fps"] > 0 and each["frames"] == 4 for each in results["infer"].values())
    assert results["loader"].keys() == {"stcn"}
    assert all(0 <= each["waiting_share"] <= 1 for each in results["loader"].values())


def test_a_failure_is_recorded_and_not_the_end(run: Run, tmp_path: Path) -> None:
    results = run("--only", "cutie", "--parts", "infer,sync", "--davis", str(tmp_path / "nowhere"))
    assert all("nowhere" in each["failed"] for each in results["infer"].values())
    assert all("events" in each for each in results["sync"].values())


def test_what_was_measured_before_a_cut_is_there(
    gpu: ModuleType, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "infer", cut)
    with pytest.raises(KeyboardInterrupt):
        run("--only", "stcn", "--parts", "train,infer")
    assert "seconds_per_step" in results_in(tmp_path)["train"]["stcn full"]


def test_nothing_starts_after_the_limit(run: Run) -> None:
    results = run("--only", "stcn", "--parts", "compile", "--limit", "0")
    assert {each["failed"] for each in results["compile"].values()} == {"not begun within 0 seconds"}
