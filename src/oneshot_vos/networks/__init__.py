"""The networks, by name: a folder each, whose spec says what others need to know of it without loading torch."""

from oneshot_vos.networks.spec import NetworkSpec
from oneshot_vos.registry import Registry

NETWORKS: Registry[NetworkSpec] = Registry(
    "network",
    {
        "stcn": "oneshot_vos.networks.stcn.spec:SPEC",
        "xmem": "oneshot_vos.networks.xmem.spec:SPEC",
        "cutie": "oneshot_vos.networks.cutie.spec:SPEC",
    },
)
