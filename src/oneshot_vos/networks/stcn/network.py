"""STCN: space-time correspondence networks for video object segmentation (Cheng, Tai and Tang, NeurIPS 2021).

One key per image, shared by all objects; one value per object and memory frame. A frame is segmented by comparing its
key with the keys of the memory and decoding, for every object, the values found there.

Defaults are the published architecture, with its names in the state dict. Letters: B batch, K objects, H W image
size, h w = H/16 W/16, CK key channels, CV value channels; f4, f8, f16 are maps at stride 4, 8, 16.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.networks.common import trunks
from oneshot_vos.networks.common.aggregation import sum_of_others
from oneshot_vos.networks.common.blocks import Conv3x3, FeatureFusion, SplitResidualBlock, UpsampleBlock
from oneshot_vos.networks.common.interface import Decoded, Memory, MemoryFrame, Network, State
from oneshot_vos.networks.common.resnet import BlockName, NormName


class STCNFeatures(NamedTuple):
    """What depends on the image alone and serves both memorising and segmenting."""

    image: Tensor  # B 3 H W
    f4: Tensor
    f8: Tensor
    f16: Tensor
    key: Tensor  # B CK h w


class KeyProjection(nn.Module):
    """Features at stride 16 to the key."""

    def __init__(self, in_channels: int, key_dim: int) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(in_channels, key_dim, 3, padding=1)
        nn.init.orthogonal_(self.key_proj.weight)
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]

    def forward(self, f16: Tensor) -> Tensor:
        """[B, C, h, w] to [B, CK, h, w]."""
        return self.key_proj(f16)


class Decoder(nn.Module):
    """Memory readout and image features to one logit per object and pixel."""

    def __init__(self, value_dim: int, dims: Sequence[int], f8_dim: int, f4_dim: int) -> None:
        super().__init__()
        self.compress = SplitResidualBlock(2 * value_dim, dims[0])
        self.up_16_8 = UpsampleBlock(f8_dim, dims[0], dims[1])
        self.up_8_4 = UpsampleBlock(f4_dim, dims[1], dims[2])
        self.pred = nn.Conv2d(dims[2], 1, 3, padding=1)

    def forward(self, readout: Tensor, f16_thin: Tensor, f8: Tensor, f4: Tensor) -> Tensor:
        """Readout [B, K, CV, h, w] and maps of the image, f16_thin [B, CV, h, w], to float32 logits [B, K, H, W]."""
        x = self.compress(readout.flatten(0, 1), f16_thin)
        x = self.up_8_4(self.up_16_8(x, f8), f4)
        logits = self.pred(F.relu(x)).float()
        logits = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
        return logits.view(*readout.shape[:2], *logits.shape[-2:])


class STCN(Network):
    """The network; see the module for the method and the letters.

    key_block, key_widths, key_depths: the trunk of the key encoder (ResNet-50 by default).
    value_widths, value_depths: the trunk of the value encoder (ResNet-18 by default).
    key_dim, value_dim: CK and CV.
    decoder_dims: channels of the decoder at strides 16, 8 and 4.
    norm: `frozen_batch` for weights that come with statistics, `group` for training from random weights.
    single_object: the value encoder does not see the other objects' masks (static pre-training of the publication).
    trunk, value_trunk: a backbone of timm in the place of the residual trunk: arguments of `TimmTrunk`.
    """

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
        decoder_dims: Sequence[int] = (512, 256, 256),
        norm: NormName = "frozen_batch",
        single_object: bool = False,
        trunk: Mapping[str, Any] | None = None,
        value_trunk: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.single_object = single_object
        self.key_encoder = trunks.image_trunk(trunk, block=key_block, widths=key_widths, depths=key_depths, norm=norm)
        f4_dim, f8_dim, f16_dim = self.key_encoder.channels
        masks, residual = 1 if single_object else 2, {"widths": value_widths, "depths": value_depths, "norm": norm}
        self.value_encoder = trunks.value_trunk(masks, value_trunk, **residual, bias=True)
        self.value_encoder.fuser = FeatureFusion(self.value_encoder.channels[-1], f16_dim, value_dim)
        self.others_channels = (f"value_encoder.{self.value_encoder.first_weight}",)
        self.key_proj = KeyProjection(f16_dim, key_dim)
        self.key_comp = Conv3x3(f16_dim, value_dim)
        self.decoder = Decoder(value_dim, decoder_dims, f8_dim, f4_dim)

    def encode(self, image: Tensor) -> STCNFeatures:
        f4, f8, f16 = self.key_encoder(image)
        return STCNFeatures(image, f4, f8, f16, self.key_proj(f16))

    def initial_state(self, features: STCNFeatures, objects: int) -> State:
        """Nothing: no state travels from frame to frame."""
        return ()

    def memorise(
        self, features: STCNFeatures, masks: Tensor, state: State, *, deep: bool = True
    ) -> tuple[MemoryFrame, State]:
        """The key of the image and, for every mask [B, K, H, W], a value."""
        masks = masks.to(features.image.dtype)
        channels = [masks] if self.single_object else [masks, sum_of_others(masks)]
        value = self.value_encoder(features.image, torch.stack(channels, 2).flatten(0, 1), features.f16)
        return MemoryFrame(features.key, None, None, value.unflatten(0, masks.shape[:2]), None), state

    def decode(
        self,
        features: STCNFeatures,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Decoded, State]:
        readout = memory.read(features.key, None)
        logits = self.decoder(readout, self.key_comp(features.f16), features.f8, features.f4)
        return Decoded(logits, {}), state
