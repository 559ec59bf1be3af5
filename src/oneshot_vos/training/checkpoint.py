"""The resumable state of a training: one folder that neither pipeline engine knows, locked while in use."""

import logging
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from oneshot_vos.errors import UserError
from oneshot_vos.files import changes, fingerprint, held, read_json, replacing, write_json
from oneshot_vos.networks.common.weights import UnreadableTensorsError, read_tensors

CHECKPOINT, RECORD = "checkpoint.pt", "made_from.json"  # the record: for people, and to say what differs
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What a training needs to continue as if it had never stopped.

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
    """`state/<profile>/<run>`: the last checkpoint, valid only for what it was made from: parameters and inputs."""

    def __init__(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        self.folder = folder
        self._made_from = dict(made_from)
        self._record = folder / RECORD
        self._checkpoint = folder / CHECKPOINT
        self._unfit: int | None = None  # iteration of a checkpoint that was made from other values

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder; a second training of the same run is refused instead of mixing its state with ours."""
        return held(self.folder, "training this run")

    def save(self, progress: Progress) -> None:
        """Write the checkpoint in place of the last one, atomically."""
        write_json(self._record, self._made_from)
        with replacing(self._checkpoint) as temporary:
            content = {"fingerprint": fingerprint(self._made_from), **vars(progress)}
            # Defaults are left out: the file of a training that uses none of these is what it was before they came.
            for name, usual in (("strategy", {}), ("scaler", {}), ("processes", 1)):
                if content[name] == usual:
                    del content[name]
            _write_archive(content, temporary)

    def load(self) -> Progress | None:
        """The last checkpoint; None when there is none, or when it belongs to other parameters or inputs.

        An empty file is none: that is what a power cut may leave of one.
        """
        if not self._checkpoint.exists():
            return None
        if not self._checkpoint.stat().st_size:
            _log.warning("%s: empty, as after a power cut; training starts from the beginning", self._checkpoint)
            return None
        try:
            stored = read_tensors(self._checkpoint)
            if stored.pop("fingerprint") != fingerprint(self._made_from):
                self._unfit = int(stored["iteration"])
                return None
            return Progress(**stored)
        except (UnreadableTensorsError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{self._checkpoint}: not readable ({error}). Delete this file to train from the beginning"
            ) from error

    def set_aside(self) -> None:
        """Move a checkpoint that `load` found not to fit beside this folder, and log what differs and where it is.

        It takes the place of one that was moved before. Of several processes one does it, when all have loaded.
        """
        if self._unfit is None:
            return
        aside = self.folder.with_name(f"{self.folder.name}.before")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        before = read_json(self._record, "what a checkpoint was made from") if self._record.exists() else {}
        for entry in (self._checkpoint, self._record, self.folder / "snapshots"):
            if entry.exists():
                entry.rename(aside / entry.name)
        _log.warning(
            "%s: the checkpoint of iteration %d was made with other values (%s); it is kept in %s, and training starts "
            "from the beginning. To resume it, set them back and move it there again",
            self.folder,
            self._unfit,
            "; ".join(changes(before, self._made_from) if before else ()) or "unknown ones",
            aside,
        )
        self._unfit = None

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
            # torch's zip writer reports a failed write as RuntimeError, on the way out of the OSError that it met.
            met = error.__cause__ or error.__context__
            raise met if isinstance(met, OSError) else OSError(str(error)) from error
