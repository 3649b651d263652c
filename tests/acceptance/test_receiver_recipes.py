"""docs/receivers.md: each recipe is run as it stands there, and meets what receivers meet."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bench.ports import free_port
from relay.core.event import greeting_event
from relay.core.signing import SigningSecret, signed_headers

GUIDE = (Path(__file__).parents[2] / "docs" / "receivers.md").read_text()
OLD, NEW, OTHER = (SigningSecret.of(letter * 24) for letter in (b"o", b"\xff", b"x"))
RECIPES = {"python": [sys.executable, "receiver.py"], "javascript": ["node", "receiver.mjs"], "go": ["./receiver"]}


def recipe(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


def skip_without_toolchain(language: str) -> None:
    if language != "python" and shutil.which({"javascript": "node"}.get(language, language)) is None:
        pytest.skip(f"there is no toolchain for {language}")


@contextmanager
def running(language: str, folder: Path) -> Iterator["Receiver"]:
    """Run a recipe that knows two secrets."""
    name = re.findall(rf"Save as `([\w.]+)`, run with `[^`]+`:\n\n```{language}\n", GUIDE)[0]
    (folder / name).write_text(recipe(language))
    env = os.environ | {"PORT": str(free_port()), "WEBHOOK_SECRETS": f"{OLD.text} {NEW.text}"}
    if language == "go":
        subprocess.run(["go", "build", "-o", "receiver", name], cwd=folder, check=True, timeout=110)
    with subprocess.Popen(RECIPES[language], cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Receiver(process, int(env["PORT"]))
        finally:
            process.terminate()


class Receiver:
    """A recipe that listens."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self._port = port
        limit = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < limit
                time.sleep(0.02)
            else:
                return

    def post(self, headers: dict[str, str], body: bytes) -> int:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request("POST", "/", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def printed(self) -> list[str]:
        """Stop it, and return what it did."""
        self._process.terminate()
        return self._process.communicate(timeout=10)[0].splitlines()


@pytest.mark.parametrize("language", RECIPES)
def test_a_recipe_accepts_what_relay_signs_once_and_nothing_else(language: str, tmp_path: Path) -> None:
    skip_without_toolchain(language)

    def body(job: str) -> bytes:
        return f'{{"type":"job.completed","data":{{"job_id":"{job}","prompt":"é ☃"}}}}'.encode()

    def signed(job: str, *secrets: SigningSecret, ahead_s: float = 0, **changed: str) -> dict[str, str]:
        headers = signed_headers(secrets or [OLD], f"dlv_{job}", now + ahead_s, body(job))
        return headers | {f"webhook-{name}": value for name, value in changed.items()}

    with running(language, tmp_path) as receiver:
        now = time.time()
        decoys = f"v1,{'A' * 43}= v2,x v1 v1, é {OLD.sign('dlv_e', int(now), body('e'))}".encode().decode("latin-1")
        accepted = [
            receiver.post(signed("a"), body("a")),
            receiver.post(signed("a"), body("a")),  # again
            receiver.post(signed("b", NEW), body("b")),
            receiver.post(signed("c", OTHER, NEW), body("c")),  # the second token
            receiver.post(signed("d", ahead_s=-280), body("d")),
            receiver.post(signed("e", signature=decoys), body("e")),
        ]
        refused = [
            receiver.post(signed("f", OTHER), body("f")),
            receiver.post(signed("f"), body("f") + b"\n"),
            receiver.post(signed("f", id="dlv_g"), body("f")),
            receiver.post(signed("f", timestamp=str(int(now) + 1)), body("f")),
            receiver.post(signed("f", ahead_s=-310), body("f")),
            receiver.post(signed("f", ahead_s=320), body("f")),
            receiver.post({}, body("f")),
            *(receiver.post(signed("f", timestamp=stamp), body("f")) for stamp in ("", "now", "-1", "1.5", "9" * 5000)),
            *(receiver.post(signed("f", signature=tokens), body("f")) for tokens in ("", "v1", "v1,", "v1,A", "\xe9")),
        ]
        assert accepted == [204] * len(accepted)
        assert refused == [401] * len(refused)
        assert receiver.printed() == [f"job.completed {job}" for job in "abcde"]


@pytest.mark.parametrize("language", RECIPES)
def test_a_recipe_takes_the_test_message_although_it_is_about_no_job(language: str, tmp_path: Path) -> None:
    skip_without_toolchain(language)
    now = time.time()
    greeting = greeting_event("shop", now)
    body = greeting.body.encode()

    with running(language, tmp_path) as receiver:
        assert receiver.post(signed_headers([OLD], greeting.id, now, body), body) == 204
        assert [line.split()[0] for line in receiver.printed()] == ["relay.test"]
