"""XMem: long-term video object segmentation with an Atkinson-Shiffrin memory model (Cheng and Schwing, ECCV 2022).

Like STCN, one key per image and one value per object and memory frame. New: the similarity of keys is weighted per
memory position (shrinkage) and per query channel (selection), and every object has a hidden state that travels from
frame to frame: the sensory memory. The decoder moves it on with every frame; a deep update also takes up the value of
a memorised frame.

Defaults are the published architecture, with its names in the state dict. Letters: B batch, K objects, H W image
size, h w = H/16 W/16, CK key channels, CV value channels, CH hidden channels; f4, f8, f16 are maps of the image and
g4, g8, g16 maps of an object, at stride 4, 8, 16.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common import trunks
from oneshot_vos.networks.common.aggregation import sum_of_others
from oneshot_vos.networks.common.blocks import DecoderUpdate, FeatureFusion, GatedUpdate, UpsampleBlock
from oneshot_vos.networks.common.interface import Decoded, Memory, MemoryFrame, Network, State
from oneshot_vos.networks.common.resnet import BlockName, NormName


class XMemFeatures(NamedTuple):
    """What depends on the image alone and serves both memorising and segmenting."""

    image: Tensor  # B 3 H W
    f4: Tensor
    f8: Tensor
    f16: Tensor
    key: Tensor  # B CK h w
    shrinkage: Tensor  # B 1 h w, at least 1
    selection: Tensor  # B CK h w, in (0, 1)


class KeyProjection(nn.Module):
    """Features at stride 16 to key, shrinkage and selection."""

    def __init__(self, in_channels: int, key_dim: int) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(in_channels, key_dim, 3, padding=1)
        self.d_proj = nn.Conv2d(in_channels, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(in_channels, key_dim, 3, padding=1)
        nn.init.orthogonal_(self.key_proj.weight)
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]

    def forward(self, f16: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, C, h, w] to [B, CK, h, w], [B, 1, h, w] and [B, CK, h, w]."""
        return self.key_proj(f16), self.d_proj(f16).square() + 1, self.e_proj(f16).sigmoid()


class Decoder(nn.Module):
    """Memory readout, hidden state and image features to one logit per object and pixel, and the new hidden state."""

    def __init__(
        self, value_dim: int, hidden_dim: int, dims: Sequence[int], f16_dim: int, f8_dim: int, f4_dim: int
    ) -> None:
        super().__init__()
        self.fuser = FeatureFusion(value_dim + hidden_dim, f16_dim, dims[0], shared_first=True)
        self.hidden_update = DecoderUpdate(dims, dims[2], hidden_dim) if hidden_dim else None
        self.up_16_8 = UpsampleBlock(f8_dim, dims[0], dims[1])
        self.up_8_4 = UpsampleBlock(f4_dim, dims[1], dims[2])
        self.pred = nn.Conv2d(dims[2], 1, 3, padding=1)

    def forward(
        self, features: XMemFeatures, readout: Tensor, hidden: Tensor | None, *, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Readout [B*K, CV, h, w] and hidden state [B*K, CH, h, w] to float32 logits [B*K, 1, H, W] and hidden state.

        The hidden state comes back as it is without `update`.
        """
        own = readout if hidden is None else torch.cat([readout, hidden.to(readout.dtype)], 1)
        g16 = self.fuser(own, features.f16)
        g8 = self.up_16_8(g16, features.f8)
        g4 = self.up_8_4(g8, features.f4)
        logits = self.pred(F.relu(g4)).float()
        if update and hidden is not None and self.hidden_update is not None:
            hidden = self.hidden_update(g16, g8, g4, logits, hidden)
        return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False), hidden


class XMem(Network):
    """The network; see the module for the method and the letters.

    key_block, key_widths, key_depths: the trunk of the key encoder (ResNet-50 by default).
    value_widths, value_depths: the trunk of the value encoder (ResNet-18 by default).
    key_dim, value_dim, hidden_dim: CK, CV and CH; hidden_dim 0 is the variant without sensory memory.
    decoder_dims: channels of the decoder at strides 16, 8 and 4.
    norm: `frozen_batch` for weights that come with statistics, `group` for training from random weights.
    single_object: the value encoder does not see the other objects' masks (static pre-training of the publication).
    trunk, value_trunk: a backbone of timm in the place of the residual trunk: arguments of `TimmTrunk`.

    The state is the hidden state [B, K, CH, h, w] in float32, or nothing if hidden_dim is 0.
    """

    recurrent = True
    updates_memory_frames = False

    def __init__(
        self,
        *,
        key_block: BlockName = "bottleneck",
        key_widths: Sequence[int] = (64, 128, 256),
        key_depths: Sequence[int] = (3, 4, 6),
        value_widths: Sequence[int] = (64, 128, 256),
        value_depths: Sequence[int] = (2, 2, 2),
        key_dim: int = 64,
        value_dim: int = 512,
        hidden_dim: int = 64,
        decoder_dims: Sequence[int] = (512, 256, 256),
        norm: NormName = "frozen_batch",
        single_object: bool = False,
        trunk: Mapping[str, Any] | None = None,
        value_trunk: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _require_dims(key_dim, value_dim, hidden_dim, decoder_dims)
        self.recurrent = hidden_dim > 0
        self.single_object = single_object
        self.hidden_dim = hidden_dim
        self.key_encoder = trunks.image_trunk(trunk, block=key_block, widths=key_widths, depths=key_depths, norm=norm)
        f4_dim, f8_dim, f16_dim = self.key_encoder.channels
        masks, residual = 1 if single_object else 2, {"widths": value_widths, "depths": value_depths, "norm": norm}
        self.value_encoder = trunks.value_trunk(masks, value_trunk, **residual)
        value_channels = self.value_encoder.channels[-1]
        self.value_encoder.fuser = FeatureFusion(value_channels, f16_dim, value_dim, shared_first=True)
        # The deep update of the hidden state, which takes up the value.
        reinforce = GatedUpdate(value_dim, hidden_dim) if hidden_dim else None
        self.value_encoder.register_module("hidden_reinforce", reinforce)
        self.others_channels = (f"value_encoder.{self.value_encoder.first_weight}",)
        self.key_proj = KeyProjection(f16_dim, key_dim)
        self.decoder = Decoder(value_dim, hidden_dim, decoder_dims, f16_dim, f8_dim, f4_dim)

    def encode(self, image: Tensor) -> XMemFeatures:
        f4, f8, f16 = self.key_encoder(image)
        return XMemFeatures(image, f4, f8, f16, *self.key_proj(f16))

    def initial_state(self, features: XMemFeatures, objects: int) -> State:
        """Zeros."""
        if not self.hidden_dim:
            return ()
        batch, _, height, width = features.f16.shape
        channels_last = features.f16.new_zeros(batch, objects, height, width, self.hidden_dim, dtype=torch.float32)
        return (channels_last.permute(0, 1, 4, 2, 3),)

    def memorise(
        self, features: XMemFeatures, masks: Tensor, state: State, *, deep: bool = True
    ) -> tuple[MemoryFrame, State]:
        """The key of the image and, for every mask [B, K, H, W], a value, which a deep update also gives the state."""
        masks = masks.to(features.image.dtype)
        channels = [masks] if self.single_object else [masks, sum_of_others(masks)]
        value = self.value_encoder(features.image, torch.stack(channels, 2).flatten(0, 1), features.f16)
        reinforce: Any = self.value_encoder.hidden_reinforce
        if deep and reinforce is not None:
            hidden = reinforce(value, state[0].flatten(0, 1))
            state = (hidden.unflatten(0, masks.shape[:2]),)
        value = value.unflatten(0, masks.shape[:2])
        return MemoryFrame(features.key, features.shrinkage, features.selection, value, None), state

    def decode(
        self,
        features: XMemFeatures,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Decoded, State]:
        readout = memory.read(features.key, features.selection)
        objects = readout.shape[:2]
        before = state[0].flatten(0, 1) if state else None
        logits, hidden = self.decoder(features, readout.flatten(0, 1), before, update=update)
        after = () if hidden is None else (hidden.unflatten(0, objects),)
        return Decoded(logits.squeeze(1).unflatten(0, objects), {}), after


def _require_dims(key_dim: int, value_dim: int, hidden_dim: int, decoder_dims: Sequence[int]) -> None:
    if len(decoder_dims) != 3:
        raise UserError(f"decoder_dims {list(decoder_dims)}: expected three numbers, for strides 16, 8 and 4")
    for name, dims in (("key_dim", [key_dim]), ("value_dim", [value_dim]), ("decoder_dims", decoder_dims)):
        if min(dims) < 1:
            raise UserError(f"{name} {min(dims)}: expected at least 1 channel")
    if hidden_dim < 0:
        raise UserError(f"hidden_dim {hidden_dim}: expected a number of channels, or 0 for no sensory memory")
