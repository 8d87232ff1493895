"""tinyagents: recursive multi-agent graphs.

An agent is a harness around a model; a running agent is a node of a run tree; one event stream
describes the whole tree. The arrows between the modules of this floor point one way:

    session -> agent -> handle, subagents -> children -> asks -> execute -> loop
                        handle -> live -> asks, mail
                        loop -> mail, asking, calls -> state -> plan -> output, middleware -> tools
    models.openai, models.anthropic -> models.protocol -> messages -> (ground floor)
"""

from __future__ import annotations

from tinyagents.agent import Agent
from tinyagents.asks import AskParent, Report, ask_parent, report
from tinyagents.autonomy import Autonomy
from tinyagents.context import RunContext
from tinyagents.dialects import CodeAct, PythonTool, React
from tinyagents.errors import (
    BudgetExceeded,
    ConfigError,
    DelegationCycle,
    DepthExceeded,
    EventsLost,
    InvalidOutput,
    JournalError,
    LimitExceeded,
    ModelError,
    ModelRetry,
    NoAnswer,
    RecordedError,
    RunCancelled,
    RunConflict,
    Signal,
    TinyAgentsError,
    ToolError,
)
from tinyagents.forking import fork
from tinyagents.handle import RunHandle
from tinyagents.messages import (
    AssistantMessage,
    Document,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tinyagents.middleware import Finish, Middleware
from tinyagents.models import Model, ModelSettings
from tinyagents.patterns import best_of, hedge, quorum, race
from tinyagents.recursion import Recursion
from tinyagents.recursive.agent import RecursiveAgent
from tinyagents.resilience import Cache, Fallback
from tinyagents.result import Result
from tinyagents.session import SubAgentSession
from tinyagents.sharing import Context
from tinyagents.subagents import SubAgent, SubAgentTool
from tinyagents.tools import Tool, tool
from tinyagents_graph import (
    Ack,
    Cancel,
    Event,
    EventKind,
    EventSink,
    Inject,
    Pause,
    Redirect,
    Resume,
    RunLimits,
    SetMetadata,
    SteerCommand,
    SteerPolicy,
    TreeSnapshot,
    Usage,
    mask,
)
from tinyagents_graph.asks import PendingAsk
from tinyagents_graph.journal.diffing import RunDiff, StepDiff, diff
from tinyagents_graph.journal.inbox import InboxAsk, inbox
from tinyagents_graph.journal.memory import MemoryJournal
from tinyagents_graph.journal.protocol import AskRecord, Delivery, Journal, TreeRecord
from tinyagents_graph.journal.sqlite import SqliteJournal
from tinyagents_graph.journal.transfer import export_journal, import_journal
from tinyagents_graph.live import LiveRun
from tinyagents_graph.retry import Retry

__all__ = [
    "Ack",
    "Agent",
    "AskParent",
    "AskRecord",
    "AssistantMessage",
    "Autonomy",
    "BudgetExceeded",
    "Cache",
    "Cancel",
    "CodeAct",
    "ConfigError",
    "Context",
    "DelegationCycle",
    "Delivery",
    "DepthExceeded",
    "Document",
    "Event",
    "EventKind",
    "EventSink",
    "EventsLost",
    "Fallback",
    "Finish",
    "Image",
    "InboxAsk",
    "Inject",
    "InvalidOutput",
    "Journal",
    "JournalError",
    "LimitExceeded",
    "LiveRun",
    "MemoryJournal",
    "Message",
    "Middleware",
    "Model",
    "ModelError",
    "ModelRetry",
    "ModelSettings",
    "NoAnswer",
    "Pause",
    "PendingAsk",
    "PythonTool",
    "React",
    "RecordedError",
    "Recursion",
    "RecursiveAgent",
    "Redirect",
    "Report",
    "Result",
    "Resume",
    "Retry",
    "RunCancelled",
    "RunConflict",
    "RunContext",
    "RunDiff",
    "RunHandle",
    "RunLimits",
    "SetMetadata",
    "Signal",
    "SqliteJournal",
    "SteerCommand",
    "SteerPolicy",
    "StepDiff",
    "SubAgent",
    "SubAgentSession",
    "SubAgentTool",
    "SystemMessage",
    "Text",
    "Thinking",
    "TinyAgentsError",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolMessage",
    "TreeRecord",
    "TreeSnapshot",
    "Usage",
    "UserMessage",
    "ask_parent",
    "best_of",
    "diff",
    "export_journal",
    "fork",
    "hedge",
    "import_journal",
    "inbox",
    "mask",
    "quorum",
    "race",
    "report",
    "tool",
]
