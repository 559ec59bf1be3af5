"""How far a training is, in a log file."""

import logging

import pytest

from oneshot_vos.training import loop


def test_lines_tell_loss_speed_and_time_left_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(loop.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO, "oneshot_vos")
    lines = loop.Lines("stcn-full", 100, 600)  # resumed after 100 iterations
    for iteration in (110, 150, 151, 200):
        now += 10.0
        lines.write(iteration, 0.18712, 30.16, 0.021)
    assert caplog.messages == [
        "stcn-full: iteration 150 of 600, loss 0.187, 30.2 images/s, 2 % waiting for data, 0:03:00 left",
        "stcn-full: iteration 200 of 600, loss 0.187, 30.2 images/s, 2 % waiting for data, 0:02:40 left",
    ]
