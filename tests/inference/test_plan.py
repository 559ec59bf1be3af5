import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.inference.plan import Memorise, Step, plan_frames
from oneshot_vos.inference_settings import InferenceSettings, LongTerm


def kept(steps: list[Step], kind: Memorise = Memorise.PERMANENT) -> list[int]:
    return [step.index for step in steps if step.memorise is kind]


def test_every_fifth_frame_is_memorised_but_not_the_last() -> None:
    steps = plan_frames(range(11), [0], InferenceSettings(memory_every=5))
    assert [step.index for step in steps] == list(range(11))
    assert kept(steps) == [0, 5]
    assert [step.index for step in steps if step.annotated] == [0]


def test_counting_starts_again_at_every_annotation() -> None:
    steps = plan_frames(range(14), [2, 6], InferenceSettings(memory_every=3))
    assert kept(steps) == [2, 5, 6, 9, 12]
    assert [step.index for step in steps if not step.tracked] == [0, 1]


def test_frames_between_are_temporary_with_include_last() -> None:
    steps = plan_frames(range(7), [0], InferenceSettings(memory_every=3, include_last=True))
    assert kept(steps) == [0, 3]
    assert kept(steps, Memorise.TEMPORARY) == [1, 2, 4, 5]


def test_only_what_is_needed_is_planned() -> None:
    steps = plan_frames(range(100), [0, 60], InferenceSettings(memory_every=5), required=[3, 12])
    assert [step.index for step in steps] == [0, 3, 5, 10, 12]
    assert [step.index for step in steps if step.output] == [3, 12]
    assert kept(steps) == [0, 5, 10]


def test_a_recurrent_network_sees_every_frame_up_to_the_last_one_required() -> None:
    steps = plan_frames(range(100), [0], InferenceSettings(), required=[7], recurrent=True)
    assert [step.index for step in steps] == list(range(8))


@pytest.mark.parametrize("required", [[], [0], [1, 2]])
def test_nothing_is_computed_before_the_first_annotation(required: list[int]) -> None:
    steps = plan_frames(range(5), [3], InferenceSettings(), required=required)
    assert [step.index for step in steps] == required
    assert not any(step.tracked for step in steps)


def test_one_frame() -> None:
    assert plan_frames(range(1), [0], InferenceSettings()) == [Step(0, annotated=True)]


def test_an_index_outside_the_video_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        plan_frames(range(3), [0], InferenceSettings(), required=[3])


def updated(settings: InferenceSettings, *, length: int = 12, **rest: bool) -> tuple[list[int], list[int]]:
    """Frames at which decoding moves the state on, and frames with a deep update."""
    steps = plan_frames(range(length), [0], settings, recurrent=True, **rest)
    return [step.index for step in steps if step.update], [step.index for step in steps if step.deep]


def test_every_frame_but_the_first_and_the_last_moves_the_state_on() -> None:
    assert updated(InferenceSettings(memory_every=5)) == (list(range(1, 11)), [0, 5, 10])


def test_where_a_deep_update_takes_the_place_of_decoding() -> None:
    settings = InferenceSettings(memory_every=5)
    assert updated(settings, updates_memory_frames=False) == ([1, 2, 3, 4, 6, 7, 8, 9], [0, 5, 10])


def test_deep_updates_of_their_own_rhythm_wait_for_a_memorised_frame() -> None:
    settings = InferenceSettings(memory_every=2, deep_update_every=3)
    assert updated(settings, updates_memory_frames=False) == (list(range(1, 11)), [0, 4, 8])


@pytest.mark.parametrize(
    ("every", "updates", "offsets"),
    [(3, 2, {1, 3}), (5, 5, {1, 2, 3, 4, 5}), (5, 9, {1, 2, 3, 4, 5}), (5, 2, {1, 5}), (5, 1, {1}), (4, 3, {1, 2, 4})],
)
def test_staggered_updates(every: int, updates: int, offsets: set[int]) -> None:
    moved, _ = updated(InferenceSettings(memory_every=every, stagger_updates=updates), length=2 * every + 2)
    assert moved == sorted({start + offset for start in (0, every) for offset in offsets})


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("prototypes is 0", {"prototypes": 0}),
        ("min_frames is 1", {"min_frames": 1}),
        ("max_frames is 5; expected more than min_frames, 5", {"max_frames": 5, "min_frames": 5}),
        ("buffer is -1", {"buffer": -1}),
        ("room for prototypes and buffer", {"max_elements": 200, "prototypes": 128, "buffer": 100}),
    ],
)
def test_long_term_settings_are_checked(message: str, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=message):
        LongTerm(**wrong)


@pytest.mark.parametrize("wrong", [{"top_k": None}, {"include_last": True}])
def test_settings_that_exclude_each_other(wrong: dict) -> None:
    with pytest.raises(UserError, match=r"long_term and .* exclude each other"):
        InferenceSettings(long_term=LongTerm(), **wrong)


@pytest.mark.parametrize(
    "name",
    [
        "memory_every",
        "top_k",
        "max_frames",
        "short_side",
        "object_chunk",
        "deep_update_every",
        "stagger_updates",
        "internal_size",
    ],
)
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(UserError, match=name):
        InferenceSettings(**{name: 0})
