"""The plug is pulled, again and again, while relay works: `make torture`.

The real daemon runs as a process of its own between simulated providers and
receivers that misbehave.  It is killed at random and at chosen moments, started
again, and in the end an auditor that knows nothing of relay compares what the
providers ended, what the API accepted, and what the receivers got.
"""
