"""The law: every decision relay takes, as pure functions over values.

Nothing here does I/O, reads a clock or draws a random number: `now` and samples
are arguments.  Instants are Unix seconds in UTC, durations are seconds, both as
floats; a name ends in `_s` where it holds a duration.
"""
