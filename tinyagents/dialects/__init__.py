"""Dialects besides the provider's own tool calls, and what code of models runs in.

react -> react_text, arguments
codeact -> finishing, code_text, python_tool -> cells -> cell_calls -> signatures
"""

from __future__ import annotations

from tinyagents.dialect import Dialect, Reading, Speech
from tinyagents.dialects.codeact import CodeAct
from tinyagents.dialects.python_tool import PythonTool
from tinyagents.dialects.react import React

__all__ = ["CodeAct", "Dialect", "PythonTool", "React", "Reading", "Speech"]
