"""The commands of `oneshot-vos`: thin. What a command needs is imported when it runs: help answers at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """For imports: there is no garbage to be found, and looking for it takes a sixth of the time, torch's above all."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what was imported stays: no later search has to go through it
        gc.enable()
