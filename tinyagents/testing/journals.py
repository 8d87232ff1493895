"""`check_journal`: whether a journal keeps what `Journal` promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

from tinyagents.testing.rules import contents, holding, listing, sharing
from tinyagents_graph.errors import TinyAgentsError
from tinyagents_graph.journal.protocol import Journal

__all__ = ["check_journal"]

Make: TypeAlias = Callable[[], Journal]
Rule: TypeAlias = Callable[[Journal], Awaitable[None]]
SharedRule: TypeAlias = Callable[[Journal, Journal], Awaitable[None]]

_RULES: Sequence[Rule] = (*holding.RULES, *contents.RULES, *listing.RULES)
_SHARED: Sequence[SharedRule] = sharing.RULES


async def check_journal(make: Make, *, again: Make | None = None) -> None:
    """Check that a journal does what `Journal` promises; for tests of one of your own.

    ```python
    async def test_my_journal_is_sound(tmp_path):
        folders = (tmp_path / str(number) for number in count())
        await check_journal(lambda: MyJournal(next(folders)))
    ```

    The rules, each with a journal that `make` made for it: events come back as they were, in
    order and without a gap, also while they are appended, from many trees and threads, with any
    text, and large; what does not follow is refused as a whole, and so is what comes after it;
    only the last lease of a tree may append, until it is closed; `done` is called once, when the
    events can be read; a delivery is heard once, and of two with one key the first stands; trees,
    open questions and standing follow from the events; `add`, `drop`, `save` and `load`.

    Not looked at: whether it survives the end of its process, or a full disk.

    Args:
        make: Makes a journal with an empty store, each time it is called. It is used with
            `async with`.
        again: Makes another journal with the store of the one that `make` made last, as another
            process does. The rules of sharing are left out if it is not given.

    Raises:
        AssertionError: It breaks a rule; the message has the rule's name and what was seen.
    """
    for rule in _RULES:
        async with make() as journal:
            await _checked(rule, journal)
    if again is None:
        return
    for shared in _SHARED:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(make())
            other = await stack.enter_async_context(again())
            await _checked(shared, one, other)


async def _checked(rule: Callable[..., Awaitable[None]], *journals: Journal) -> None:
    name = getattr(rule, "__name__", str(rule)).replace("_", " ")
    try:
        await rule(*journals)
    except (AssertionError, TinyAgentsError, LookupError) as error:
        found = str(error) if isinstance(error, AssertionError) else repr(error)
        raise AssertionError(f"{name}: {found}") from error
