"""Prints what an mlflow server knows of an experiment; runs in mlflow's own environment."""

import json
import sys
from importlib import import_module
from typing import Any


def main(url: str, experiment: str) -> None:
    client: Any = import_module("mlflow").MlflowClient(tracking_uri=url)
    found: list[dict[str, Any]] = []
    for trace in client.search_traces(locations=[experiment]):
        spans = [
            {
                "name": span.name,
                "id": span.span_id,
                "parent": span.parent_id,
                "type": span.span_type,
                "status": span.status.status_code.value,
                "inputs": span.inputs,
                "outputs": span.outputs,
            }
            for span in trace.data.spans
        ]
        info = trace.info
        found.append(
            {
                "id": info.trace_id,
                "state": info.state.value,
                "usage": info.token_usage,
                "session": info.trace_metadata.get("mlflow.trace.session"),
                "spans": spans,
            }
        )
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
