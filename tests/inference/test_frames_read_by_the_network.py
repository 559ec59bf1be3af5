"""A network that reads its memory frames itself, by attention over tokens: in training and in inference."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from tests.inference.memories import sizes
from torch import Tensor, nn

from oneshot_vos.errors import UserError
from oneshot_vos.inference.frame_bank import FrameBank
from oneshot_vos.inference.plan import plan_frames
from oneshot_vos.inference.propagate import Annotation, ObjectTracker, new_bank, predict_frames
from oneshot_vos.inference.walk import load_tracker, save_tracker
from oneshot_vos.inference_settings import InferenceSettings, LongTerm
from oneshot_vos.networks.common.generators import Generators
from oneshot_vos.networks.common.interface import Decoded, Memory, Network, State, TokenFrame
from oneshot_vos.networks.common.memory import ClipMemory
from oneshot_vos.supervision.rollout import RolloutOptions, encode_clip, propagate

SIZE, FRAMES = 32, 5


class Features(NamedTuple):
    """Tokens of an image, one per square of 16 x 16 pixels."""

    tokens: Tensor  # B N C


class Attention(Network):
    """The tokens of a frame attend to those of all frames in memory, and find the masks there."""

    reads_frames = True

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Conv2d(3, 8, 16, 16)
        self.sharpen = nn.Linear(1, 1)

    def encode(self, image: Tensor) -> Features:
        return Features(self.tokens(image).flatten(2).transpose(1, 2))

    def initial_state(self, features: Features, objects: int) -> State:
        return ()

    def memorise(
        self, features: Features, masks: Tensor, state: State, *, deep: bool = True
    ) -> tuple[TokenFrame, State]:
        shown = F.avg_pool2d(masks, 16).flatten(2).unsqueeze(-1)  # B K N 1
        return TokenFrame((features.tokens,), (shown,)), state

    def decode(
        self,
        features: Features,
        memory: Memory,
        state: State,
        previous: Tensor,
        present: Tensor | None = None,
        *,
        update: bool = True,
    ) -> tuple[Decoded, State]:
        frames = memory.frames
        keys = torch.cat([frame.shared[0] for frame in frames], 1).unsqueeze(1)  # B 1 T*N C
        values = torch.cat([frame.own[0] for frame in frames], 2)  # B K T*N 1
        queries = features.tokens.unsqueeze(1).expand(-1, values.shape[1], -1, -1)
        found = F.scaled_dot_product_attention(queries, keys.expand(-1, values.shape[1], -1, -1), values)
        logits = self.sharpen(found - 0.5).unflatten(2, (SIZE // 16, SIZE // 16)).squeeze(-1)
        return Decoded(F.interpolate(logits, scale_factor=16.0), {}), state


@pytest.fixture
def network() -> Attention:
    torch.manual_seed(0)
    return Attention().eval()


def video() -> Tensor:
    return torch.randn(FRAMES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def square(top: int) -> Tensor:
    mask = torch.zeros(SIZE, SIZE)
    mask[top : top + 12, 4:20] = 1
    return mask


def test_training_reads_all_frames_or_a_choice_of_them_with_gradient(network: Attention) -> None:
    frames = video()[None].expand(2, -1, -1, -1, -1).contiguous()
    masks = torch.stack([square(0), square(16)])[None].expand(2, -1, -1, -1)
    features = encode_clip(network, frames, learn=range(FRAMES))
    for most in (None, 2):
        network.zero_grad()
        options = RolloutOptions(memory_frames=most)
        predictions = propagate(
            network, features, range(FRAMES), masks, torch.ones(2, 2), options, Generators.of(0, 0, range(2))
        )
        assert [tuple(prediction.masks.shape) for prediction in predictions] == [(2, 2, SIZE, SIZE)] * (FRAMES - 1)
        sum(prediction.masks.mean() for prediction in predictions).backward(retain_graph=True)  # type: ignore[union-attr]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_each_sample_reads_its_own_choice() -> None:
    memory = ClipMemory(most=2, generators=Generators.of(0, 0, range(40)).clips)
    for t in range(6):
        memory.add(TokenFrame((torch.full((40, 1), float(t)),), (torch.full((40, 1, 1), float(t)),)))
    first, second = memory.frames
    assert set(first.own[0].flatten().tolist()) == {0.0}
    assert set(second.own[0].flatten().tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert torch.equal(second.own[0].flatten(), second.shared[0].flatten())


def run(network: Attention, settings: InferenceSettings, second: int = 2) -> Tensor:
    """Probabilities of all frames; the second object comes in frame `second`."""
    given = {0: Annotation((1,), square(0)[None]), second: Annotation((2,), square(16)[None])}
    steps = plan_frames(range(FRAMES), given, settings)
    results = predict_frames(network, steps, list(video()), given.__getitem__, 2, settings)
    return torch.stack([probabilities for _, probabilities in results])


def test_inference_follows_objects_that_come_later(network: Attention) -> None:
    whole = run(network, InferenceSettings(memory_every=1, top_k=None))
    assert torch.all(whole[:2, 2] < 1e-6)
    assert torch.all(whole[2:, 2].amax((1, 2)) > 0)
    expected = by_hand(network)
    torch.testing.assert_close(whole[1], expected)
    chunked = run(network, InferenceSettings(memory_every=1, top_k=None, object_chunk=1))
    torch.testing.assert_close(chunked, whole)


def by_hand(network: Attention) -> Tensor:
    """The second frame, from the first and its mask."""
    with torch.inference_mode():
        one, other = (network.encode(frame[None]) for frame in video()[:2])
        memory = ClipMemory()
        memory.add(network.memorise(one, square(0)[None, None], ())[0])
        prediction, _ = network.segment(other, memory, (), square(0)[None, None])
        background = prediction.logits.softmax(1)[0]
    return torch.cat([background, torch.zeros(1, SIZE, SIZE)])


def test_the_oldest_frame_without_annotation_goes_first() -> None:
    bank = FrameBank(2)
    for t in range(4):
        frame = TokenFrame((torch.full((1, 1), float(t)),), (torch.full((1, 1, 1), float(t)),))
        bank.add(frame, annotated=t == 0)
    assert [float(frame.shared[0]) for frame in bank.frames_of(slice(0, 1))] == [0, 3]
    bank.add_temporary(TokenFrame((torch.full((1, 1), 9.0),), (torch.full((1, 1, 1), 9.0),)))
    assert [float(frame.shared[0]) for frame in bank.frames_of(slice(0, 1))] == [0, 3, 9]
    assert sizes(bank) == [(1, 2, 0)]


def test_objects_that_are_removed_are_in_no_frame_any_more() -> None:
    bank = FrameBank(None)
    for t in range(3):
        objects = torch.arange(1.0, 2.0 + t)[None, :, None]  # one more in every frame: 1, then 2, then 3
        bank.add(TokenFrame((torch.zeros(1, 1),), (objects,)), annotated=True)
    bank.remove([1])
    assert bank.objects == 2
    assert [frame.own[0].flatten().tolist() for frame in bank.frames_of(slice(0, 1))] == [[1.0]] * 3
    assert [frame.own[0].flatten().tolist() for frame in bank.frames_of(slice(1, 2))] == [[3.0]]
    bank.remove([0, 1])
    assert bank.objects == 0


def test_a_tracker_is_saved_and_goes_on_to_the_same_masks(network: Attention, tmp_path: Path) -> None:
    settings = InferenceSettings(memory_every=1, top_k=None)
    steps = plan_frames(range(FRAMES), {0}, settings)
    given = Annotation((1,), square(0)[None])
    frames = video()

    def advance(tracker: ObjectTracker, t: int) -> Tensor:
        return tracker.advance(steps[t], frames[t], given if t == 0 else None)

    straight = ObjectTracker(network, 1, settings)
    expected = [advance(straight, t) for t in range(FRAMES)]
    tracker = ObjectTracker(network, 1, settings)
    for t in range(3):
        advance(tracker, t)
    save_tracker(tmp_path / "t.pt", tracker, 3)
    loaded = ObjectTracker(network, 1, settings)
    assert load_tracker(tmp_path / "t.pt", loaded, torch.device("cpu"), FRAMES) == 3
    for t in range(3, FRAMES):
        assert torch.equal(advance(loaded, t), expected[t])


def test_what_cannot_be_condensed_is_refused(network: Attention) -> None:
    kept = LongTerm(min_frames=2, max_frames=4, prototypes=8, max_elements=100, buffer=10)
    with pytest.raises(UserError, match=r"long_term: Attention reads whole frames, which cannot be condensed"):
        new_bank(network, InferenceSettings(top_k=5, long_term=kept))


def test_a_memory_of_keys_has_no_frames_to_read() -> None:
    bank = new_bank_of_keys()
    with pytest.raises(TypeError, match="keeps keys and values"):
        bank.view(slice(0, 1)).frames  # noqa: B018 (reading it is the test)


def new_bank_of_keys() -> FrameBank:
    class Keys(Attention):
        reads_frames = False

    return new_bank(Keys(), InferenceSettings())  # type: ignore[return-value]
