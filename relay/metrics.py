"""What relay counts about itself, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from relay.core.ports import Counts

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The series of one daemon."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.watches_added = Counter("relay_watches_added_total", "Watches accepted.", registry=self.registry)
        self.polls = Counter(
            "relay_polls_total", "Status requests by what came of them.", ["provider", "result"], registry=self.registry
        )
        self.poll_seconds = Histogram(
            "relay_poll_seconds", "Duration of a poll.", ["provider"], buckets=_SECONDS, registry=self.registry
        )
        self.outcomes = Counter(
            "relay_outcomes_total", "Watches ended, by outcome.", ["provider", "outcome"], registry=self.registry
        )
        self.attempts = Counter(
            "relay_attempts_total", "Delivery attempts by verdict.", ["verdict"], registry=self.registry
        )
        self.loop_errors = Counter(
            "relay_loop_errors_total", "Errors caught at a loop's boundary.", ["loop"], registry=self.registry
        )
        self.watches = Gauge("relay_watches", "Live watches by status.", ["status"], registry=self.registry)
        self.deliveries = Gauge(
            "relay_deliveries", "Deliveries that are not delivered, by state.", ["state"], registry=self.registry
        )
        self.oldest_pending_seconds = Gauge(
            "relay_oldest_pending_seconds", "Age of the oldest pending delivery.", registry=self.registry
        )
        self._config_ok = Gauge(
            "relay_config_last_reload_successful",
            "1 where the configuration on disk was usable when last read, else 0.",
            registry=self.registry,
        )
        self._config_loaded_at = Gauge(
            "relay_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read.",
            registry=self.registry,
        )

    def config_loaded(self, now: float) -> None:
        """Note that a configuration is in force from now on."""
        self._config_ok.set(1)
        self._config_loaded_at.set(now)

    def config_refused(self) -> None:
        """Note that the configuration on disk cannot be used."""
        self._config_ok.set(0)

    def observe(self, counts: Counts, now: float) -> None:
        """Take over how many rows stand where."""
        self.watches.clear()
        for status, number in counts.watches.items():
            self.watches.labels(status).set(number)
        self.deliveries.clear()
        for state, number in counts.deliveries.items():
            self.deliveries.labels(state).set(number)
        oldest = counts.oldest_pending_at
        self.oldest_pending_seconds.set(0 if oldest is None else max(now - oldest, 0))

    def render(self) -> bytes:
        """Return the series in Prometheus' text format."""
        return generate_latest(self.registry)
