"""Speed and memory of tinyagents beside bare asyncio and its peers: `python -m benchmarks`.

Layers, top to bottom; arrows point down only:

    __main__  ->  report, profiling  ->  compare, growth  ->  measure  ->  rows  ->  workload
                                                                |
                                                             contenders (one file per library)
"""
