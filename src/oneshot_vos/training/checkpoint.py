"""The resumable state of a training: one folder that neither pipeline engine knows, locked while in use."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from oneshot_vos.errors import UserError
from oneshot_vos.files import replacing


@dataclass
class Progress:
    """What a training needs to go on as if it had never stopped.

    Everything random is drawn from generators made of the seed and the iteration, so the iteration number stands for
    the sampler position and the random state as well.
    """

    iteration: int  # iterations finished
    network: dict[str, Any]
    optimiser: dict[str, Any]
    curve: list[dict[str, float]]  # one row per logged iteration
    seconds: float  # time spent so far, over all starts
    strategy: dict[str, Any] = field(default_factory=dict)  # what the strategy keeps, if anything
    scaler: dict[str, Any] = field(default_factory=dict)  # scale of the loss, where one is in use
    processes: int = 1  # that trained


class StateFolder:
    """`state/<profile>/<run>`: the last checkpoint, valid only for one fingerprint of parameters and inputs."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._fingerprint = fingerprint
        self._checkpoint = folder / "checkpoint.pt"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; a second training of the same run is refused instead of mixing its state with ours."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise UserError(
                f"{self.folder}: another process is training this run. Wait for it, or end it (an interrupted "
                "pipeline can leave its training behind), then rerun to resume"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def save(self, progress: Progress) -> None:
        """Write the checkpoint in place of the last one, atomically."""
        with replacing(self._checkpoint) as temporary:
            content = {"fingerprint": self._fingerprint, **vars(progress)}
            for name, usual in (("strategy", {}), ("scaler", {}), ("processes", 1)):
                if content[name] == usual:
                    del content[name]
            _write_archive(content, temporary)

    def load(self) -> Progress | None:
        """The last checkpoint; None when there is none, or when it belongs to other parameters or inputs."""
        if not self._checkpoint.exists():
            return None
        try:
            stored = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0].partition(". ")[0]
            raise UserError(
                f"{self._checkpoint}: not readable ({reason}). Delete this file to train from the beginning"
            ) from error
        if stored.pop("fingerprint") != self._fingerprint:
            return None
        return Progress(**stored)

    def snapshot(self, iteration: int) -> Path:
        """Where the weights after `iteration` iterations are kept."""
        return self.folder / "snapshots" / f"{iteration:07}.safetensors"

    def discard(self) -> None:
        """Forget everything: the training is finished and its outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_archive(content: dict[str, Any], path: Path) -> None:
    """`torch.save` through a Python stream, so that a full disk is an OSError with a reason, not a C++ failure."""
    with path.open("wb") as stream:
        try:
            torch.save(content, stream)
            stream.flush()
        except RuntimeError as error:
            # torch's zip writer reports a failed write as RuntimeError; the cause, if any, is the OSError it met
            raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from error
