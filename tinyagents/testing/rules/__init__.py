"""What `check_journal` looks at; a rule's name is what it claims."""

from __future__ import annotations

__all__ = ["contents", "holding", "listing", "sharing"]

from tinyagents.testing.rules import contents, holding, listing, sharing
