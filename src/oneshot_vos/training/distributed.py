"""One process or several: who am I, and which part of the batch is mine. `launch` or `torchrun` starts several."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

T = TypeVar("T")

_LOST = ("Connection closed", "Connection reset", "Broken pipe", "NCCL", "Gloo")  # in what a process that is alone says
PARENT = "ONESHOT_VOS_PARENT"  # environment: number of the process that started the processes of a training


@dataclass(frozen=True)
class World:
    """The place of this process among those that train together. control: where they agree on when to end."""

    rank: int
    size: int
    device: torch.device
    control: Any = None  # a process group of gloo

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Average gradients over the processes; the module itself when there is one."""
        if self.size == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)

    def postponing(self, module: nn.Module, *, postponed: bool) -> AbstractContextManager[Any]:
        """Where gradients of a wrapped module are, if `postponed`, kept to be averaged with those that come next."""
        if postponed and isinstance(module, nn.parallel.DistributedDataParallel):
            return module.no_sync()
        return nullcontext()

    def share(self, batch_size: int) -> slice:
        """The part of a total batch that this process works on."""
        each = batch_size // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def agree_to_stop(self, requested: int) -> int:
        """The signal that asked any of the processes to end, 0 if none did; all have to ask after the same iteration.

        `requested`: the signal that asked this one. That its starter is gone counts as SIGTERM.
        """
        parent = os.environ.get(PARENT)
        if parent is not None and os.getppid() != int(parent):
            requested = requested or signal.SIGTERM
        if self.size == 1:
            return requested
        asked = torch.tensor(requested)
        distributed.all_reduce(asked, distributed.ReduceOp.MAX, self.control)
        return int(asked)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes of `values`, which may be overwritten; as many of each process."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def gather(self, value: T) -> list[T]:
        """The `value` of every process, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until every process has come here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined_world() -> Iterator[World]:
    """Join the processes that `launch` or `torchrun` started, or be the only one."""
    cuda = torch.cuda.is_available()
    size = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if size == 1:
        yield World(0, 1, device)
        return
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        # On the side of the processor: to agree on ending must not wait for the GPU.
        yield World(distributed.get_rank(), size, device, distributed.new_group(backend="gloo"))
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _LOST):
            raise
        raise SystemExit(1) from error  # whoever started the processes says which of them died
    finally:
        distributed.destroy_process_group()
