import threading

import pytest

from oneshot_vos.errors import UserError
from oneshot_vos.inference.prefetch import read_ahead


def test_items_come_in_order_from_one_other_thread() -> None:
    threads = set()

    def read(item: int) -> int:
        threads.add(threading.get_ident())
        return item * item

    assert list(read_ahead(map(read, range(20)))) == [item * item for item in range(20)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_arrives_where_its_item_would_have() -> None:
    def read(item: int) -> int:
        if item == 3:
            raise UserError("00003.jpg: truncated")
        return item

    results = read_ahead(map(read, range(10)))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match=r"00003\.jpg"):
        next(results)


def test_no_more_than_asked_for_is_read_ahead_and_closing_stops() -> None:
    started: list[int] = []

    def read(item: int) -> int:
        started.append(item)
        return item

    results = read_ahead(map(read, range(1000)), ahead=2)
    next(results)
    next(results)
    results.close()
    assert len(started) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
