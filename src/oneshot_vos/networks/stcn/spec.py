"""STCN, as others have to know it."""

from oneshot_vos.networks.spec import NetworkSpec

SPEC = NetworkSpec(
    network="oneshot_vos.networks.stcn.network:STCN",
    loss="oneshot_vos.networks.common.losses:BootstrappedCrossEntropy",
    inference={"memory_every": 5, "top_k": 20, "max_frames": 40},
    trunks=("key_encoder", "value_encoder"),
    marks=("key_comp.",),
)
