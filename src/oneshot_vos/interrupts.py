"""A request to end, kept until the work at hand can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Which signal, if any, asked the process to end."""

    requested: int = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.requested = number

    def leave(self) -> None:
        """End if that was asked for: with KeyboardInterrupt after SIGINT, else with exit code 128 + signal."""
        if self.requested == signal.SIGINT:
            raise KeyboardInterrupt
        if self.requested:
            raise SystemExit(128 + self.requested)


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a request to save and leave; the handlers before are put back."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
