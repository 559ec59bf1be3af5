"""Reading ahead, so that the network never waits for a file."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def prefetched(read: Callable[[A], R], items: Iterable[A], *, ahead: int = 2) -> Generator[R, None, None]:
    """Yield `read(item)` for every item in order; one background thread works up to `ahead` items in advance.

    An exception of `read` is raised here, where the item would have been yielded. Closing the generator stops the
    thread after the item it is busy with.
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as executor:
        try:
            for item in items:
                pending.append(executor.submit(read, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
