"""The configuration of a daemon between misbehaving providers and receivers."""

from collections.abc import Sequence
from pathlib import Path

from bench.torture.records import Place
from bench.torture.world import Account, World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_KEY = "sk_torture"
_RETRY = 'retry = { first = "200ms", max_gap = "1s", give_up_after = "1h" }'


def configure(
    folder: Path, port: int, world: World, accounts: Sequence[Account], *, lag: str = "150ms", more: str = ""
) -> None:
    """Write relay.toml and the secrets that it names; `more` are tables of its own."""
    urls = {place.name.lower(): url for place, url in world.destinations.items()}
    for name, text in {"callback-secret": SECRET, "key": _KEY, **urls}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    providers = "".join(
        f'[providers.{account.name}]\npreset = "{account.preset}"\napi_key = {{ file = "key" }}\n'
        f'base_url = "{world.base_url(account)}"\nrate = "{account.rate}"\nmin_interval = "100ms"\n'
        for account in accounts
    )
    (folder / "relay.toml").write_text(
        f"""[server]
listen = "127.0.0.1:{port}"
[store]
url = "sqlite:///relay.db"
[callbacks]
secret = {{ file = "callback-secret" }}
allow_http = true
allow_networks = ["127.0.0.0/8"]
{_RETRY}
[schedule]
detection_lag = "{lag}"
[retention]
watches = "10s"
{providers}{more}"""
    )


def destinations() -> str:
    """Return the tables by which every job is told to a callback destination, and some to a chat."""
    chats = "".join(
        f'[destinations.{chat}]\ntype = "{chat}"\nurl = {{ file = "{chat}" }}\ndigest = "1s"\n{_RETRY}\n'
        f'[[routes]]\nmatch = {{ metadata = {{ chat = "{chat}" }} }}\nto = ["{chat}"]\n'
        for chat in (Place.SLACK, Place.DISCORD)
    )
    shop = f'[destinations.shop]\ntype = "callback"\nurl = {{ file = "named" }}\n{_RETRY}\n[[routes]]\nto = ["shop"]\n'
    return shop + chats
