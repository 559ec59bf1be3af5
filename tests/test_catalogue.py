"""The catalogue says where things are and what they need; here it is held against the things themselves."""

import pytest
from torch import nn

from oneshot_vos.catalogue import NETWORKS, STRATEGIES, resolve
from oneshot_vos.networks import build_loss, build_network
from oneshot_vos.networks.common.interface import Network


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_is_what_its_entry_says(name: str) -> None:
    network = resolve(NETWORKS[name].network)
    assert issubclass(network, Network)
    assert network.recurrent == NETWORKS[name].recurrent
    assert isinstance(build_loss(name, {}), nn.Module)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_wrong_keyword_is_named_with_the_nearest(name: str) -> None:
    with pytest.raises(Exception, match=f"networks.{name}.key_dimm: unknown key; did you mean 'key_dim'"):
        build_network(name, {"key_dimm": 1})


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_is_there(name: str) -> None:
    assert callable(resolve(STRATEGIES[name].strategy))
