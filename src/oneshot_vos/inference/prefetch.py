"""Reading ahead, so that the network never waits for a file."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()


def read_ahead(items: Iterable[T], *, ahead: int = 2) -> Generator[T]:
    """Yield `items` in order; one background thread takes them, up to `ahead` in advance.

    What taking an item raises is raised here, where the item would have been yielded. Closing the generator stops the
    thread after the item it is busy with.
    """
    iterator, pending = iter(items), deque[Future[Any]]()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as executor:
        try:
            pending.extend(executor.submit(next, iterator, _END) for _ in range(ahead + 1))
            while (item := pending.popleft().result()) is not _END:
                yield item
                pending.append(executor.submit(next, iterator, _END))
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
