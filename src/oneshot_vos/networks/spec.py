"""What a network says of itself to those who do not run it: names and numbers, readable without loading torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NetworkSpec:
    """A network, the loss that it is trained with, and what else belongs to it alone.

    network, loss: `module:name` of an `interface.Network` and of a loss, see `build.build_loss`.
    inference: keyword arguments of `InferenceSettings` where nothing else is asked for: the official rhythm, with a
        memory of bounded size.
    recurrent: a state travels from frame to frame.
    trunks: attributes that hold a `ResNet`, each of which may start from torchvision's ImageNet weights.
    marks: prefixes of entries that its weights have, and those of no other network have all of.
    variants: an entry that the official weights of a variant lack, and the keyword arguments of that variant.
    """

    network: str
    loss: str
    inference: Mapping[str, Any]
    recurrent: bool = False
    trunks: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def owns(self, entries: Iterable[str]) -> bool:
        """Whether weights with these entries are of this network."""
        names = tuple(entries)
        return bool(self.marks) and all(any(name.startswith(mark) for name in names) for mark in self.marks)

    def arguments(self, entries: Iterable[str]) -> dict[str, Any]:
        """The keyword arguments of the network that official weights with these entries belong to."""
        names = set(entries)
        lacking = [dict(settings) for entry, settings in self.variants.items() if entry not in names]
        return lacking[0] if lacking else {}
