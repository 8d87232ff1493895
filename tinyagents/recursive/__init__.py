"""Recursive language models: a long input is a variable of the code that a model writes.

root                     writes code that looks at `context`, and calls
 ├ python[0]/llm[0]      a plain call
 ├ python[0]/llm_map[0]  many at once
 └ python[0]/recurse[0]  the same agent, one level deeper, on a part of the data
"""

from tinyagents.recursion import Recursion
from tinyagents.recursive.agent import RecursiveAgent

__all__ = ["Recursion", "RecursiveAgent"]
