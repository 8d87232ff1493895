"""Dialects besides the provider's own tool calls.

react -> react_text, arguments
"""

from __future__ import annotations

from tinyagents.dialect import Dialect, Reading, Speech
from tinyagents.dialects.react import React

__all__ = ["Dialect", "React", "Reading", "Speech"]
