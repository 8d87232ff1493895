"""The ground floor: run trees, their events and their limits. It knows nothing of models.

The arrows between its modules point one way:

    run -> interruptible -> controls -> acks -> pausing, commands
    run -> steering -> controls
           interruptible -> place -> sink -> stream -> log -> events -> errors
           interruptible -> clock; clock, acks, stream -> loops
    run -> limits, usage -> frozen
"""

from __future__ import annotations

from tinyagents_graph.acks import Ack
from tinyagents_graph.commands import (
    Cancel,
    Inject,
    Pause,
    Redirect,
    Resume,
    SetMetadata,
    SteerCommand,
)
from tinyagents_graph.errors import (
    BudgetExceeded,
    ConfigError,
    DelegationCycle,
    DepthExceeded,
    EventsLost,
    LimitExceeded,
    RunCancelled,
    RunConflict,
    Signal,
    TinyAgentsError,
)
from tinyagents_graph.events import KINDS, TERMINAL, Event, EventKind, Origin, RunStatus
from tinyagents_graph.limits import DEFAULTS, RunLimits
from tinyagents_graph.log import EventView
from tinyagents_graph.place import Place, RunTree, current_place
from tinyagents_graph.redact import mask
from tinyagents_graph.run import Run
from tinyagents_graph.sink import EventSink
from tinyagents_graph.snapshot import TreeSnapshot
from tinyagents_graph.steering import SteerPolicy
from tinyagents_graph.stream import EventStream
from tinyagents_graph.usage import Usage

__all__ = [
    "DEFAULTS",
    "KINDS",
    "TERMINAL",
    "Ack",
    "BudgetExceeded",
    "Cancel",
    "ConfigError",
    "DelegationCycle",
    "DepthExceeded",
    "Event",
    "EventKind",
    "EventSink",
    "EventsLost",
    "EventStream",
    "EventView",
    "Inject",
    "LimitExceeded",
    "Origin",
    "Pause",
    "Place",
    "Redirect",
    "Resume",
    "Run",
    "RunCancelled",
    "RunConflict",
    "RunLimits",
    "RunStatus",
    "RunTree",
    "SetMetadata",
    "Signal",
    "SteerCommand",
    "SteerPolicy",
    "TinyAgentsError",
    "TreeSnapshot",
    "Usage",
    "current_place",
    "mask",
]
