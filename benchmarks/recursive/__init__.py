"""Long inputs answered in different ways, offline: `python -m benchmarks.recursive`.

tasks      generated questions over generated texts, and how an answer is scored
oracle     the model that reads: right but for errors that grow with what it has to read
strategy   the model that plans: writes the code that a good model would write
ways       plain call, code without sub-calls, recursive
clock      how long it would have taken, from the run tree

It tests chunking, batching, budgets and concurrency, and says nothing about intelligence.
"""
