"""The simulated world around a real daemon."""

from pathlib import Path

from relay.simulator import Receiver, Scenario, Simulator

PROVIDERS = ("getimg", "lumenfall", "nanogpt", "nanogpt-unified")


class World:
    """Simulated providers, a receiver, and the configuration that joins them to relay."""

    def __init__(self, simulator: Simulator, receiver: Receiver, folder: Path) -> None:
        self.simulator = simulator
        self.receiver = receiver
        self.folder = folder
        simulator.jobs.default = Scenario(queued_s=0.2, running_s=0.5)
        (folder / "key").write_text("sk_first")
        (folder / "slack").write_text(receiver.slack_url)
        (folder / "discord").write_text(receiver.discord_url)

    def configuration(self, more: str = "") -> str:
        providers = "".join(
            f'[providers.{name}]\napi_key = {{ file = "key" }}\nbase_url = "{self.simulator.base_url(name)}"\n'
            'min_interval = "100ms"\nnot_found_grace = "500ms"\n'
            for name in PROVIDERS
        )
        return f"""
[callbacks]
secret = {{ file = "callback-secret" }}
allow_http = true
allow_networks = ["127.0.0.0/8"]
retry = {{ first = "200ms", max_gap = "1s", give_up_after = "1m" }}
[schedule]
detection_lag = "150ms"
{providers}
{more}
"""
