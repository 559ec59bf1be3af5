"""Weight files, ours and official ones: what is written comes back, and what does not fit is refused by name."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights

from oneshot_vos import __version__
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common import imagenet
from oneshot_vos.networks.common.official import load_official
from oneshot_vos.networks.common.weights import load_weights, read_metadata, save_weights
from oneshot_vos.networks.stcn.network import STCN

TINY = {
    "key_block": "basic",
    "key_widths": (8, 16, 24),
    "key_depths": (1, 1, 1),
    "value_widths": (8, 16, 24),
    "value_depths": (1, 1, 1),
    "key_dim": 8,
    "value_dim": 16,
    "decoder_dims": (16, 12, 8),
}
TRUNKS = ("key_encoder", "value_encoder")
FIRST = "value_encoder.conv1.weight"


def assert_same(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    own = network.state_dict()
    assert list(own) == list(state)
    for name, tensor in state.items():
        torch.testing.assert_close(own[name], tensor, atol=0, rtol=0)


def test_round_trip(tmp_path):
    network, path = STCN(**TINY).to(memory_format=torch.channels_last), tmp_path / "folder" / "weights.safetensors"
    save_weights(path, network, {"model": "stcn", "settings": TINY, "iterations": 7})
    other = STCN(**TINY)
    load_weights(path, other)
    assert_same(other, network.state_dict())
    metadata = read_metadata(path)
    assert metadata["version"] == __version__
    assert (metadata["model"], metadata["iterations"]) == ("stcn", 7)
    assert metadata["settings"] == json.loads(json.dumps(TINY))


def test_equal_weights_give_equal_files(tmp_path):
    network = STCN(**TINY)
    for name in "ab":
        save_weights(tmp_path / name, network, {"run": "x", "model": "stcn", "seed": 0, "settings": {"b": 1, "a": 2}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text"])
def test_unreadable_files_are_named(tmp_path, name, damage):
    network, path = STCN(**TINY), tmp_path / name
    if path.suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_weights(path, network, {})
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "text": b"not weights"}[damage])
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(UserError, match=str(path)):
        load_weights(path, network)
    assert_same(network, before)


def test_pickled_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"weights": Path("x")}, path)
    with pytest.raises(UserError, match=str(path)):
        load_weights(path, STCN(**TINY))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, STCN(**TINY), {})
    with pytest.raises(UserError, match="of another shape") as caught:
        load_weights(path, STCN(**{**TINY, "value_dim": 32}))
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000  # names a few entries, not hundreds


def test_missing_and_unexpected_entries_are_listed():
    network = STCN(**TINY)
    state = network.state_dict()
    state["decoder.new"] = state.pop("decoder.pred.bias")
    with pytest.raises(UserError, match=r"1 missing: decoder\.pred\.bias; 1 unexpected: decoder\.new"):
        load_official(network, state)


def test_all_entries_missing_are_counted():
    with pytest.raises(UserError, match=r"and \d+ more"):
        load_official(STCN(**TINY), {"alien": torch.zeros(1)})


@pytest.mark.parametrize("form", ["plain", "resume", "distributed"])
def test_official_file_forms(tmp_path, form):
    source, network, path = STCN(**TINY), STCN(**TINY), tmp_path / "official.pth"
    state = dict(source.state_dict())
    if form == "distributed":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"it": 5, "network": state, "optimizer": {}, "scheduler": {}} if form == "resume" else state, path)
    load_weights(path, network)
    assert_same(network, source.state_dict())


@pytest.mark.parametrize("content", [{}, {"network": 3}, {"it": 5, "weights": "x"}, {1: torch.zeros(2)}])
def test_other_tables_are_refused(content):
    with pytest.raises(UserError, match="not a table from names to tensors"):
        load_official(STCN(**TINY), content)


def test_single_object_weights():
    single = STCN(**TINY, single_object=True)
    evaluation, training = STCN(**TINY), STCN(**TINY)
    load_official(evaluation, single.state_dict())
    load_official(training, single.state_dict(), generator=torch.Generator().manual_seed(1))
    expected = single.state_dict()[FIRST]
    for network in (evaluation, training):
        torch.testing.assert_close(network.state_dict()[FIRST][:, :4], expected, atol=0, rtol=0)
    assert evaluation.state_dict()[FIRST][:, 4].abs().max() == 0
    added = training.state_dict()[FIRST][:, 4].flatten(1)
    torch.testing.assert_close(added @ added.T, torch.eye(len(added)), atol=1e-5, rtol=0)
    again = STCN(**TINY)
    load_official(again, single.state_dict(), generator=torch.Generator().manual_seed(1))
    assert_same(again, training.state_dict())
    fresh = STCN(**TINY, single_object=True)
    load_official(fresh, single.state_dict())
    assert_same(fresh, single.state_dict())
    load_official(fresh, training.state_dict())  # loses the channel again
    assert_same(fresh, single.state_dict())


def test_single_object_weights_of_ours_are_fitted_only_where_training_asks(tmp_path):
    single, path = STCN(**TINY, single_object=True), tmp_path / "static.safetensors"
    save_weights(path, single, {"model": "stcn"})
    with pytest.raises(UserError, match="do not fit STCN"):
        load_weights(path, STCN(**TINY))
    drawn = []
    for _ in range(2):
        network = STCN(**TINY)
        load_weights(path, network, generator=torch.Generator().manual_seed(3))
        drawn.append(network.state_dict())
        assert torch.equal(drawn[-1][FIRST][:, :4], single.state_dict()[FIRST])
        added = drawn[-1][FIRST][:, 4].flatten(1)
        torch.testing.assert_close(added @ added.T, torch.eye(len(added)), atol=1e-5, rtol=0)
    assert torch.equal(drawn[0][FIRST], drawn[1][FIRST])


def test_a_single_object_network_draws_its_mask_channel_for_itself(tmp_path):
    """Orthogonal with the other channel is not orthogonal alone; the official network is made with one."""
    many, path = STCN(**TINY), tmp_path / "backbone.safetensors"
    save_weights(path, many, {"model": "stcn"})
    single = STCN(**TINY, single_object=True)
    load_weights(path, single, generator=torch.Generator().manual_seed(3))
    first = single.state_dict()[FIRST]
    assert torch.equal(first[:, :3], many.state_dict()[FIRST][:, :3])
    mask = first[:, 3].flatten(1)
    torch.testing.assert_close(mask @ mask.T, torch.eye(len(mask)), atol=1e-5, rtol=0)


@pytest.fixture
def imagenet_like(monkeypatch):
    """Random tensors with the names and shapes of torchvision's models, in place of the download."""
    from torchvision.models import resnet18, resnet50

    with torch.device("meta"):
        shapes = {ResNet50_Weights.IMAGENET1K_V1: resnet50(), ResNet18_Weights.IMAGENET1K_V1: resnet18()}
    generator = torch.Generator().manual_seed(0)
    states = {
        weights: {
            name: torch.randn(tensor.shape, generator=generator)
            for name, tensor in model.state_dict().items()
            if not name.endswith("num_batches_tracked")  # the files are older than this entry
        }
        for weights, model in shapes.items()
    }
    monkeypatch.setattr(imagenet, "_fetch", states.__getitem__)
    return states


def test_imagenet_trunks(imagenet_like):
    network = STCN()
    imagenet.load_imagenet(network, TRUNKS, torch.Generator().manual_seed(0))
    state = network.state_dict()
    resnet50, resnet18 = imagenet_like.values()
    torch.testing.assert_close(state["key_encoder.res2.1.conv2.weight"], resnet50["layer1.1.conv2.weight"])
    torch.testing.assert_close(state["key_encoder.layer3.5.bn3.running_var"], resnet50["layer3.5.bn3.running_var"])
    torch.testing.assert_close(
        state["value_encoder.layer2.0.downsample.0.weight"], resnet18["layer2.0.downsample.0.weight"]
    )
    torch.testing.assert_close(state[FIRST][:, :3], resnet18["conv1.weight"])
    masks = state[FIRST][:, 3:].flatten(1)
    torch.testing.assert_close(masks @ masks.T, torch.eye(len(masks)), atol=1e-5, rtol=0)
    assert state["value_encoder.layer3.1.conv1.bias"].abs().max() == 0
    assert state["value_encoder.fuser.block1.conv1.bias"].abs().max() > 0


@pytest.mark.parametrize("change", [{"norm": "group"}, {"key_depths": (3, 4, 5)}, {"value_depths": (1, 2, 2)}])
def test_imagenet_is_refused_for_other_shapes(imagenet_like, change):
    network = STCN(**change)
    first = network.key_encoder.conv1.weight.clone()
    with pytest.raises(UserError, match=r"init\.backbone"):
        imagenet.load_imagenet(network, TRUNKS, torch.Generator())
    torch.testing.assert_close(network.key_encoder.conv1.weight, first)


def test_imagenet_without_network_names_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def unreachable(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(UserError, match=r"resnet50-0676ba61\.pth|resnet50-19c8e357\.pth") as caught:
        imagenet.load_imagenet(STCN(), TRUNKS, torch.Generator())
    assert str(tmp_path / "checkpoints") in str(caught.value)


def test_others_may_read_weights_where_the_umask_lets_them(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    before = os.umask(0o022)
    try:
        save_weights(path, torch.nn.Linear(2, 2), {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("oneshot_vos.networks.common.weights.save_file", full)
    with pytest.raises(UserError, match=r"w\.safetensors: could not be written .*No space left"):
        save_weights(tmp_path / "w.safetensors", nn.Linear(1, 1), {})
    assert list(tmp_path.iterdir()) == []
