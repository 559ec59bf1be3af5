import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.inference.plan import InferenceSettings, Memorise, Step, plan_frames


def kept(steps: list[Step], kind: Memorise = Memorise.PERMANENT) -> list[int]:
    return [step.index for step in steps if step.memorise is kind]


def test_every_fifth_frame_is_memorised_but_not_the_last() -> None:
    steps = plan_frames(11, [0], InferenceSettings(memory_every=5))
    assert [step.index for step in steps] == list(range(11))
    assert kept(steps) == [0, 5]
    assert [step.index for step in steps if step.annotated] == [0]


def test_counting_starts_again_at_every_annotation() -> None:
    steps = plan_frames(14, [2, 6], InferenceSettings(memory_every=3))
    assert kept(steps) == [2, 5, 6, 9, 12]
    assert [step.index for step in steps if not step.tracked] == [0, 1]


def test_frames_between_are_temporary_with_include_last() -> None:
    steps = plan_frames(7, [0], InferenceSettings(memory_every=3, include_last=True))
    assert kept(steps) == [0, 3]
    assert kept(steps, Memorise.TEMPORARY) == [1, 2, 4, 5]


def test_only_what_is_needed_is_planned() -> None:
    steps = plan_frames(100, [0, 60], InferenceSettings(memory_every=5), required=[3, 12])
    assert [step.index for step in steps] == [0, 3, 5, 10, 12]
    assert [step.index for step in steps if step.output] == [3, 12]
    assert kept(steps) == [0, 5, 10]


def test_a_recurrent_network_sees_every_frame_up_to_the_last_one_required() -> None:
    steps = plan_frames(100, [0], InferenceSettings(), required=[7], recurrent=True)
    assert [step.index for step in steps] == list(range(8))


@pytest.mark.parametrize("required", [[], [0], [1, 2]])
def test_nothing_is_computed_before_the_first_annotation(required: list[int]) -> None:
    steps = plan_frames(5, [3], InferenceSettings(), required=required)
    assert [step.index for step in steps] == required
    assert not any(step.tracked for step in steps)


def test_one_frame() -> None:
    assert plan_frames(1, [0], InferenceSettings()) == [Step(0, annotated=True)]


def test_an_index_outside_the_video_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        plan_frames(3, [0], InferenceSettings(), required=[3])


@pytest.mark.parametrize("name", ["memory_every", "top_k", "max_frames", "short_side", "object_chunk"])
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(UserError, match=name):
        InferenceSettings(**{name: 0})
