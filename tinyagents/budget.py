"""What a model call may cost is set aside before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinyagents.errors import ConfigError
from tinyagents.messages import Message
from tinyagents.models.protocol import Model, ModelRequest
from tinyagents.state import AgentRun
from tinyagents_graph.errors import LimitExceeded
from tinyagents_graph.limits import Account
from tinyagents_graph.usage import Usage

__all__ = ["NOTHING_HELD", "Held", "hold", "shortage"]

_REPLY_TOKENS = 16_384
"""Set aside for a reply when its agent does not say `max_output_tokens`."""


class Held:
    """What is set aside for one call."""

    __slots__ = ("tokens", "usd")

    def __init__(self) -> None:
        self.tokens: tuple[Account, float] | None = None
        self.usd: tuple[Account, float] | None = None

    def settle(self, usage: Usage | None) -> None:
        """The call has ended: spend what it took (`None`: it failed), free the rest."""
        if self.tokens is not None:
            account, amount = self.tokens
            account.settle(amount, usage.total_tokens if usage else 0)
        if self.usd is not None:
            account, amount = self.usd
            account.settle(amount, usage.usd if usage else 0)


NOTHING_HELD = Held()


async def hold(work: AgentRun, request: ModelRequest, model: Model) -> tuple[Held, ModelRequest]:
    """Set aside what the call may take, and keep its reply to that.

    For trees with a limit on tokens or money. What the request will read is estimated (from the
    provider's own count of the transcript so far). The reply may use what is left, but no more than
    the agent's `max_output_tokens`, or 16,384: the request goes out with `max_output_tokens` to
    match, so that parallel siblings cannot overspend together.

    Raises:
        BudgetExceeded: What is left does not even cover reading the request.
        ConfigError: There is a limit on money, and the model's price is not known.
    """
    accounts = work.run.accounts
    reading = work.context_tokens + _estimate(work.messages[work.counted :])
    writing = request.settings.max_output_tokens or _REPLY_TOKENS * work.wider
    held = Held()
    try:
        if accounts.tokens is not None:
            tokens = await accounts.tokens.hold(reading + 1, reading + writing)
            held.tokens = accounts.tokens, tokens
            writing = min(writing, int(tokens) - reading)
        if accounts.usd is not None:
            least = _price(model, reading, 1)
            usd = await accounts.usd.hold(least, _price(model, reading, writing))
            held.usd = accounts.usd, usd
            each = (_price(model, reading, 1_000_001) - least) / 1_000_000
            if each:
                # One token is in `least`; the little more is what floats lose.
                writing = min(writing, 1 + int((usd - least) / each + 1e-6))
    except BaseException as error:
        held.settle(None)
        if isinstance(error, LimitExceeded):
            work.run.refuse(error)
        raise
    settings = replace(request.settings, max_output_tokens=writing)
    return held, replace(request, settings=settings)


def shortage(work: AgentRun, more: Sequence[Message]) -> LimitExceeded | None:
    """Why tokens or money do not cover one more request, if they surely do not.

    Nothing is set aside. While calls under way hold what is missing, it may yet be enough.

    Args:
        work: Whose request it would be.
        more: What it would read besides the transcript.
    """
    accounts, model = work.run.accounts, work.plan.model
    reading = work.context_tokens + _estimate([*work.messages[work.counted :], *more])
    least = Usage(requests=1, input_tokens=reading, output_tokens=1)
    for account, needed in ((accounts.tokens, reading + 1), (accounts.usd, model.cost(least))):
        if account is not None and not account.calls and account.left < (needed or 0):
            return account.refusal()
    return None


def _estimate(messages: Sequence[Message]) -> int:
    """About how many tokens these are."""
    return sum(len(message.text) // 4 + 4 for message in messages)


def _price(model: Model, reading: int, writing: int) -> float:
    price = model.cost(Usage(requests=1, input_tokens=reading, output_tokens=writing))
    if price is None:
        raise ConfigError(
            f"max_usd is set, but the price of {model.provider}:{model.name} is not known: "
            "give the model prices, or limit max_tokens instead"
        )
    return price
