"""A memory of its own for every group of objects that were introduced in the same frame."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from oneshot_vos.inference.bank import Bank, within
from oneshot_vos.networks.common.interface import MemoryFrame


class GroupedBank(Bank):
    """One bank per group, so that its keys belong to its values whatever is kept, condensed or dropped.

    new_bank: makes the bank of a group. It is told that the group's first frame alone is annotated.
    """

    def __init__(self, new_bank: Callable[[], Bank]) -> None:
        super().__init__()
        self._new_bank = new_bank
        self._banks: list[Bank] = []

    @property
    def counts(self) -> list[int]:
        return [bank.objects for bank in self._banks]

    def _add(self, frame: MemoryFrame, annotated: bool) -> None:
        for group, bank in zip(self.groups, self._banks, strict=True):
            bank.add(_own(frame, group))
        new = slice(self.objects, frame.objects)
        if new.start < new.stop:
            bank = self._new_bank()
            bank.add(_own(frame, new), annotated=True)
            self._banks.append(bank)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "banks": [bank.state_dict() for bank in self._banks]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._banks = [self._new_bank() for _ in state["banks"]]
        for bank, own in zip(self._banks, state["banks"], strict=True):
            bank.load_state_dict(own)

    def _keep(self, kept: list[list[int]]) -> None:
        for bank, own in zip(self._banks, kept, strict=True):
            if len(own) < bank.objects:
                bank.remove(set(range(bank.objects)) - set(own))
        self._banks = [bank for bank in self._banks if bank.objects]

    def _read(self, key: Tensor, selection: Tensor | None, objects: slice) -> list[Tensor]:
        parts = [within(group, objects) for group in self.groups]
        wanted = [(bank, part) for bank, part in zip(self._banks, parts, strict=True) if part.start < part.stop]
        return [readout for bank, part in wanted for readout in bank._read(key, selection, part)]


def _own(frame: MemoryFrame, objects: slice) -> MemoryFrame:
    """Some objects of a frame; their summaries are summed over groups, not in them."""
    return frame.of(objects)._replace(summary=None)
