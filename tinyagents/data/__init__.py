"""Long inputs as they are for code: looked at, searched and cut, and never copied.

given (text, file, folder, records)  ──  as_data  ──  Data, a view
                                                        │  slice, chunks, split
                                                        Data, a part of the same bytes
"""

from tinyagents.data.opening import Given, as_data
from tinyagents.data.stored import DataChanged
from tinyagents.data.views import Data

__all__ = ["Data", "DataChanged", "Given", "as_data"]
