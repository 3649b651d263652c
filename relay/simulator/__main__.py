"""`python -m relay.simulator`: the simulated providers and the receiver as a process of their own.

Prints one line of JSON with their URLs when they are ready, and runs until it
is told to stop.
"""

import argparse
import asyncio
import json
import signal
import sys

from relay.simulator import Receiver, Simulator

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published test vector's


async def _run(port: int, receiver_port: int, secret: str) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Simulator(port=port) as simulator, Receiver(secret, port=receiver_port) as receiver:
        providers = ("getimg", "lumenfall", "nanogpt", "nanogpt-unified")
        ready = {
            "providers": {name: simulator.base_url(name) for name in providers},
            "callback": receiver.callback_url(),
            "slack": receiver.slack_url,
            "discord": receiver.discord_url,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stopping.wait()


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m relay.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where the providers listen (a free port unless given)")
    parser.add_argument("--receiver-port", type=int, default=0, help="where the receiver listens")
    parser.add_argument("--secret", default=_SECRET, help="the signing secret that the receiver expects")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.port, arguments.receiver_port, arguments.secret))


if __name__ == "__main__":
    main()
