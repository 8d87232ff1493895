"""`Autonomy`: which tools an agent may use on its own, and which only with a human."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast, get_args

from tinyagents.errors import ConfigError
from tinyagents.tools import check_name
from tinyagents_graph.frozen import frozen
from tinyagents_graph.limits import stricter

__all__ = ["Autonomy", "Mode"]

Mode: TypeAlias = Literal["shadow", "assisted", "autonomous"]
"""How far a tool call goes by itself, the strictest first: it is only proposed (`"shadow"`), it
waits for a human's yes (`"assisted"`), or it is made (`"autonomous"`)."""

_MODES: tuple[Mode, ...] = get_args(Mode)


@frozen
class Autonomy:
    """How far an agent's tool calls go by themselves.

    Tools are meant by their exact names. Rejected: patterns, of which two may fit one name, so that
    what narrowing means would have to be settled for every pair of them.

    Attributes:
        default: The mode of tools that `modes` does not name.
        modes: The modes of some tools, by name. A copy of what was given, read-only.
        expires_s: Seconds that a call waits for a human; then `on_expiry` holds. `None` waits for
            as long as it takes.
        on_expiry: What holds when nobody has said anything in time.

    Raises:
        ConfigError: There is no such mode, a name is no tool name, `modes` is no mapping, or
            what is said of expiry does not do.
    """

    default: Mode = "autonomous"
    modes: Mapping[str, Mode] = field(default_factory=dict[str, Mode])
    expires_s: float | None = None
    on_expiry: Literal["approve", "reject"] = "reject"

    def __post_init__(self) -> None:
        _check_mode("default", self.default)
        given: Any = self.modes
        if not isinstance(given, Mapping):
            raise ConfigError(f"Autonomy(modes={given!r}): give a mapping, {{'tool': 'assisted'}}")
        for name, mode in cast("Mapping[Any, Any]", given).items():
            if not isinstance(name, str):
                raise ConfigError(f"Autonomy(modes={{{name!r}: …}}): give the name of a tool")
            check_name("Autonomy(modes=…): tool", name)
            _check_mode(f"modes[{name!r}]", mode)
        object.__setattr__(self, "modes", MappingProxyType(dict(self.modes)))
        _check_expiry(self.expires_s, self.on_expiry)

    def __hash__(self) -> int:
        facts = self.default, frozenset(self.modes.items()), self.expires_s, self.on_expiry
        return hash(facts)

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only view can be neither copied nor sent.
        return Autonomy, (self.default, dict(self.modes), self.expires_s, self.on_expiry)

    @property
    def asks(self) -> bool:
        """Whether there is a tool for which a human is asked."""
        return "assisted" in (self.default, *self.modes.values())

    def mode_of(self, tool: str) -> Mode:
        """The mode of the tool of this name."""
        return self.modes.get(tool, self.default)

    def narrowed(self, other: Autonomy) -> Autonomy:
        """The stricter of the two for each tool, also for those that only one of them names."""
        modes: dict[str, Mode] = {
            name: _stricter(self.mode_of(name), other.mode_of(name))
            for name in (*self.modes, *other.modes)
        }
        return Autonomy(
            _stricter(self.default, other.default),
            modes,
            stricter(self.expires_s, other.expires_s),
            "approve" if self.on_expiry == other.on_expiry == "approve" else "reject",
        )

    def unknown_names(self, known: Iterable[str]) -> Mapping[str, str | None]:
        """The names in `modes` that are none of the known tools, each with the nearest one.

        For what an agent was given itself: narrowed by its parent's, it names the parent's tools.

        Args:
            known: The names of the tools there are.
        """
        there = list(known)
        unknown = [name for name in self.modes if name not in there]
        return {name: _nearest(name, there) for name in unknown}


def _check_expiry(expires_s: object, on_expiry: object) -> None:
    if expires_s is not None and not (
        type(expires_s) in (int, float) and cast("float", expires_s) > 0
    ):
        raise ConfigError(f"Autonomy(expires_s={expires_s!r}): give seconds, more than 0, or None")
    if on_expiry not in ("approve", "reject"):
        raise ConfigError(f"Autonomy(on_expiry={on_expiry!r}): give 'approve' or 'reject'")


def _check_mode(where: str, given: object) -> None:
    if given in _MODES:
        return
    near = _nearest(given, _MODES) if isinstance(given, str) else None
    hint = "" if near is None else f" (did you mean {near!r}?)"
    raise ConfigError(
        f"Autonomy: {where}={given!r}: give 'shadow', 'assisted' or 'autonomous'{hint}"
    )


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(name, list(known), n=1)
    return near[0] if near else None


def _stricter(one: Mode, other: Mode) -> Mode:
    return one if _MODES.index(one) <= _MODES.index(other) else other
