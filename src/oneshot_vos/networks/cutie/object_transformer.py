"""Cutie's object-level memory: queries that stand for an object, and pixels, inform each other by attention.

Letters: B batch, K objects, N = B*K, Q queries of an object (the first half looks at the object, the second half at
what surrounds it), D width, h w size, P = h*w positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.aggregation import aggregate_logits
from oneshot_vos.networks.cutie.blocks import ChannelAttentionBlock

_SCALE, _TEMPERATURE = 32.0, 128.0  # of the positional encoding


def to_tokens(maps: Tensor) -> Tensor:
    """[N, D, h, w] to [N, P, D]; a view when the maps are channels-last."""
    return maps.flatten(2).transpose(1, 2)


def to_maps(tokens: Tensor, height: int, width: int) -> Tensor:
    """[N, P, D] to [N, D, h, w], as a channels-last view."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))


class PositionalEncoding(nn.Module):
    """Sines and cosines of the position, relative to the size of the map.

    The first half of the channels belongs to the column, the second to the row; in each, sine and cosine alternate
    over frequencies 128^(-2i / (D/2)). Positions run from 0 to 32. The frequencies are part of the weights; the
    encoding is computed anew at each call, since a kept one would have the device, the precision and the autograd mode
    of whoever came first.
    """

    inv_freq: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponents = torch.arange(0, width // 2, 2).float() / (width // 2)
        self.register_buffer("inv_freq", 1.0 / _TEMPERATURE**exponents)

    def forward(self, height: int, width: int) -> Tensor:
        """The encoding [P, D] in float32."""
        rows, columns = self._axis(height), self._axis(width)
        size = height, width, rows.shape[1]
        return torch.cat([columns[None].expand(size), rows[:, None].expand(size)], -1).flatten(0, 1)

    def _axis(self, length: int) -> Tensor:
        """[length, D/2]."""
        positions = torch.arange(length, device=self.inv_freq.device, dtype=torch.float32)
        angles = torch.outer(positions / (length - 1 + 1e-6) * _SCALE, self.inv_freq.float())
        return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class Attention(nn.Module):
    """Multi-head attention with the names of `nn.MultiheadAttention`: one packed projection of query, key and value."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Query [N, L, D], key and value [N, S, D] to [N, L, D].

        allowed [N, 1, L, S]: where attention may go; at least one place for every query.
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # N heads L D/heads
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, allowed).transpose(1, 2).flatten(2))


class ReadFromPixels(nn.Module):
    """Queries look at the pixels. The residual starts from the normalised queries, as in the official weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross_attn = Attention(width, heads)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, position: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
        """Queries and their position [N, Q, D]; keys and values [N, P, D]; allowed [N, 1, Q, P]."""
        x = self.norm(queries)
        return x + self.cross_attn(x + position, keys, values, allowed)


class SelfAttention(nn.Module):
    """Queries of an object look at each other; its residual, too, starts from the normalised queries."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, position: Tensor) -> Tensor:
        """Queries and their position [N, Q, D] to queries."""
        x = self.norm(queries)
        placed = x + position
        return x + self.self_attn(placed, placed, x)


class FeedForward(nn.Module):
    """Pre-norm perceptron with one hidden layer and a residual."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, Q, D] to the same shape."""
        return x + self.linear2(F.relu(self.linear1(self.norm(x)), inplace=True))


class ReadFromQueries(nn.Module):
    """Pixels look at the queries; no normalisation."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross_attn = Attention(width, heads)

    def forward(self, pixels: Tensor, placed: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Pixels, without and with their position, [N, P, D]; keys and values [N, Q, D]; to pixels."""
        return pixels + self.cross_attn(placed, keys, values)


class PixelFeedForward(nn.Module):
    """A convolutional block in the place of the pixels' perceptron."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = ChannelAttentionBlock(width)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, D, h, w] to the same shape."""
        return self.conv(maps)


class TransformerBlock(nn.Module):
    """One exchange between the queries of an object and its pixels."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.read_from_pixel = ReadFromPixels(width, heads)
        self.self_attn = SelfAttention(width, heads)
        self.ffn = FeedForward(width, feedforward)
        self.read_from_query = ReadFromQueries(width, heads)
        self.pixel_ffn = PixelFeedForward(width)

    def forward(
        self, maps: Tensor, queries: Tensor, pixel_position: Tensor, query_position: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Maps [N, D, h, w], queries [N, Q, D] and the positions of both, [N, P, D] and [N, Q, D].

        Returns maps and queries. allowed: see `attention_mask`.
        """
        pixels = to_tokens(maps)
        placed = pixels + pixel_position
        queries = self.read_from_pixel(queries, query_position, placed, pixels, allowed)
        queries = self.ffn(self.self_attn(queries, query_position))
        pixels = self.read_from_query(pixels, placed, queries + query_position, queries)
        return self.pixel_ffn(to_maps(pixels, *maps.shape[-2:])), queries


def attention_mask(logits: Tensor) -> Tensor:
    """Where both halves of the queries may look: aggregated logits [B, K+1, h, w] to bool [B, K, 2, h, w].

    The first half sees the object, that is where it is more likely than everything else, and the second what surrounds
    it; a half without any position sees everything.
    """
    foreground = logits[:, 1:] >= logits.amax(1, keepdim=True)
    allowed = torch.stack([foreground, ~foreground], 2)
    return allowed | ~allowed.flatten(3).any(3)[..., None, None]


class ObjectTransformer(nn.Module):
    """Enrich what the pixel memory says of an object with its object memory.

    width D, queries Q, feedforward: hidden width of the queries' perceptron.
    """

    def __init__(self, width: int, queries: int, blocks: int, heads: int, feedforward: int) -> None:
        super().__init__()
        if blocks < 1 or heads < 1 or width % heads:
            raise UserError(
                f"the object transformer cannot have {blocks} transformer_blocks and {heads} heads with value_dim "
                f"{width}; expected at least one block, and heads that divide value_dim"
            )
        self.query_init = nn.Embedding(queries, width)
        self.query_emb = nn.Embedding(queries, width)
        self.summary_to_query_init = nn.Linear(width, width)
        self.summary_to_query_emb = nn.Linear(width, width)
        self.pixel_init_proj = nn.Conv2d(width, width, 1)
        self.pixel_emb_proj = nn.Conv2d(width, width, 1)
        self.spatial_pe = PositionalEncoding(width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, feedforward) for _ in range(blocks))
        self.mask_pred = nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Conv2d(width, 1, 1)) for _ in range(blocks + 1))

    def forward(self, readout: Tensor, summary: Tensor, present: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Readout [B, K, D, h, w] of the pixel memory and summary [B, K, Q, D+1], the sum over the memory's frames.

        Returns the enriched readout, and the masks that guided the attention, one per level, as aggregated logits
        [B, K+1, h, w]; in training also those of the last level, which guide nothing.
        """
        batch, objects, _, height, width = readout.shape
        maps, summaries = readout.flatten(0, 1), summary.flatten(0, 1)
        average = summaries[..., :-1] / (summaries[..., -1:] + 1e-4)  # N Q D
        queries = self.query_init.weight + self.summary_to_query_init(average)
        query_position = self.query_emb.weight + self.summary_to_query_emb(average)
        pixel_position = to_tokens(self.pixel_emb_proj(maps))
        pixel_position = pixel_position + self.spatial_pe(height, width).to(pixel_position.dtype)

        maps, levels = self.pixel_init_proj(maps), []
        half = queries.shape[1] // 2
        for predict, block in zip(self.mask_pred, self.blocks, strict=False):
            levels.append(self._masks(predict(maps), batch, present))
            allowed = attention_mask(levels[-1].detach()).flatten(3).flatten(0, 1)  # N 2 P
            allowed = allowed.repeat_interleave(half, 1).unsqueeze(1)  # N 1 Q P
            maps, queries = block(maps, queries, pixel_position, query_position, allowed)
        if self.training:
            levels.append(self._masks(self.mask_pred[-1](maps), batch, present))
        return maps.unflatten(0, (batch, objects)), levels

    def _masks(self, logits: Tensor, batch: int, present: Tensor | None) -> Tensor:
        """Logits of every object by itself, [N, 1, h, w], to aggregated ones."""
        return aggregate_logits(logits.squeeze(1).unflatten(0, (batch, -1)), present)


class ObjectSummarizer(nn.Module):
    """A frame's values and masks to a few vectors per object: weighted sums over the object and over its surroundings.

    Sums and total weights are kept apart, so that frames can be added up.
    """

    def __init__(self, width: int, summaries: int) -> None:
        super().__init__()
        if summaries < 2 or summaries % 2 or width % 4:
            raise UserError(
                f"queries {summaries} and value_dim {width} do not fit the object memory; expected an even number of "
                "queries, half for the object and half for its surroundings, and value_dim a multiple of 4"
            )
        self.pos_enc = PositionalEncoding(width)
        self.input_proj = nn.Linear(width, width)
        self.feature_pred = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.weights_pred = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, summaries))

    def forward(self, value: Tensor, masks: Tensor) -> Tensor:
        """Values [B, K, D, h, w] and masks [B, K, h, w] in [0, 1] to float32 summaries [B, K, Q, D+1]."""
        tokens = self.input_proj(to_tokens(value.flatten(0, 1))) + self.pos_enc(*value.shape[-2:])
        with torch.autocast(value.device.type, enabled=False):
            tokens = tokens.float()  # N P D
            weights = self.weights_pred(tokens).sigmoid()  # N P Q
            inside = masks.float().flatten(2).flatten(0, 1).unsqueeze(-1)  # N P 1
            of_object, of_surroundings = weights.chunk(2, -1)
            weights = torch.cat([of_object * inside, of_surroundings * (1 - inside)], -1).transpose(1, 2)  # N Q P
            sums = weights @ self.feature_pred(tokens)
            return torch.cat([sums, weights.sum(-1, keepdim=True)], -1).unflatten(0, masks.shape[:2])
