"""The memory of a video for networks that read it themselves: whole frames, as the network made them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from oneshot_vos.inference.bank import Bank
from oneshot_vos.networks.common.interface import TokenFrame


class _Kept(NamedTuple):
    """A frame, its number (0 for the first ever added), and whether its masks were given."""

    number: int
    shared: tuple[Tensor, ...]  # see `TokenFrame`, as `own`
    own: tuple[Tensor, ...]
    annotated: bool

    def of(self, numbers: list[int]) -> "_Kept":
        """The same frame with those of the objects that it has; it may be older than some of them."""
        known = self.own[0].shape[1]
        return self._replace(own=TokenFrame(self.shared, self.own).of([n for n in numbers if n < known]).own)


class FrameBank(Bank):
    """Frames (batch size 1), and for every group of objects those from the one on that introduced it.

    max_frames: how many are kept for good. When there are more, the oldest without annotation goes, or, if all are
        annotated, the oldest. None: all stay. `add_temporary` keeps one more.
    """

    _kept = (*Bank._kept, "_starts", "_count")

    def __init__(self, max_frames: int | None) -> None:
        super().__init__()
        self._max_frames = max_frames
        self._frames: list[_Kept] = []
        self._temporary: _Kept | None = None
        self._starts: list[tuple[int, int]] = []  # of each group: number of its first frame, and how many objects
        self._count = 0

    @property
    def counts(self) -> list[int]:
        return [objects for _, objects in self._starts]

    def frames_of(self, objects: slice) -> list[TokenFrame]:
        """The frames since the objects were introduced, which was in one frame, oldest first."""
        for group, (start, _) in zip(self.groups, self._starts, strict=True):
            if group.start <= objects.start < group.stop:
                if objects.stop > group.stop:
                    raise ValueError(f"objects {objects} of several groups; expected those of one, {group}")
                return [TokenFrame(kept.shared, kept.own).of(objects) for kept in self._since(start)]
        raise ValueError("the memory is empty")

    def _add_temporary(self, frame: TokenFrame) -> None:
        self._temporary = _Kept(self._count, *frame, annotated=False)
        self._count += 1

    def drop_temporary(self) -> None:
        self._temporary = None

    def state_dict(self) -> dict[str, Any]:
        temporary = self._temporary and tuple(self._temporary)
        return {**super().state_dict(), "frames": [tuple(kept) for kept in self._frames], "temporary": temporary}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._frames = [_Kept(*kept) for kept in state["frames"]]
        self._temporary = state["temporary"] and _Kept(*state["temporary"])

    def _add(self, frame: TokenFrame, annotated: bool) -> None:
        if frame.objects > self.objects:
            self._starts.append((self._count, frame.objects - self.objects))
        self._temporary = None
        if self._max_frames is not None and len(self._frames) >= self._max_frames:
            self._frames.remove(min(self._frames, key=lambda kept: (kept.annotated, kept.number)))
        self._frames.append(_Kept(self._count, *frame, annotated))
        self._count += 1

    def _keep(self, kept: list[list[int]]) -> None:
        numbers = [group.start + own for group, owns in zip(self.groups, kept, strict=True) for own in owns]
        pairs = zip(self._starts, kept, strict=True)
        self._starts = [(start, len(own)) for (start, _), own in pairs if own]
        first = min((start for start, _ in self._starts), default=self._count)
        self._frames = [each.of(numbers) for each in self._frames if each.number >= first]
        if self._temporary is not None:
            self._temporary = self._temporary.of(numbers) if self._starts else None

    def _since(self, start: int) -> list[_Kept]:
        everything = self._frames if self._temporary is None else [*self._frames, self._temporary]
        return [kept for kept in everything if kept.number >= start]
