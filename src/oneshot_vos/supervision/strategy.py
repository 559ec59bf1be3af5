"""What every strategy offers to the training loop."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from oneshot_vos.clips.batch import ClipBatch
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.supervision.rollout import RolloutOptions


class Strategy(nn.Module, ABC):
    """Trains `network`: turns a batch of clips into loss terms.

    The constructor takes the network with its initial weights, its loss, and how clips are walked through; further
    keyword arguments are the strategy's settings in the parameter file. The optimiser trains `network` alone.

    Whatever else a strategy registers (submodules, buffers, `get_extra_state`) is its state: it is saved with every
    checkpoint and restored on resuming.
    """

    def __init__(self, network: Network, loss: nn.Module, options: RolloutOptions) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.options = options

    @abstractmethod
    def forward(self, clip: ClipBatch, iteration: int, generators: Generators) -> dict[str, Tensor]:
        """The loss terms of one batch of clips; `"total"` is the one to minimise, the others are shown.

        Every random choice is drawn from `generators`, so that it neither depends on an interruption nor on how the
        batch of an iteration is cut. Each term has to be a mean over clips for the same reason, and each call of an
        iteration has to return the same names.
        """

    def after_step(self, iteration: int) -> None:
        """Called after the optimiser's step of `iteration` (from 0), on every process."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep besides the network; empty for most strategies."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("network.")}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        network = {name: value for name, value in self.state_dict().items() if name.startswith("network.")}
        self.load_state_dict({**network, **state})
