"""What a model call may cost is set aside before it is made."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from tinyagents.errors import ConfigError
from tinyagents.models.protocol import Model, ModelRequest
from tinyagents.state import AgentRun
from tinyagents_graph.errors import LimitExceeded
from tinyagents_graph.limits import Accounts
from tinyagents_graph.usage import Usage

__all__ = ["Held", "hold"]

_REPLY_TOKENS = 4_096
"""Set aside for a reply when its agent does not say `max_output_tokens`."""


class Held:
    """What is set aside for one call."""

    __slots__ = ("_accounts", "_tokens", "_usd")

    def __init__(self, accounts: Accounts | None, tokens: float | None, usd: float | None) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._usd = usd

    def settle(self, usage: Usage | None) -> None:
        """The call has ended: spend what it took (`None`: it failed), free the rest."""
        if self._accounts is None:
            return
        if self._tokens is not None:
            self._accounts.tokens.settle(self._tokens, usage.total_tokens if usage else 0)
        if self._usd is not None:
            self._accounts.usd.settle(self._usd, usage.usd if usage else 0)


_NOTHING_HELD = Held(None, None, None)


async def hold(
    work: AgentRun, request: ModelRequest, model: Model
) -> tuple[Held, ModelRequest]:
    """Set aside what the call may take, and keep its reply to that.

    Without a limit on tokens or money this does nothing. With one, what the request will read is
    estimated (from the provider's own count of the transcript so far), and the reply may use what
    is left: the request goes out with `max_output_tokens` to match, so that parallel siblings
    cannot overspend together.

    Raises:
        BudgetExceeded: What is left does not even cover reading the request.
        ConfigError: There is a limit on money, and the model's price is not known.
    """
    accounts = work.run.accounts
    if accounts.tokens.limit == inf and accounts.usd.limit == inf:
        return _NOTHING_HELD, request
    reading = work.context_tokens + sum(
        len(message.text) // 4 + 4 for message in work.messages[work.counted :]
    )
    writing = request.settings.max_output_tokens or _REPLY_TOKENS
    tokens: float | None = None
    usd: float | None = None
    try:
        if accounts.tokens.limit != inf:
            tokens = await accounts.tokens.hold(reading + 1, reading + writing)
            writing = min(writing, int(tokens) - reading)
        if accounts.usd.limit != inf:
            least = _price(model, reading, 1)
            usd = await accounts.usd.hold(least, _price(model, reading, writing))
            each = _price(model, 0, 1_000_000) / 1_000_000
            if each:
                writing = min(writing, max(1, int((usd - least) / each)))
    except BaseException as error:
        Held(accounts, tokens, usd).settle(None)
        if isinstance(error, LimitExceeded):
            work.run.refuse(error)
        raise
    settings = replace(request.settings, max_output_tokens=writing)
    return Held(accounts, tokens, usd), replace(request, settings=settings)


def _price(model: Model, reading: int, writing: int) -> float:
    price = model.cost(Usage(requests=1, input_tokens=reading, output_tokens=writing))
    if price is None:
        raise ConfigError(
            f"max_usd is set, but the price of {model.provider}:{model.name} is not known: "
            "give the model prices, or limit max_tokens instead"
        )
    return price
