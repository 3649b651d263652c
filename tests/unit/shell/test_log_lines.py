"""What relay writes about itself."""

import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from relay.log import SecretMask, configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(style: str, mask: SecretMask | None = None, level: str = "info") -> io.StringIO:
    out = io.StringIO()
    configure(style=style, level=level, mask=mask or SecretMask(), stream=out)
    return out


def test_a_machine_gets_one_json_object_a_line() -> None:
    out = written("auto")

    structlog.get_logger("relay.test").info("watch.ended", watch_id="wat_1", outcome="completed")

    line = json.loads(out.getvalue())
    assert (line["event"], line["watch_id"], line["outcome"], line["level"]) == (
        "watch.ended",
        "wat_1",
        "completed",
        "info",
    )


def test_a_person_gets_aligned_text() -> None:
    out = written("console")

    structlog.get_logger("relay.test").warning("status.unknown", watch_id="wat_1")

    assert "status.unknown" in out.getvalue()
    assert "watch_id=wat_1" in out.getvalue()


def test_a_level_below_the_chosen_one_is_not_written() -> None:
    out = written("json", level="warning")

    structlog.get_logger("relay.test").info("watch.ended")

    assert out.getvalue() == ""


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_secret_is_masked_wherever_it_comes_from(style: str) -> None:
    mask = SecretMask()
    mask.add("sk_very_secret")
    out = written(style, mask)

    structlog.get_logger("relay.test").error("poll.failed", detail="bad key sk_very_secret")
    logging.getLogger("aiohttp.client").error("cannot call https://x/?key=%s", "sk_very_secret")
    try:
        raise ValueError("sk_very_secret")
    except ValueError:
        structlog.get_logger("relay.test").exception("daemon.crashed")

    assert "sk_very_secret" not in out.getvalue()
    assert out.getvalue().count("***") >= 3


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_variables_for_a_mask_finds_no_half_of_a_secret(style: str) -> None:
    mask = SecretMask()
    mask.add("canary" * 20)
    out = written(style, mask)

    def call(_url: str) -> None:
        raise ValueError("refused")

    try:
        call("https://hooks.slack.example/services/" + "canary" * 20)
    except ValueError:
        structlog.get_logger("relay.test").exception("daemon.crashed")

    assert "ValueError: refused" in out.getvalue()
    assert "canarycanary" not in out.getvalue()


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    mask = SecretMask()
    for secret in ("canary-1", "canary-1-and-more", "canary-1-and", "canary-1"):
        mask.add(secret)

    assert mask("canary-1-and-more, canary-1-and, canary-1") == "***, ***, ***"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_secret_of_several_lines_is_masked_as_a_log_writes_it(style: str) -> None:
    mask = SecretMask()
    mask.add('-----BEGIN "KEY"-----\ncanary-1\ncanary-2\n')
    out = written(style, mask)

    structlog.get_logger("relay.test").error("poll.failed", detail='bad -----BEGIN "KEY"-----\ncanary-1\ncanary-2\n')

    assert "canary" not in out.getvalue()


def test_a_value_too_short_to_be_a_secret_masks_nothing() -> None:
    mask = SecretMask()
    mask.add("ok")

    assert mask("it is ok") == "it is ok"


def test_a_logger_in_use_follows_another_level_style_and_stream() -> None:
    first = written("console", level="warning")
    log = structlog.get_logger("relay.test").bind(provider="getimg")
    log.info("watch.ended")
    log.warning("status.unknown")

    second = written("json", level="debug")
    try:
        raise ValueError("refused")
    except ValueError:
        log.exception("poll.failed")
    log.debug("watch.observed")

    assert "status.unknown" in first.getvalue()
    assert "watch.ended" not in first.getvalue()
    failed, observed = map(json.loads, second.getvalue().splitlines())
    assert failed["logger"] == "relay.test"
    assert "ValueError: refused" in failed["exception"]
    assert (observed["event"], observed["level"], observed["provider"]) == ("watch.observed", "debug", "getimg")


class Full(io.StringIO):
    """A file on a disk without room."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left")


def test_a_line_that_cannot_be_written_is_lost_and_stops_nobody() -> None:
    configure(style="json", level="info", mask=SecretMask(), stream=Full())
    structlog.get_logger("relay.test").info("watch.ended")

    out = written("json")
    structlog.get_logger("relay.test").info("watch.polled")

    assert json.loads(out.getvalue())["event"] == "watch.polled"
