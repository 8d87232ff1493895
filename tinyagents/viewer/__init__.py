"""Runs in a browser on this machine: `Viewer`, and `export_html` for one in a file.

The arrows between its modules:

    viewer -> server -> acting, watching, sessions, page -> graphs -> shapes -> following -> folding
           -> guarding, sink_source
"""

from __future__ import annotations

from tinyagents.viewer.viewer import Viewer, export_html

__all__ = ["Viewer", "export_html"]
