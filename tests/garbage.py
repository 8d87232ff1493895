"""What only the garbage collector frees."""

import gc
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collected() -> Generator[Counter[str]]:
    """Counts, by type, the objects of this project that nothing else frees in the block."""
    left = Counter[str]()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield left
        gc.collect()
        left.update(type(each).__name__ for each in gc.garbage if _is_ours(each))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(each: object) -> bool:
    return type(each).__module__.startswith("tinyagents")
