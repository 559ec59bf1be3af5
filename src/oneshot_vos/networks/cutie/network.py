"""Cutie: Putting the Object Back into Video Object Segmentation (Cheng, Oh, Price, Lee and Schwing, CVPR 2024).

A pixel memory as in XMem, read by anisotropic similarity, a sensory memory that moves on from frame to frame, and an
object memory: a few vectors for every object, which an object transformer lets the pixels look at.

Defaults are the published architecture (base), with its names in the state dict; `small` differs in the pixel encoder
alone, a ResNet-18. Letters: B batch, K objects, N = B*K, H W image size, h w = H/16 W/16, CK key channels, D channels
of everything else at stride 16; f4, f8, f16 are maps at stride 4, 8, 16.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.networks.common import trunks
from oneshot_vos.networks.common.aggregation import aggregate_logits, sum_of_others
from oneshot_vos.networks.common.blocks import DecoderUpdate, GatedUpdate
from oneshot_vos.networks.common.interface import Decoded, Memory, MemoryFrame, Network, ParameterGroup, State, by_rate
from oneshot_vos.networks.common.resnet import BlockName, NormName
from oneshot_vos.networks.common.timm_trunk import backbone_rates
from oneshot_vos.networks.cutie.blocks import ObjectFusion, SkipUpsampleBlock
from oneshot_vos.networks.cutie.object_transformer import Attention, ObjectSummarizer, ObjectTransformer

# Ends of the names of parameters that are not decayed. The layers that turn summaries into queries are among them, as
# in the official recipe, which chooses by these ends too.
_EMBEDDINGS = ("query_init.weight", "query_emb.weight")


class CutieFeatures(NamedTuple):
    """What depends on the image alone and serves both memorising and segmenting."""

    image: Tensor  # B 3 H W
    pixels: Tensor  # B D h w
    skip8: Tensor  # the decoder's view of f8
    skip4: Tensor  # the decoder's view of f4
    key: Tensor  # B CK h w, float32
    shrinkage: Tensor  # B 1 h w, float32
    selection: Tensor  # B CK h w, float32


class KeyProjection(nn.Module):
    """Features at stride 16 to key, shrinkage (at least 1) and selection (in (0, 1)); in float32."""

    def __init__(self, in_channels: int, width: int, key_dim: int) -> None:
        super().__init__()
        self.pix_feat_proj = nn.Conv2d(in_channels, width, 1)
        self.key_proj = nn.Conv2d(width, key_dim, 3, padding=1)
        self.d_proj = nn.Conv2d(width, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(width, key_dim, 3, padding=1)
        nn.init.orthogonal_(self.key_proj.weight)
        nn.init.zeros_(self.key_proj.bias)  # type: ignore[arg-type]

    def forward(self, f16: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, C, h, w] to key [B, CK, h, w], shrinkage [B, 1, h, w] and selection [B, CK, h, w]."""
        heads = (self.key_proj, self.d_proj, self.e_proj)
        with torch.autocast(f16.device.type, enabled=False):
            x = self.pix_feat_proj(f16.float())
            # One convolution for the three: a convolution to a single channel by itself is slow.
            weight = torch.cat([head.weight for head in heads])
            bias = torch.cat([head.bias for head in heads if head.bias is not None])
            key, d, e = F.conv2d(x, weight, bias, padding=1).split([head.out_channels for head in heads], 1)
            return key, d.square() + 1, e.sigmoid()


class DecoderFeatures(nn.Module):
    """Skip features of the image for the decoder."""

    def __init__(self, f8_dim: int, f4_dim: int, dims: Sequence[int]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList([nn.Conv2d(f8_dim, dims[0], 1), nn.Conv2d(f4_dim, dims[1], 1)])

    def forward(self, f8: Tensor, f4: Tensor) -> tuple[Tensor, Tensor]:
        """Maps at strides 8 and 4 to maps with the decoder's channels."""
        return self.transforms[0](f8), self.transforms[1](f4)


class MaskDecoder(nn.Module):
    """Object readout and skip features to one logit per object and position at stride 4."""

    def __init__(self, dims: Sequence[int], f8_dim: int, f4_dim: int, width: int) -> None:
        super().__init__()
        self.sensory_update = DecoderUpdate(dims, width, width)
        self.decoder_feat_proc = DecoderFeatures(f8_dim, f4_dim, dims)
        self.up_16_8 = SkipUpsampleBlock(dims[0], dims[1])
        self.up_8_4 = SkipUpsampleBlock(dims[1], dims[2])
        self.pred = nn.Conv2d(dims[2], 1, 3, padding=1)

    def forward(self, p16: Tensor, skip8: Tensor, skip4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Readout [N, D, h, w] and skips to maps at strides 8 and 4 and float32 logits [N, 1, H/4, W/4]."""
        p8 = self.up_16_8(p16, skip8)
        p4 = self.up_8_4(p8, skip4)
        with torch.autocast(p4.device.type, enabled=False):
            return p8, p4, self.pred(F.relu(p4).float())


class PixelFuser(nn.Module):
    """Join the readout of the pixel memory with the sensory memory, the masks before, and the image."""

    def __init__(self, mask_channels: int, width: int) -> None:
        super().__init__()
        self.fuser = ObjectFusion(width, width, width)
        self.sensory_compress = nn.Conv2d(width + mask_channels, width, 1)

    def forward(self, readout: Tensor, sensory: Tensor, masks: Tensor, pixels: Tensor) -> Tensor:
        """Readout and sensory memory [N, D, h, w], mask channels [N, 1 or 2, h, w], pixel features [B, D, h, w]."""
        before = self.sensory_compress(torch.cat([sensory, masks], 1))
        return self.fuser(readout + before, pixels)


class SensoryHead(nn.Module):
    """Masks from the sensory memory alone, so that a loss reaches it at once; training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(width, width + 1, 1)

    def forward(self, sensory: Tensor, pixels: Tensor) -> Tensor:
        """Sensory memory [B, K, D, h, w] and pixel features [B, D, h, w] to logits [B, K, h, w]."""
        projected = self.projection(sensory.flatten(0, 1)).unflatten(0, sensory.shape[:2])
        return (projected[:, :, :-1] * pixels.unsqueeze(1)).sum(2) + projected[:, :, -1]


class Cutie(Network):
    """The network; see the module for the method and the letters.

    pixel_block, pixel_widths, pixel_depths: the trunk of the pixel encoder (ResNet-50; `basic` with depths 2, 2, 2 is
        the ResNet-18 of `small`).
    mask_widths, mask_depths: the trunk of the mask encoder (ResNet-18).
    key_dim, value_dim: CK and D.
    queries: queries and summaries of an object, half of them for its surroundings.
    transformer_blocks, heads, feedforward: of the object transformer.
    decoder_dims: channels of the decoder at strides 16, 8 and 4; the first is value_dim.
    norm: `frozen_batch` for weights that come with statistics, `group` for training from random weights.
    single_object: no channel for the other objects' masks (static pre-training of the publication).
    trunk, value_trunk: a backbone of timm in the place of the residual trunk: arguments of `TimmTrunk`.
    """

    recurrent = True
    reads_first_frame = False
    black_border = True

    def __init__(
        self,
        *,
        pixel_block: BlockName = "bottleneck",
        pixel_widths: Sequence[int] = (64, 128, 256),
        pixel_depths: Sequence[int] = (3, 4, 6),
        mask_widths: Sequence[int] = (64, 128, 256),
        mask_depths: Sequence[int] = (2, 2, 2),
        key_dim: int = 64,
        value_dim: int = 256,
        queries: int = 16,
        transformer_blocks: int = 3,
        heads: int = 8,
        feedforward: int = 2048,
        decoder_dims: Sequence[int] = (256, 128, 128),
        norm: NormName = "frozen_batch",
        single_object: bool = False,
        trunk: Mapping[str, Any] | None = None,
        value_trunk: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(decoder_dims) != 3 or decoder_dims[0] != value_dim:
            raise UserError(
                f"decoder_dims {list(decoder_dims)}: expected three numbers, for strides 16, 8 and 4, the first of "
                f"them value_dim ({value_dim})"
            )
        self.single_object = single_object
        self.optional_weights = ("aux_computer.", f"object_transformer.mask_pred.{transformer_blocks}.")
        masks = 1 if single_object else 2
        self.pixel_encoder = trunks.image_trunk(
            trunk, block=pixel_block, widths=pixel_widths, depths=pixel_depths, norm=norm
        )
        f4_dim, f8_dim, f16_dim = self.pixel_encoder.channels
        self.pix_feat_proj = nn.Conv2d(f16_dim, value_dim, 1)
        self.key_proj = KeyProjection(f16_dim, value_dim, key_dim)
        self.mask_encoder = trunks.value_trunk(masks, value_trunk, widths=mask_widths, depths=mask_depths, norm=norm)
        self.mask_encoder.fuser = ObjectFusion(value_dim, self.mask_encoder.channels[-1], value_dim)
        self.mask_encoder.sensory_update = GatedUpdate(value_dim, value_dim)  # takes a value up into the memory
        self.others_channels = (f"mask_encoder.{self.mask_encoder.first_weight}", "pixel_fuser.sensory_compress.weight")
        self.mask_decoder = MaskDecoder(decoder_dims, f8_dim, f4_dim, value_dim)
        self.pixel_fuser = PixelFuser(masks, value_dim)
        self.object_transformer = ObjectTransformer(value_dim, queries, transformer_blocks, heads, feedforward)
        self.object_summarizer = ObjectSummarizer(value_dim, queries)
        self.aux_computer = nn.ModuleDict({"sensory_aux": SensoryHead(value_dim)})

    def encode(self, image: Tensor) -> CutieFeatures:
        f4, f8, f16 = self.pixel_encoder(image)
        skips = self.mask_decoder.decoder_feat_proc(f8, f4)
        return CutieFeatures(image, self.pix_feat_proj(f16), *skips, *self.key_proj(f16))

    def initial_state(self, features: CutieFeatures, objects: int) -> State:
        """An empty sensory memory [B, K, D, h, w], float32, in channels-last order."""
        batch, width, height, across = features.pixels.shape
        shape = batch, objects, height, across, width
        return (torch.zeros(shape, device=features.pixels.device).permute(0, 1, 4, 2, 3),)

    def memorise(
        self, features: CutieFeatures, masks: Tensor, state: State, *, deep: bool = True
    ) -> tuple[MemoryFrame, State]:
        """The key of the image and, for every mask [B, K, H, W], a value and a summary."""
        (sensory,) = state
        masks = masks.to(features.image.dtype)
        value = self.mask_encoder(features.image, self._mask_channels(masks), features.pixels)
        if deep:
            take_up: Any = self.mask_encoder.sensory_update
            sensory = take_up(value, sensory.flatten(0, 1)).view_as(sensory)
        value = value.unflatten(0, masks.shape[:2])
        summary = self.object_summarizer(value, self._reduced(masks))
        return MemoryFrame(features.key, features.shrinkage, features.selection, value, summary), (sensory,)

    def decode(
        self,
        features: CutieFeatures,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Decoded, State]:
        """Read the memory and decode every object; logits [B, K, H/4, W/4].

        In training the auxiliary outputs are aggregated logits at stride 16: `sensory` [B, K+1, h, w] and `query`
        [B, K+1, transformer_blocks + 1, h, w].
        """
        (sensory,) = state
        readout = memory.read(features.key, features.selection).flatten(0, 1)
        channels = self._mask_channels(self._reduced(previous.to(features.image.dtype)))
        fused = self.pixel_fuser(readout, sensory.flatten(0, 1), channels, features.pixels)
        summary = memory.summary
        assert summary is not None, "every frame that Cutie memorises has a summary"
        p16, levels = self.object_transformer(fused.unflatten(0, sensory.shape[:2]), summary, present)
        p16 = p16.flatten(0, 1)
        p8, p4, logits = self.mask_decoder(p16, features.skip8, features.skip4)
        auxiliary = {}
        if self.training:
            of_sensory = self.aux_computer["sensory_aux"](sensory, features.pixels)
            auxiliary = {"sensory": aggregate_logits(of_sensory, present), "query": torch.stack(levels, 2)}
        if update:
            moved = self.mask_decoder.sensory_update(p16, p8, p4, logits, sensory.flatten(0, 1))
            sensory = moved.unflatten(0, sensory.shape[:2])
        return Decoded(logits.squeeze(1).unflatten(0, previous.shape[:2]), auxiliary), (sensory,)

    def combine(self, logits: Tensor, present: Tensor | None = None) -> Tensor:
        """Aggregate decoded objects [B, K, H/4, W/4], then enlarge: float32 logits [B, K+1, H, W]."""
        aggregated = aggregate_logits(logits, present)
        return F.interpolate(aggregated, scale_factor=4, mode="bilinear", align_corners=False)

    def start_as_published(self, generator: torch.Generator) -> None:
        """Attention's output projections as `nn.MultiheadAttention` has them: uniform within 1/sqrt(D)."""
        for module in self.modules():
            if isinstance(module, Attention):
                nn.init.kaiming_uniform_(module.out_proj.weight, a=math.sqrt(5), generator=generator)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The pixel encoder at a tenth of the rate; embeddings without weight decay; the rest; backbones of timm."""
        rates = backbone_rates(self)
        pixels: list[nn.Parameter] = []
        embeddings: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            if parameter.requires_grad and parameter not in rates:
                special = embeddings if name.endswith(_EMBEDDINGS) else rest
                (pixels if name.startswith("pixel_encoder.") else special).append(parameter)
        groups = [ParameterGroup(pixels, rate=0.1), ParameterGroup(embeddings, decay=0.0), ParameterGroup(rest)]
        return [*(group for group in groups if group.parameters), *by_rate(rates)]

    def _mask_channels(self, masks: Tensor) -> Tensor:
        """[B, K, h, w] to [N, 1 or 2, h, w]: the mask of each object and, for many, that of all others."""
        own = masks.flatten(0, 1).unsqueeze(1)
        if self.single_object:
            return own
        return torch.cat([own, sum_of_others(masks).clamp(0, 1).flatten(0, 1).unsqueeze(1)], 1)

    def _reduced(self, masks: Tensor) -> Tensor:
        """Masks [B, K, H, W] averaged over squares, [B, K, h, w]."""
        return F.avg_pool2d(masks, self.stride)
