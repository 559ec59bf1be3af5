"""The table of a set for the terminal: worst sequences first, never longer than a screen."""

from oneshot_vos.evaluation.listing import sequence_table
from oneshot_vos.evaluation.results import ObjectScores, SequenceScores, SetResult


def result(count: int) -> SetResult:
    """Sequence n has n % 2 + 1 objects whose J and F are n percent."""
    return SetResult(
        tuple(
            SequenceScores(
                f"clip{n}", ("1",), tuple(ObjectScores(k + 1, (n / 100,), (n / 100,)) for k in range(n % 2 + 1))
            )
            for n in reversed(range(count))
        ),
        0.008,
    )


def test_the_worst_come_first_and_the_mean_is_over_objects() -> None:
    rows = [line.split() for line in sequence_table(result(4)).splitlines()]
    assert rows[0] == ["sequence", "objects", "J&F", "J", "F"]
    assert rows[2] == ["clip0", "1", "0.0", "0.0", "0.0"]
    assert rows[5] == ["clip3", "2", "3.0", "3.0", "3.0"]
    assert rows[6] == ["all", "4", "6", "1.7", "1.7", "1.7"]  # (0 + 1 + 1 + 2 + 3 + 3) / 6


def test_of_many_sequences_the_better_ones_are_counted() -> None:
    lines = sequence_table(result(40)).splitlines()
    assert len(lines) == 2 + 16 + 2
    assert lines[-2].strip() == "… and 24 better"


def test_sequences_without_objects_are_left_out() -> None:
    some = result(2)
    more = SetResult((*some.sequences, SequenceScores("empty", (), ())), 0.008)
    assert sequence_table(more) == sequence_table(some)
