"""Long-term memory: of frames that leave the working memory the most read positions stay, condensed.

After XMem (Cheng and Schwing, ECCV 2022, section 3.3), where Cutie has it from. A read adds to the usage of every
position the weights that it got; its usage is the average over the reads of its life. When the working memory is
full, the most used positions of its older frames become prototypes: each keeps its key, and its value becomes a mean
over all positions that are condensed, weighted by their similarity to the prototype (potentiation). When the
long-term memory is full, its least used positions go.

Letters: K objects, M query positions, N memory positions, P prototypes, CK key channels, CV value channels, D width of
augmented keys.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from oneshot_vos.inference.bank import SearchedBank, joined_blocks
from oneshot_vos.inference_settings import LongTerm
from oneshot_vos.networks.common.interface import MemoryFrame
from oneshot_vos.networks.common.memory import (
    Winners,
    find_winners,
    memory_tokens,
    query_tokens,
    score_blocks,
    similarity,
    value_tokens,
)

# What is known of memory positions by name, each [..., N, C].
Columns = dict[str, Tensor]
_BORN = 1e-7  # the life of a position that no read has met


class Table:
    """Columns of equal length that grow at the end, in blocks that are allocated at a time."""

    def __init__(self) -> None:
        self._columns: Columns = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> Tensor:
        """One column [..., N, C]; writing to it changes the table."""
        return self._columns[name].narrow(-2, 0, self._length)

    def append(self, rows: Columns, room: int) -> None:
        """Add rows; where space runs out, get it for `room` more rows."""
        count = rows["keys"].shape[-2]
        for name, new in rows.items():
            old = self._columns.get(name, new[..., :0, :])
            if old.shape[-2] < self._length + count:
                grown = old.new_zeros(*old.shape[:-2], self._length + count + room, old.shape[-1])
                grown.narrow(-2, 0, self._length).copy_(old.narrow(-2, 0, self._length))
                self._columns[name] = grown
            self._columns[name].narrow(-2, self._length, count).copy_(new)
        self._length += count

    def rows(self, places: Tensor | slice) -> Columns:
        """A copy of some rows."""
        return {name: self[name][..., places, :].clone() for name in self._columns}

    def cut(self, length: int) -> None:
        """Forget the rows from `length` on."""
        self._length = length

    def update(self, name: str, column: Tensor) -> None:
        """Replace a column by one of the same length."""
        self._columns[name] = column

    def state_dict(self) -> dict[str, Any]:
        """The columns, room for more rows included, and how long they are."""
        return {"columns": dict(self._columns), "length": self._length}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what another table was."""
        self._columns, self._length = dict(state["columns"]), state["length"]


def new_rows(frame: MemoryFrame) -> Columns:
    """What a bank with long-term memory stores of a frame, but for the values."""
    keys = memory_tokens(frame.key, frame.shrinkage)[0]
    rows = {"keys": keys, "key": _tokens(frame.key), "counts": _fresh_counts(keys)}
    return rows if frame.selection is None else rows | {"selection": _tokens(frame.selection)}


def prototype_rows(table: Table, candidates: slice, count: int) -> tuple[Columns, Tensor, Tensor]:
    """Choose prototypes among candidates: their rows, but for the values; their places; all similarities [P, N].

    Fewer than `count` candidates all become prototypes.
    """
    rows = table.rows(candidates)
    used = usage(rows["counts"])
    chosen = used.topk(min(count, len(used)), sorted=True).indices
    key = rows["key"][chosen]
    selection = rows["selection"][chosen] if "selection" in rows else None
    query = query_tokens(_maps(key), None if selection is None else _maps(selection))
    scores = similarity(query, rows["keys"][None])[0]
    # The last of the augmented key is the shrinkage, where there is any, see `networks.common.memory`.
    shrinkage = None if selection is None else _maps(scores.softmax(1) @ rows["keys"][:, -1:])
    keys = memory_tokens(_maps(key), shrinkage)[0]
    new = {"keys": keys, "key": key, "counts": _fresh_counts(keys)}
    return (new if selection is None else new | {"selection": selection}), chosen, scores


def potentiated(scores: Tensor, values: Tensor) -> Tensor:
    """Values [K, P, CV] of prototypes from their similarities [P, N] with candidates and those' values [K, N, CV]."""
    return (scores.softmax(1) @ values.float()).to(values.dtype)


def usage(counts: Tensor) -> Tensor:
    """Mean weight per read [N] of counts [N, 2]."""
    return counts[:, 0] / counts[:, 1]


def count_usage(counts: Tensor, winners: Winners) -> None:
    """Add a read to the counts [N, 2] of the positions that could have been read."""
    counts[:, 0].index_add_(0, winners.positions.flatten(), winners.weights.flatten())
    counts[:, 1] += 1


def most_used(counts: Tensor, settings: LongTerm) -> Tensor:
    """Places [N'] of the long-term positions that stay, in their order, so that as many prototypes find room.

    All of them, if there is room.
    """
    used, room = usage(counts), settings.max_elements - settings.prototypes
    if len(used) < room:
        return torch.arange(len(used), device=used.device)
    return used.topk(min(len(used), room - settings.buffer)).indices.sort().values


class LongTermBank(SearchedBank):
    """Working and long-term memory of objects that were introduced in the same frame.

    Positions are stored in the order long-term, first frame, later frames, so that one search goes over all. The
    first frame stays for good.

    settings: what is kept. top_k: positions read per query (all, if the memory holds fewer).
    """

    _kept = (*SearchedBank._kept, "_objects", "_area", "_long")

    def __init__(self, settings: LongTerm, top_k: int) -> None:
        super().__init__()
        self._settings = settings
        self._top_k = top_k
        self._table = Table()
        self._objects = 0
        self._area = 0  # positions of a frame
        self._long = 0  # positions in long-term memory

    @property
    def counts(self) -> list[int]:
        return [self._objects] if self._objects else []

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "table": self._table.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._table.load_state_dict(state["table"])

    def _add(self, frame: MemoryFrame, annotated: bool) -> None:
        if self._objects and frame.value.shape[1] != self._objects:
            raise ValueError(f"{frame.value.shape[1]} objects in a memory frame, expected {self._objects}")
        rows = new_rows(frame) | {"values": value_tokens(frame)[0]}
        self._objects, self._area = frame.value.shape[1], len(rows["keys"])
        self._append(rows)
        if len(self._table) - self._long >= self._settings.max_frames * self._area:
            self._condense()
        self._changed()

    def _keep(self, kept: list[list[int]]) -> None:
        (own,) = kept
        if own:
            self._table.update("values", self._table["values"][own])
        else:
            self._table, self._long = Table(), 0
        self._objects = len(own)
        self._changed()

    def _append(self, rows: Columns) -> None:
        self._table.append(rows, room=self._settings.max_frames * self._area)

    def _condense(self) -> None:
        newest = (self._settings.min_frames - 1) * self._area
        first = self._table.rows(slice(self._long, self._long + self._area))
        latest = self._table.rows(slice(len(self._table) - newest, len(self._table)))
        candidates = slice(self._long + self._area, len(self._table) - newest)
        prototypes, _, scores = prototype_rows(self._table, candidates, self._settings.prototypes)
        prototypes["values"] = potentiated(scores, self._table["values"][:, candidates])
        stay = most_used(self._table["counts"][: self._long], self._settings)
        if len(stay) < self._long:
            kept = self._table.rows(stay)
            self._table.cut(0)
            self._append(kept)
        self._table.cut(len(stay))
        for rows in (prototypes, first, latest):
            self._append(rows)
        self._long = len(stay) + len(prototypes["keys"])

    def _values(self) -> list[Tensor]:
        return [self._table["values"]]

    def _search(self, key: Tensor, selection: Tensor | None) -> list[Winners]:
        query = query_tokens(key, selection)
        blocks = [find_winners(scores[0], self._top_k) for scores in score_blocks(query, self._table["keys"][None])]
        winners = joined_blocks(blocks)
        count_usage(self._table["counts"], winners)
        return [winners]


def _fresh_counts(keys: Tensor) -> Tensor:
    """Counts [N, 2]: the weights of all reads, summed over queries, and the number of reads."""
    return torch.tensor([0, _BORN], device=keys.device).expand(len(keys), 2)


def _tokens(maps: Tensor) -> Tensor:
    """[1, C, h, w] to float32 [h*w, C]."""
    return maps[0].flatten(1).T.float()


def _maps(tokens: Tensor) -> Tensor:
    """[N, C] to [1, C, N, 1]."""
    return tokens.T[None, :, :, None]
