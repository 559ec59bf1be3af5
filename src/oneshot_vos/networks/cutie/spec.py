"""Cutie, as others have to know it."""

from oneshot_vos.networks.spec import NetworkSpec

SPEC = NetworkSpec(
    network="oneshot_vos.networks.cutie.network:Cutie",
    loss="oneshot_vos.networks.cutie.loss:PointLoss",
    inference={"memory_every": 5, "top_k": 30, "max_frames": 5},
    recurrent=True,
    trunks=("pixel_encoder", "mask_encoder"),
    marks=("object_transformer.",),
    # `small` has a ResNet-18 as its pixel encoder, which has no third convolution in a block.
    variants={"pixel_encoder.layer2.0.conv3.weight": {"pixel_block": "basic", "pixel_depths": [2, 2, 2]}},
)
