"""The sandbox: models write Python, and it runs where it can reach nothing."""

from tinyagents.sandbox.box import Sandbox
from tinyagents.sandbox.cell import CellError, CellResult, ErrorKind, Frame, HostCall
from tinyagents.sandbox.describe import describe
from tinyagents.sandbox.engine import Engine, Settings, Worker, Workers
from tinyagents.sandbox.mounts import Module, Mount
from tinyagents.sandbox.session import OnCall, OnPrint, Session
from tinyagents.sandbox.values import Withheld, plain, safe, shown

__all__ = [
    "CellError",
    "CellResult",
    "Engine",
    "ErrorKind",
    "Frame",
    "HostCall",
    "Module",
    "Mount",
    "OnCall",
    "OnPrint",
    "Sandbox",
    "Session",
    "Settings",
    "Withheld",
    "Worker",
    "Workers",
    "describe",
    "plain",
    "safe",
    "shown",
]
