"""What the registries say of networks and strategies, held against the things themselves."""

import subprocess
import sys

import pytest
from torch import nn

from oneshot_vos.errors import UserError
from oneshot_vos.inference_settings import settings_of
from oneshot_vos.networks import NETWORKS
from oneshot_vos.networks.common.build import build_loss, build_network
from oneshot_vos.networks.common.interface import Network
from oneshot_vos.networks.common.resnet import ResNet
from oneshot_vos.registry import resolve
from oneshot_vos.supervision import STRATEGIES


def test_names_and_specs_need_no_torch() -> None:
    program = (
        "import sys; from oneshot_vos.networks import NETWORKS; from oneshot_vos.supervision import STRATEGIES; "
        "print([spec.recurrent for spec in NETWORKS.values()], len(STRATEGIES), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"[False, True, True] {len(STRATEGIES)} False"


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_is_what_its_spec_says(name: str) -> None:
    spec = NETWORKS[name]
    network = resolve(spec.network)
    assert issubclass(network, Network)
    assert network.recurrent == spec.recurrent
    built = build_network(name, {})
    assert all(isinstance(built.get_submodule(trunk), ResNet) for trunk in spec.trunks)
    assert [other for other in NETWORKS if NETWORKS[other].owns(built.state_dict())] == [name]
    assert spec.arguments(built.state_dict()) == {}
    assert isinstance(build_loss(name, {}), nn.Module)


def test_inference_settings_of_the_specs_are_known_to_inference() -> None:
    for spec in NETWORKS.values():
        settings_of(spec.inference)


def test_variants_are_told_by_what_their_weights_lack() -> None:
    small = {"pixel_block": "basic", "pixel_depths": [2, 2, 2]}
    assert NETWORKS["cutie"].arguments(build_network("cutie", small).state_dict()) == small


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_wrong_keyword_is_named_with_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match=f"networks.{name}.key_dimm: unknown key; did you mean 'key_dim'"):
        build_network(name, {"key_dimm": 1})


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown network 'cuite': did you mean 'cutie'"):
        build_network("cuite", {})
    with pytest.raises(UserError, match="unknown strategy 'two-step': did you mean 'two_step'"):
        STRATEGIES["two-step"]
