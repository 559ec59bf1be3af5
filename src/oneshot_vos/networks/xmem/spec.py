"""XMem, as others have to know it."""

from oneshot_vos.networks.spec import NetworkSpec

SPEC = NetworkSpec(
    network="oneshot_vos.networks.xmem.network:XMem",
    loss="oneshot_vos.networks.common.losses:BootstrappedDice",
    inference={
        "memory_every": 5,
        "top_k": 30,
        "max_frames": None,
        "long_term": {"max_frames": 10, "min_frames": 5, "prototypes": 128, "max_elements": 10_000, "buffer": 0},
    },
    recurrent=True,
    trunks=("key_encoder", "value_encoder"),
    marks=("key_proj.d_proj.", "value_encoder."),
)
