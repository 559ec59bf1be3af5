"""Training in float16: the loss is scaled, its scale is resumed, steps that overflow are left out."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.training.brief import recipe
from tests.training.test_training import RandomClips, assert_same, small_network, train

from oneshot_vos.clips.batch import Clip
from oneshot_vos.training.checkpoint import StateFolder


@pytest.fixture(autouse=True)
def _without_the_warning_that_it_is_slow() -> Iterator[None]:
    with pytest.warns(UserWarning, match="float16 has no matrix instructions"):
        yield


def test_float16_trains_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    weights, rows = train(tmp_path, recipe(precision="float16"))
    assert "float16 with loss scaling" in caplog.text
    exact, exact_rows = train(tmp_path / "exact", recipe())
    assert rows[0]["loss"] == pytest.approx(exact_rows[0]["loss"], rel=0.01)
    before = small_network().state_dict()
    moved = {name: (exact[name] - before[name]).norm() for name in before}
    assert all((weights[name] - before[name]).norm() > 0.1 * moved[name] for name in before)


class Interrupted(RandomClips):
    def __getitem__(self, position: int) -> Clip:
        if position == 8:
            raise KeyboardInterrupt
        return super().__getitem__(position)


def test_the_scale_falls_until_gradients_fit_and_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=2.0**32))
    settings = recipe(precision="float16", iterations=24, checkpoint_every=4)
    straight, _ = train(tmp_path / "straight", settings)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", settings, clips=Interrupted())
    kept = StateFolder(tmp_path / "cut", {"key": "k"}).load()
    assert kept is not None
    assert kept.iteration == 4
    assert kept.scaler["scale"] == 2.0**28
    assert_same(kept.network, small_network().state_dict())  # four steps were left out
    resumed, _ = train(tmp_path / "cut", settings)
    assert_same(straight, resumed)
    assert any(not torch.equal(resumed[name], kept.network[name]) for name in resumed)
