"""relay: follows slow generation jobs and delivers their outcome, durably."""

__version__ = "0.1.0"
