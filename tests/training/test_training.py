"""The training loop: same numbers after an interruption, clear ends, nothing lost."""

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.stages.clips import TINY
from tests.training.brief import recipe
from tests.training.processes import forkserver
from torch import Tensor, distributed, nn

from oneshot_vos.clips.batch import Clip, collate
from oneshot_vos.errors import UserError
from oneshot_vos.networks.common.build import build_network
from oneshot_vos.networks.common.losses import BootstrappedCrossEntropy
from oneshot_vos.networks.common.weights import load_weights, save_weights
from oneshot_vos.networks.stcn.network import STCN
from oneshot_vos.params import Training, load_params
from oneshot_vos.supervision.build import build_strategy
from oneshot_vos.supervision.rollout import RolloutOptions
from oneshot_vos.training.checkpoint import Progress, StateFolder
from oneshot_vos.training.distributed import World
from oneshot_vos.training.job import Job, Snapshots
from oneshot_vos.training.loop import TrainingStep, fit
from oneshot_vos.training.schedule import build_optimiser, set_learning_rate

SIZE = 32
ALONE = World(0, 1, torch.device("cpu"))


class RandomClips:
    """Clips whose contents follow from their position."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause

    def __len__(self) -> int:
        return 10

    def __getitem__(self, position: int) -> Clip:
        time.sleep(self.pause)
        draws = torch.Generator().manual_seed(position)
        targets = torch.randint(0, 2, (3, SIZE, SIZE), generator=draws)
        return Clip(
            torch.randn(3, 3, SIZE, SIZE, generator=draws),
            (targets[:1] == 1).float(),
            targets,
            torch.ones(3, dtype=torch.bool),
            torch.ones(1),
            f"clip-{position}",
        )


def small_network() -> STCN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return STCN(**TINY["stcn"])


def train(
    folder: Path,
    settings: Training,
    *,
    clips: RandomClips | None = None,
    world: World = ALONE,
    key: str = "k",
    snapshots: tuple[int, ...] = (),
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    network = small_network()
    strategy = build_strategy("two_step", {}, network, BootstrappedCrossEntropy(**settings.loss), RolloutOptions())
    state = StateFolder(folder, {"key": key})
    folder.mkdir(parents=True, exist_ok=True)
    dataset = clips or RandomClips()
    finished = fit(strategy, dataset, settings, seed=3, state=state, world=world, title="test", snapshots=snapshots)
    return network.state_dict(), finished.curve


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def losses(rows: list[dict[str, float]]) -> list[tuple[float, float, float]]:
    return [(row["iteration"], row["loss"], row["learning_rate"]) for row in rows]


def test_training_changes_every_parameter_and_logs_every_iteration(tmp_path: Path) -> None:
    weights, rows = train(tmp_path, recipe())
    before = small_network()
    # A shift common to all keys changes no distance: the bias of the key projection has no gradient but rounding.
    still = [name for name, value in before.named_parameters() if torch.equal(value, weights[name])]
    assert still == []
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["learning_rate"] < rows[2]["learning_rate"] > rows[5]["learning_rate"]


def test_weights_on_the_way_are_kept(tmp_path: Path) -> None:
    train(tmp_path, recipe(), snapshots=(2, 4))
    halfway = small_network()
    load_weights(StateFolder(tmp_path, {"key": "k"}).snapshot(4), halfway)
    shorter, _ = train(tmp_path / "shorter", recipe(), snapshots=(4,))
    other = small_network()
    load_weights(StateFolder(tmp_path / "shorter", {"key": "k"}).snapshot(4), other)
    assert_same(halfway.state_dict(), other.state_dict())
    assert any(not torch.equal(halfway.state_dict()[name], shorter[name]) for name in shorter)
    assert StateFolder(tmp_path, {"key": "k"}).snapshot(2).is_file()


@pytest.mark.parametrize(
    ("points", "total", "expected"), [(4, 100, [25, 50, 75]), (1, 100, []), (3, 2, [1]), (200, 4, [1, 2, 3])]
)
def test_snapshots_divide_the_training_evenly(points: int, total: int, expected: list[int]) -> None:
    assert Snapshots(Path(), points).places(total) == [(iteration, "") for iteration in expected]


def test_the_weights_of_figure_6_are_kept_apart_from_those_of_the_curve(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "out", 3, figure6=3)
    assert snapshots.places(6) == [(2, ""), (4, ""), (3, "figure6")]
    train(tmp_path / "state", recipe(), snapshots=(2, 3, 4))
    snapshots.copy(StateFolder(tmp_path / "state", {"key": "k"}), 6)
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.safetensors"))
    assert found == ["0000002.safetensors", "0000004.safetensors", "figure6/0000003.safetensors"]
    late = Snapshots(tmp_path / "late", 1, figure6=5)
    with pytest.warns(UserWarning, match="no weights were kept at iteration 5"):
        late.copy(StateFolder(tmp_path / "state", {"key": "k"}), 6)
    assert [path.name for path in (tmp_path / "late").rglob("*")] == ["figure6"]


def test_a_training_starts_from_single_object_weights(tmp_path: Path) -> None:
    settings = load_params(Path(__file__).parents[2] / "params.yaml", "smoke").profile.networks["xmem"]
    path, name = tmp_path / "static.safetensors", "value_encoder.conv1.weight"
    single = build_network("xmem", {**settings, "single_object": True})
    save_weights(path, single, {"model": "xmem"})
    loss = {"start": 1, "end": 2, "top_p": 0.5}
    built = [
        Job("x", "xmem", settings, "two_step", {}, recipe(loss=loss), seed).build(path).network.state_dict()[name]
        for seed in (0, 1)
    ]
    assert torch.equal(built[0][:, :4], single.state_dict()[name])
    assert built[0][:, 4].abs().max() > 0
    assert torch.equal(built[0], built[1]), "initial weights are shared by runs of every seed"


def test_a_network_may_learn_in_groups(repository: Path) -> None:
    smoke = load_params(repository / "params.yaml", "smoke").profile
    network = build_network("cutie", smoke.networks["cutie"])
    optimiser = build_optimiser(recipe().optimiser, network)
    set_learning_rate(optimiser, 0.5)
    assert {group["lr"] for group in optimiser.param_groups} == {0.5, 0.05}
    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.0, 0.01}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(network.parameters()))


def train_until_killed(folder: Path, settings: Training) -> None:
    train(folder, settings, clips=RandomClips(pause=0.05))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path, number: signal.Signals) -> None:
    settings = recipe(iterations=12)
    straight, curve = train(tmp_path / "straight", settings)

    process = forkserver().Process(target=train_until_killed, args=(tmp_path / "killed", settings))
    process.start()
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == (-9 if number == signal.SIGKILL else 143)

    reached = StateFolder(tmp_path / "killed", {"key": "k"}).load()
    assert reached is not None
    assert 0 < reached.iteration < 12
    resumed, resumed_curve = train(tmp_path / "killed", settings)
    assert_same(straight, resumed)
    assert losses(resumed_curve) == losses(curve)


def test_a_checkpoint_of_other_parameters_is_not_used(tmp_path: Path) -> None:
    train(tmp_path, recipe(iterations=2), key="one")
    assert StateFolder(tmp_path, {"key": "one"}).load() is not None
    assert StateFolder(tmp_path, {"key": "other"}).load() is None


class PoisonedClips(RandomClips):
    def __getitem__(self, position: int) -> Clip:
        clip = super().__getitem__(position)
        if position == 5:
            clip.frames[:] = torch.nan
        return clip


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loss_that_is_not_finite_stops_with_iteration_and_clips(tmp_path: Path, workers: int) -> None:
    with pytest.raises(UserError, match=r"not finite at iteration 2 .*clip-4, clip-5.*the last checkpoint is kept"):
        train(tmp_path, recipe(workers=workers), clips=PoisonedClips())
    assert multiprocessing.active_children() == [], "Python waits for them when it ends"
    kept = StateFolder(tmp_path, {"key": "k"}).load()
    assert kept is not None
    assert kept.iteration == 2


def test_a_second_training_of_the_same_run_is_refused(tmp_path: Path) -> None:
    with (
        StateFolder(tmp_path, {"key": "k"}).locked(),
        pytest.raises(UserError, match=rf"process {os.getpid()} is training this run"),
        StateFolder(tmp_path, {"key": "k"}).locked(),
    ):
        pass


def test_full_disk_while_writing_a_checkpoint(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, {"key": "k"})
    first = Progress(1, {"w": torch.ones(4)}, {}, [], 1.0)
    state.save(first)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"checkpoint\.pt: could not be written \(File too large\)"):
            state.save(Progress(2, {"w": torch.ones(100_000)}, {}, [], 2.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = state.load()
    assert kept is not None
    assert kept.iteration == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "made_from.json"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"checkpoint\.pt: not readable .*Delete this file"):
        StateFolder(tmp_path, {"key": "k"}).load()


def test_an_empty_checkpoint_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "checkpoint.pt").touch()
    assert StateFolder(tmp_path, {"key": "k"}).load() is None
    assert "checkpoint.pt: empty, as after a power cut; training starts from the beginning" in caplog.text


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save(Trap(), tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="not readable"):
        StateFolder(tmp_path, {"key": "k"}).load()
    assert not (tmp_path / "sprung").exists()


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch_size 2 cannot be shared by 4 processes"):
        train(tmp_path, recipe(), world=World(0, 4, torch.device("cpu")))


def test_gradients_are_averaged_once_per_iteration() -> None:
    averaged = []

    class Alone(World):
        def wrap(self, module: nn.Module) -> nn.Module:
            wrapped = nn.parallel.DistributedDataParallel(module)
            wrapped.register_comm_hook(None, lambda _, bucket: averaged.append(bucket.index()) or allreduce(bucket))
            return wrapped

    def allreduce(bucket: Any) -> Any:
        return distributed.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda done: done.value()[0])

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        strategy = build_strategy("two_step", {}, small_network(), BootstrappedCrossEntropy(), RolloutOptions()).train()
        step = TrainingStep(strategy, recipe(), 0, Alone(0, 1, torch.device("cpu")))
        clips = RandomClips()
        batches = [collate([clips[0]]), collate([clips[1]])]
        counts = []
        for iteration, parts in enumerate((1, 1, 2)):  # the first arranges what is averaged together
            averaged.clear()
            step(iteration, batches[:parts])
            counts.append(len(averaged))
        assert counts[2] == counts[1] > 0
    finally:
        distributed.destroy_process_group()


def test_the_strategy_is_what_is_wrapped() -> None:
    module: nn.Module = build_strategy("two_step", {}, small_network(), BootstrappedCrossEntropy(), RolloutOptions())
    assert ALONE.wrap(module) is module


def test_a_loss_that_is_not_finite_is_found_before_the_next_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not finite at iteration 2 .*clip-4, clip-5"):
        train(tmp_path, recipe(log_every=6), clips=PoisonedClips())
    kept = StateFolder(tmp_path, {"key": "k"}).load()
    assert kept is not None
    assert kept.iteration == 2
    assert all(value.isfinite().all() for value in kept.network.values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(parameters: Any, norm: float) -> None:
        next(iter(parameters)).grad[:] = torch.nan

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", overflow)
    with pytest.raises(UserError, match="weights are not finite after 1 iterations"):
        train(tmp_path, recipe(iterations=1))
    assert StateFolder(tmp_path, {"key": "k"}).load() is None


def test_a_checkpoint_of_other_values_is_kept_aside_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "run"
    first = StateFolder(folder, {"recipe": {"crop": 48, "batch_size": 4}, "seed": 0})
    first.folder.mkdir()
    first.save(Progress(7, {}, {}, [], 1.0))
    kept = (folder / "checkpoint.pt").read_bytes()
    other = StateFolder(folder, {"recipe": {"crop": 64, "batch_size": 4}, "seed": 0})
    assert other.load() is None
    assert (folder / "checkpoint.pt").read_bytes() == kept  # until the one process that may says so
    other.set_aside()
    assert "the checkpoint of iteration 7 was made with other values (recipe.crop: 48, now 64)" in caplog.text
    assert (tmp_path / "run.before/checkpoint.pt").read_bytes() == kept
    other.save(Progress(1, {}, {}, [], 1.0))
    assert (tmp_path / "run.before/checkpoint.pt").read_bytes() == kept


@pytest.mark.parametrize(
    ("name", "value", "same"),
    [
        *(("workers", 3, True), ("log_every", 7, True), ("checkpoint_every", 9, True), ("accumulation", 2, True)),
        *(("crop", 64, False), ("iterations", 99, False)),
    ],
)
def test_values_that_change_no_number_resume_the_same_checkpoint(
    tmp_path: Path, name: str, value: int, same: bool
) -> None:
    weights = tmp_path / "w"
    weights.touch()

    def made_from(chosen: Training) -> dict[str, Any]:
        return Job("r", "stcn", {}, "two_step", {}, chosen, 0).made_from(weights, [])

    assert (made_from(recipe()) == made_from(recipe(**{name: value}))) is same


@pytest.mark.parametrize(("name", "value"), [("copies", 2), ("skip_divisor", 3), ("items", "frames")])
def test_a_checkpoint_of_sets_used_otherwise_is_kept_aside_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    weights, folder = tmp_path / "w", tmp_path / "run"
    weights.touch()
    used = {"davis": {"copies": 5, "skip_divisor": 1, "items": "videos"}, "youtube": {"copies": 1}}

    def state(sets: dict[str, Any]) -> StateFolder:
        job = Job("r", "stcn", {}, "two_step", {}, recipe(), 0, sets)
        return StateFolder(folder, job.made_from(weights, []))

    folder.mkdir()
    state(used).save(Progress(7, {}, {}, [], 1.0))
    assert state(used).load() is not None
    reordered = state(dict(reversed(used.items())))  # shuffling starts from the order of the sets
    assert reordered.load() is None
    changed = state({**used, "davis": {**used["davis"], name: value}})
    assert changed.load() is None
    changed.set_aside()
    assert f"sets.davis.{name}: {used['davis'][name]}, now {value}" in caplog.text
