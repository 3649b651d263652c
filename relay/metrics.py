"""What relay counts about itself, for Prometheus."""

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from relay import __version__
from relay.core.condition import Condition
from relay.core.ports import Counts
from relay.core.standing import Footing, Standing

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAGS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_MOMENTS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


StrT = TypeVar("StrT", bound=str)


class Metrics:
    """The series of one daemon."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Info("relay_build", "The version that runs.", registry=self.registry).info({"version": __version__})
        self._watch_series()
        self._delivery_series()
        self._own_series()

    def _watch_series(self) -> None:
        self.watches_added = self._counter("relay_watches_added_total", "Watches accepted.")
        self.watches = self._gauge("relay_watches", "Live watches by status.", "status")
        self.due_lag_seconds = self._gauge(
            "relay_due_lag_seconds", "How long the watch that is due longest has been waiting for its poll.", "provider"
        )
        self.polls = self._counter("relay_polls_total", "Status requests by what came of them.", "provider", "result")
        self.poll_seconds = self._histogram("relay_poll_seconds", "Duration of a poll.", _SECONDS, "provider")
        self.polls_under_way = self._gauge("relay_polls_under_way", "Watches claimed and not settled.", "provider")
        self.outcomes = self._counter("relay_outcomes_total", "Watches ended, by outcome.", "provider", "outcome")
        self.detection_lag_seconds = self._histogram(
            "relay_detection_lag_seconds",
            "From the end of a job, where its provider tells when that was, to our seeing it.",
            _LAGS,
            "provider",
        )
        self.provider_working = self._gauge(
            "relay_provider_working", "1 where the credential works, 0 where polls of it rest or probe.", "provider"
        )

    def _delivery_series(self) -> None:
        self.attempts = self._counter("relay_attempts_total", "Delivery attempts by verdict.", "verdict")
        self.attempt_seconds = self._histogram("relay_attempt_seconds", "Duration of a delivery attempt.", _SECONDS)
        self.attempts_under_way = self._gauge("relay_attempts_under_way", "Delivery attempts not answered yet.")
        self.doubted_messages = self._counter(
            "relay_doubted_messages_total",
            "Messages sent otherwise than configured, because their template failed.",
            "destination",
        )
        self.settled = self._counter(
            "relay_deliveries_settled_total", "Deliveries that came to an end, by state.", "state"
        )
        self.deliveries = self._gauge("relay_deliveries", "Deliveries that are not delivered, by state.", "state")
        self.destination_working = self._gauge(
            "relay_destination_working",
            "1 where a destination of the configuration takes deliveries, 0 where they are refused or held.",
            "destination",
        )
        self.oldest_pending_seconds = self._gauge("relay_oldest_pending_seconds", "Age of the oldest pending delivery.")

    def _own_series(self) -> None:
        self.loop_errors = self._counter("relay_loop_errors_total", "Errors caught at a loop's boundary.", "loop")
        self.loop_lag_seconds = self._histogram(
            "relay_loop_lag_seconds", "How much later than asked for the event loop woke a sleeper.", _MOMENTS
        )
        self.tasks = self._gauge(
            "relay_tasks", "Tasks on the event loop: more with the load, and no more once it is gone."
        )
        self.connections_refused = self._counter(
            "relay_connections_refused_total", "Connections to the API that found every place taken."
        )
        self.commit_seconds = self._histogram(
            "relay_commit_seconds", "Duration of a transaction of the database, its commit included.", _MOMENTS
        )
        self.commits_waiting = self._gauge("relay_commits_waiting", "Writes that wait for a transaction.")
        self.database_bytes = self._gauge("relay_database_bytes", "What the database takes up.")
        self.heartbeats = self._counter(
            "relay_heartbeats_total",
            "Signs of life: sent, failed, or withheld for want of health.",
            "result",
        )
        self._config_ok = self._gauge(
            "relay_config_last_reload_successful",
            "1 where the configuration on disk could be used, else 0.",
        )
        self._config_loaded_at = self._gauge(
            "relay_config_last_reload_success_timestamp_seconds", "When the configuration in force was read."
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)

    def config_loaded(self, now: float) -> None:
        """Note that a configuration is in force from now on."""
        self._config_ok.set(1)
        self._config_loaded_at.set(now)

    def config_refused(self) -> None:
        """Note that the configuration on disk cannot be used."""
        self._config_ok.set(0)

    def observe(self, counts: Counts, now: float) -> None:
        """Take over how many rows stand where."""
        _replace(self.watches, counts.watches)
        _replace(self.deliveries, counts.deliveries)
        oldest = counts.oldest_pending_at
        self.oldest_pending_seconds.set(0 if oldest is None else max(now - oldest, 0))
        self.database_bytes.set(counts.stored_bytes)
        self.commits_waiting.set(counts.commits_waiting)

    def observe_loops(
        self, polls: Mapping[str, int], attempts: int, lags: Mapping[str, float], standings: Mapping[str, Standing]
    ) -> None:
        """Take over what is under way, and how each provider is: `polls` and `lags` (seconds) name those there are."""
        _replace(self.polls_under_way, polls)
        _replace(self.due_lag_seconds, lags)
        self.attempts_under_way.set(attempts)
        working = {name: standings.get(name, Standing()).footing is Footing.WORKING for name in polls}
        _replace(self.provider_working, working)

    def observe_destinations(self, conditions: Mapping[str, Condition]) -> None:
        """Take over how each destination of the configuration is."""
        fine = (Condition.WORKING, Condition.DRAINING)
        _replace(self.destination_working, {name: condition in fine for name, condition in conditions.items()})

    def render(self) -> bytes:
        """Return the series in Prometheus' text format."""
        return generate_latest(self.registry)


def _replace(gauge: Gauge, values: Mapping[StrT, float]) -> None:
    """Let a gauge have these values by its one label, and no others."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)
