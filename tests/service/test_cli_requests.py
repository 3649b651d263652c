"""What the commands ask of the API, and what they make of its answers."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from support.scripted_api import DROPPED, ScriptedApi, problem, scripted_api, watch_document

from relay.cli import cli, client
from relay.cli.common import NothingMatched
from relay.outlet import ATTEMPT_TIMEOUT_S

A, B, C = ("wat_" + letter * 26 for letter in "abc")


@dataclass
class Cli:
    """The command line, pointed at a scripted API."""

    api: ScriptedApi

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Result:
        """Run in this process; what the command returns is `return_value`."""
        return CliRunner().invoke(
            cli, list(arguments), input=stdin, env={"RELAY_URL": self.api.url} | env, standalone_mode=False
        )

    def process(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", "relay", *arguments],
            env={**os.environ, "RELAY_URL": self.api.url, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    monkeypatch.delenv("RELAY_TOKEN", raising=False)
    with scripted_api() as served:
        yield served


@pytest.fixture
def relay(api: ScriptedApi) -> Cli:
    return Cli(api)


def page(*items: dict[str, Any], then: str | None = None) -> tuple[int, dict[str, Any]]:
    return 200, {"items": list(items), "next_cursor": then}


def delivery(delivery_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": delivery_id,
        "event_id": "evt_1",
        "event_type": "job.completed",
        "watch_id": A,
        "destination": "callback",
        "state": "exhausted",
        "attempts": 2,
        "next_attempt_at": None,
        "created_at": "2026-11-21T10:00:00.000Z",
        "finalized_at": "2026-11-21T10:05:00.000Z",
        "reason": "HTTP 410",
    } | more


# add


def test_add_asks_for_exactly_what_it_was_told(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/watches", (201, watch_document(A, "queued")))

    options = (
        "--param modelSlug=veo2=x --callback-url https://shop.example/h --to ops --to billing "
        "--deadline 2h --metadata order=42 --metadata empty="
    )
    done = relay("add", "nanogpt", "run-1", *options.split())

    assert [asked.body for asked in api.asked] == [
        {
            "provider": "nanogpt",
            "job_id": "run-1",
            "params": {"modelSlug": "veo2=x"},
            "callback_url": "https://shop.example/h",
            "destinations": ["ops", "billing"],
            "deadline": "2h",
            "metadata": {"order": "42", "empty": ""},
        }
    ]
    assert (done.return_value, done.stdout) == (0, A + "\n")


def test_add_names_every_callback_url_that_it_was_given(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/watches", (201, watch_document(A, "queued")))
    urls = ["https://shop.example/h", "https://billing.example/h"]

    relay("add", "getimg", "job", "--callback-url", urls[0], "--callback-url", urls[1])

    assert [asked.body["callback_urls"] for asked in api.asked] == [urls]


def test_add_leaves_an_empty_callback_url_to_be_refused(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/watches", (422, problem(422, "callback_url is too short")))

    assert relay.process("add", "getimg", "job", "--callback-url", "").returncode == 1
    assert [asked.body["callback_url"] for asked in api.asked] == [""]


def test_add_reads_ids_from_standard_input(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/watches", (201, watch_document(A, "queued")))

    relay("add", "getimg", "first", "-", stdin="second\n\n  third fourth\n")

    assert [asked.body["job_id"] for asked in api.asked] == ["first", "second", "third", "fourth"]


def test_what_was_accepted_is_told_although_the_next_is_refused(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/watches", (201, watch_document(A, "queued")), (422, problem(422, "job_id holds a newline")))

    done = relay.process("add", "getimg", "good", "bad", "never-asked")

    assert (done.returncode, done.stdout) == (1, A + "\n")
    assert done.stderr.splitlines()[-1] == "error: job_id holds a newline"
    assert len(api.asked) == 2


def test_what_is_watched_and_was_to_be_waited_for_is_told_when_the_next_is_refused(
    api: ScriptedApi, relay: Cli
) -> None:
    api.on("POST", "/v1/watches", (201, watch_document(A, "queued")), (422, problem(422, "no such model")))

    done = relay.process("add", "getimg", "req-1", "req-2", "--wait")

    assert (done.returncode, done.stdout) == (1, f"{A}\n")
    assert done.stderr.endswith("error: no such model\n")


def test_adding_with_json_prints_the_watch(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/watches", (200, watch_document(A, "completed")))

    assert json.loads(relay("add", "getimg", "req-1", "--json").stdout) == watch_document(A, "completed")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "getimg", "x", "--param", "novalue"),
        ("add", "getimg", "x", "--metadata", "=v"),
        ("add", "getimg", "x", "--timeout", "1m"),
        ("add", "getimg", "x", "--wait", "--timeout", "soon"),
        ("add", "getimg"),
        ("wait", A, "--timeout", "5"),
        ("wait", A, "--any", "--all"),
        ("ls", "--limit", "0"),
        ("ls", "--limit", "5", "--all"),
        ("ls", "--limit", "5", "--all", "--watch"),
        ("deliveries", "--limit", "5", "--all"),
        ("--token", "a", "--token-file", "b", "ls"),
        ("--token", "a b", "ls"),
        ("--token-file", "/nonexistent/token", "ls"),
        ("--token-file", os.devnull, "ls"),
    ],
    ids=" ".join,
)
def test_a_wrong_use_asks_nothing(api: ScriptedApi, relay: Cli, arguments: tuple[str, ...]) -> None:
    assert isinstance(relay(*arguments).exception, click.UsageError)
    assert api.asked == []


@pytest.mark.parametrize("command", [("add", "getimg"), ("wait",), ("rm",), ("deliveries", "resend")], ids=" ".join)
def test_an_empty_standard_input_is_nothing_matched(api: ScriptedApi, relay: Cli, command: tuple[str, ...]) -> None:
    assert isinstance(relay(*command, "-").exception, NothingMatched)
    assert api.asked == []


# ls and show


def test_ls_passes_every_filter_on(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "failed")))

    relay(
        "ls", "--status", "failed", "--status", "expired", "--provider", "getimg", "--since", "1h", "--metadata", "k=v"
    )

    assert api.asked[0].query == {
        "status": ["failed", "expired"],
        "provider": ["getimg"],
        "since": ["1h"],
        "metadata.k": ["v"],
        "limit": ["200"],
    }


def test_ls_follows_the_pages_up_to_its_limit(api: ScriptedApi, relay: Cli) -> None:
    first = page(*[watch_document(A, "queued")] * 200, then="cursor-1")
    api.on("GET", "/v1/watches", first, page(watch_document(B, "queued"), then="cursor-2"))

    done = relay("ls", "--limit", "201")

    assert [(asked.query["limit"], asked.query.get("cursor")) for asked in api.asked] == [
        (["200"], None),
        (["1"], ["cursor-1"]),
    ]
    assert len(done.stdout.splitlines()) == 201


LISTS = pytest.mark.parametrize(
    ("command", "path", "item"),
    [("ls", "/v1/watches", partial(watch_document, status="queued")), ("deliveries", "/v1/deliveries", delivery)],
    ids=["ls", "deliveries"],
)


@LISTS
@pytest.mark.parametrize("options", [(), ("--json",), ("--all",)], ids=" ".join)
def test_a_program_gets_a_list_to_its_end(
    api: ScriptedApi, relay: Cli, command: str, path: str, item: Callable[[str], Any], options: tuple[str, ...]
) -> None:
    api.on("GET", path, page(*[item(A)] * 200, then="c"), page(item(B)))

    done = relay(command, *options)

    lines = done.stdout.splitlines()
    assert (len(lines), A in lines[0], B in lines[-1], done.stderr) == (201, True, True, "")
    assert [asked.query.get("cursor") for asked in api.asked] == [None, ["c"]]


@LISTS
def test_a_list_is_printed_page_by_page(
    api: ScriptedApi, relay: Cli, command: str, path: str, item: Callable[[str], Any]
) -> None:
    api.on("GET", path, page(item(A), then="c"), (503, problem(503, "the database fails")))

    done = relay.process(command)

    assert (done.returncode, done.stdout.count("\n")) == (1, 1)


@LISTS
def test_a_person_gets_a_screenful_and_is_told_that_there_is_more(
    api: ScriptedApi, relay: Cli, command: str, path: str, item: Callable[[str], Any]
) -> None:
    api.on("GET", path, page(*[item(C)] * 51, then="c"), page(*[item(C)] * 51), page(*[item(C)] * 3))

    screen, whole, few = (on_a_terminal(relay, command, *more, err=True) for more in ((), ("--all",), ()))

    assert [asked.query["limit"] for asked in api.asked] == [["51"], ["200"], ["51"]]
    assert screen.count(C) == 50
    assert screen.endswith("there are more than these 50: --all shows them\r\n")
    assert (whole.count(C), few.count(C)) == (51, 3)
    assert "more" not in whole + few


def test_programs_get_tabs_absolute_times_and_no_header(api: ScriptedApi, relay: Cli) -> None:
    expected = {"likely": "2026-11-21T10:00:50.000Z", "earliest": "x", "latest": "x", "jobs": 7}
    watch = watch_document(A, "running", next_poll_at="2026-11-21T10:00:09.000Z", eta=expected)
    api.on("GET", "/v1/watches", page(watch))

    assert relay("ls").stdout == (
        f"{A}\tgetimg\treq-1\trunning\t2026-11-21T10:00:00.000Z\t2026-11-21T10:00:09.000Z\t3"
        "\t2026-11-21T10:00:50.000Z\n"
    )


def test_explain_prints_the_sentences_or_all_that_is_behind_them(api: ScriptedApi, relay: Cli) -> None:
    told = {"id": A, "sentences": ["It runs.", "Nobody\x1b[2J will be told."], "eta": None}
    api.on("GET", f"/v1/watches/{A}/explanation", (200, told), (200, told))

    assert relay("explain", A).stdout == "It runs.\nNobody[2J will be told.\n"
    assert json.loads(relay("explain", A, "--json").stdout) == told


def on_a_terminal(relay: Cli, *arguments: str, err: bool = False, code: int = 0, **env: str) -> str:
    """Return what a terminal of 160 columns is sent, with what is said beside the data where `err`."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", *arguments],
        env={**os.environ, "RELAY_URL": relay.api.url, "TERM": "xterm-256color", "COLUMNS": "160", **env},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave if err else subprocess.DEVNULL,
    )
    os.close(slave)
    sent = b""
    try:
        while chunk := os.read(master, 65536):
            sent += chunk
    except OSError:
        pass  # the other end is closed: Linux says EIO
    finally:
        os.close(master)
        assert process.wait(timeout=30) == code
    return sent.decode()


def test_a_terminal_gets_a_table_with_relative_times_and_colour(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "failed", watched_at="2001-01-01T00:00:00.000Z")))

    shown = on_a_terminal(relay, "ls")

    header, row = shown.splitlines()
    words = re.sub(r"\x1b\[[0-9;]*m", "", header).split()
    assert words == ["ID", "PROVIDER", "JOB", "STATUS", "AGE", "NEXT", "LOOK", "POLLS", "LIKELY", "DONE"]
    assert " ago" in row
    assert "\x1b[31mfailed" in row


def test_a_terminal_is_told_that_there_are_no_destinations(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/destinations", (200, {"items": [], "callback_hosts": []}))

    assert on_a_terminal(relay, "destinations", err=True) == "there is nothing yet\r\n"


def test_no_color_is_respected(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "failed")))

    assert "\x1b[31m" not in on_a_terminal(relay, "ls", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(relay, "doctor", code=1, NO_COLOR="1")


def test_what_a_provider_wrote_cannot_drive_a_terminal(api: ScriptedApi, relay: Cli) -> None:
    evil = "req\x1b]0;owned\x07\x9b2J\u202e\nstatus            completed"
    ended = watch_document(A, "failed", job_id=evil, error={"code": "x", "message": evil, "user_message": None})
    api.on("GET", "/v1/watches", page(ended))
    api.on("GET", f"/v1/watches/{A}", (200, ended))
    api.on("GET", "/v1/deliveries", page())

    for shown in (relay("ls").stdout, relay("ls", "--json").stdout, relay("show", A).stdout, relay("wait", A).stdout):
        assert "failed" in shown
        assert not set(shown) & set("\x1b\x07\x9b\u202e")
        assert not any(line.startswith("status            completed") for line in shown.splitlines())


@pytest.mark.parametrize(("filters", "code"), [((), 0), (("--status", "failed"), 3), (("--since", "1h"), 3)])
def test_a_filter_that_matches_nothing_is_3(api: ScriptedApi, relay: Cli, filters: tuple[str, ...], code: int) -> None:
    api.on("GET", "/v1/watches", page())

    done = relay("ls", *filters)

    assert (done.return_value, done.stdout) == (code, "")
    assert relay("ls", *filters, "--json").return_value == code


def test_a_whole_id_is_taken_at_its_word_and_shown_with_its_deliveries(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", f"/v1/watches/{A}", (200, watch_document(A, "completed", outputs=[
        {"url": "https://x/" + "s" * 3000, "expires_at": None}
    ])))  # fmt: skip
    api.on("GET", "/v1/deliveries", page(delivery("dlv_1")))

    done = relay("show", A)

    assert [(asked.path, asked.query.get("watch")) for asked in api.asked] == [
        (f"/v1/watches/{A}", None),
        ("/v1/deliveries", [A]),
    ]
    assert "https://x/" + "s" * 3000 in done.stdout
    assert "dlv_1 to callback: exhausted, 2 attempts" in done.stdout
    assert json.loads(relay("show", A, "--json").stdout)["deliveries"] == [delivery("dlv_1")]


def test_keys_of_metadata_are_shown_as_they_are_but_for_what_a_terminal_would_obey(
    api: ScriptedApi, relay: Cli
) -> None:
    long = "k" * 40
    metadata = {"customer_id": "42", "\u009b31mRED\u009b0m\u202e": "x", long: "value"}
    api.on("GET", f"/v1/watches/{A}", (200, watch_document(A, "running", metadata=metadata)))
    api.on("GET", "/v1/deliveries", page())

    lines = relay("show", A).stdout.splitlines()

    assert [line.split() for line in lines if line.startswith("metadata")] == [
        ["metadata.customer_id", "42"],
        ["metadata.31mRED0m", "x"],
        [f"metadata.{long}", "value"],
    ]
    assert f"{'job id':<18}req-1" in lines


def test_everyone_who_is_told_is_shown(api: ScriptedApi, relay: Cli) -> None:
    urls = ["https://shop.example/one", "https://shop.example/two"]
    shown = watch_document(A, "running", callback_url=urls[0], callback_urls=urls, destinations=["ops"])
    api.on("GET", f"/v1/watches/{A}", (200, shown))
    api.on("GET", "/v1/deliveries", page())

    told = relay("show", A).stdout

    assert re.findall(r"callback url +(\S+)", told) == urls
    assert re.findall(r"destination +(\S+)", told) == ["ops"]


def test_the_beginning_of_an_id_is_enough(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "running")))
    api.watch(A, "completed")
    api.on("GET", "/v1/deliveries", page())

    assert relay("show", "wat_aaa").return_value == 0
    assert api.asked[0].query == {"id_prefix": ["wat_aaa"], "limit": ["2"]}


def test_a_beginning_of_several_ids_is_a_wrong_use_and_of_none_is_3(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "running"), watch_document(B, "running")), page())

    several, none = relay.process("show", "wat_"), relay.process("show", "wat_zzz")

    assert (several.returncode, "several ids" in several.stderr) == (2, True)
    assert (none.returncode, none.stderr) == (3, 'error: no watch "wat_zzz"\n')


@pytest.mark.parametrize("command", [["show"], ["explain"], ["poll"], ["rm"], ["wait"], ["deliveries", "--watch"]])
@pytest.mark.parametrize("reference", ["req-01", "a/b", ""])
def test_what_can_be_no_watch_is_answered_with_how_to_name_one(
    api: ScriptedApi, relay: Cli, command: list[str], reference: str
) -> None:
    done = relay.process(*command, reference)

    assert (done.returncode, api.asked) == (3, [])
    assert done.stderr == f'error: no watch "{reference}": name it by its id, wat_..., or as provider:job_id\n'


@pytest.mark.parametrize("command", ["show", "resend", "drop"])
def test_what_can_be_no_delivery_is_answered_with_how_to_name_one(api: ScriptedApi, relay: Cli, command: str) -> None:
    done = relay.process("deliveries", command, "req-01")

    assert (done.returncode, api.asked) == (3, [])
    assert done.stderr == 'error: no delivery "req-01": its id is dlv_...\n'


# rm, poll and deliveries


def test_an_id_that_is_gone_does_not_keep_the_others(api: ScriptedApi, relay: Cli) -> None:
    api.on("DELETE", f"/v1/watches/{A}", (204, None))
    api.on("DELETE", f"/v1/watches/{C}", (204, None))

    done = relay("rm", A, B, C)

    assert done.return_value == 3
    assert [asked.path[-1] for asked in api.asked] == ["a", "b", "c"]
    assert f"error: nothing at /v1/watches/{B}" in done.stderr


@pytest.mark.parametrize("last", [(202, watch_document(C, "running")), (404, problem(404, "no watch"))])
def test_an_id_whose_state_forbids_it_is_named_and_does_not_keep_the_others(
    api: ScriptedApi, relay: Cli, last: tuple[int, object]
) -> None:
    for watch_id, answer in ((A, (202, watch_document(A, "running"))), (B, (409, problem(409, "it has ended")))):
        api.on("POST", f"/v1/watches/{watch_id}/poll", answer)
    api.on("POST", f"/v1/watches/{C}/poll", last)

    done = relay("poll", A, B, C)

    assert done.return_value == 1
    assert len(api.asked) == 3
    assert f"error: {B}: it has ended\n" in done.stderr


def test_rm_stops_at_a_refusal(api: ScriptedApi, relay: Cli) -> None:
    api.on("DELETE", f"/v1/watches/{A}", (403, problem(403, "the token lacks a scope")))

    assert relay.process("rm", A, B).returncode == 4
    assert len(api.asked) == 1


def test_what_only_leads_elsewhere_has_forgotten_nothing(api: ScriptedApi, relay: Cli) -> None:
    api.on("DELETE", f"/v1/watches/{A}", (308, None))

    done = relay.process("rm", A)

    assert done.returncode == 69
    assert "is forgotten" not in done.stderr


def test_poll_looks_at_each(api: ScriptedApi, relay: Cli) -> None:
    for watch_id in (A, B):
        api.on("POST", f"/v1/watches/{watch_id}/poll", (202, watch_document(watch_id, "running")))

    assert relay("poll", "-", stdin=f"{A}\n{B}\n").return_value == 0
    assert [asked.path for asked in api.asked] == [f"/v1/watches/{A}/poll", f"/v1/watches/{B}/poll"]


@pytest.mark.parametrize("command", [("deliveries",), ("deliveries", "ls")], ids=" ".join)
def test_deliveries_are_listed_with_and_without_ls(api: ScriptedApi, relay: Cli, command: tuple[str, ...]) -> None:
    api.on("GET", "/v1/watches/getimg:req-1", (200, watch_document(A, "completed")))
    api.on("GET", "/v1/deliveries", page(delivery("dlv_1")))

    done = relay(*command, "--state", "exhausted", "--state", "held", "--watch", "getimg:req-1")

    assert api.asked[-1].query == {"state": ["exhausted", "held"], "watch": [A], "limit": ["200"]}
    assert done.stdout == f"dlv_1\tjob.completed\t{A}\tcallback\texhausted\t2\t\tHTTP 410\n"
    assert json.loads(relay(*command, "--json").stdout) == delivery("dlv_1")


def test_a_delivery_is_shown_with_its_attempts(api: ScriptedApi, relay: Cli) -> None:
    attempt = {
        "number": 1,
        "trigger": "scheduled",
        "started_at": "2026-11-21T10:00:01.000Z",
        "duration_s": 0.25,
        "status": 410,
        "verdict": "refused",
        "reason": "HTTP 410",
        "response": "gone\x1b[31m",
    }
    api.on("GET", "/v1/deliveries/dlv_1", (200, delivery("dlv_1", attempts=[attempt])))

    done = relay("deliveries", "show", "dlv_1")

    assert done.stdout.splitlines()[-1] == "1 scheduled\t2026-11-21T10:00:01.000Z\t0.25s\t410\trefused\tHTTP 410"
    assert json.loads(relay("deliveries", "show", "dlv_1", "--json").stdout)["attempts"] == [attempt]


def test_a_resend_of_many_says_which_and_how_many(api: ScriptedApi, relay: Cli) -> None:
    told = {"deliveries": 3, "dry_run": True, "last_at": "2026-11-21T10:00:01.000Z"}
    api.on("POST", "/v1/deliveries/resend", (200, told))

    done = relay.process("deliveries", "resend", "--since", "2h", "--state", "exhausted", "--type", "a", "--dry-run")

    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "would be sent again\n")
    assert api.asked[0].body == {
        "state": ["exhausted"],
        "since": "2h",
        "type": ["a"],
        "dry_run": True,
    }


def test_a_resend_of_none_that_match_is_told_by_the_exit_code(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/deliveries/resend", (202, {"deliveries": 0, "dry_run": False, "last_at": None}))

    assert relay("deliveries", "resend", "--destination", "ops").return_value == 3


@pytest.mark.parametrize("arguments", [("dlv_1", "--since", "2h"), ("dlv_1", "--dry-run"), ("--rate", "5/s")])
def test_a_resend_is_of_those_named_or_of_those_that_match(relay: Cli, arguments: tuple[str, ...]) -> None:
    assert relay.process("deliveries", "resend", *arguments).returncode == 2


def test_a_destination_is_enabled_again(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/destinations/ops/enable", (200, {"enabled": True}))

    done = relay.process("destinations", "enable", "ops")

    assert (done.returncode, done.stderr) == (0, "ops: is tried again now\n")


def test_a_resend_names_each_delivery(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/deliveries/dlv_1/resend", (202, delivery("dlv_1", state="pending")))

    assert relay("deliveries", "resend", "dlv_1", "dlv_2").return_value == 3
    assert [asked.path for asked in api.asked] == ["/v1/deliveries/dlv_1/resend", "/v1/deliveries/dlv_2/resend"]


def test_a_condition_of_a_resend_that_is_empty_is_not_left_out(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/deliveries/resend", (422, problem(422, "destination is too short")))

    empty_watch = relay.process("deliveries", "resend", "--since", "2h", "--watch", "")
    empty_destination = relay.process("deliveries", "resend", "--since", "2h", "--destination", "")

    assert (empty_watch.returncode, empty_destination.returncode) == (3, 1)
    assert [asked.body["destination"] for asked in api.asked] == [""]


def test_a_drop_names_each_delivery(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/deliveries/dlv_1/drop", (200, delivery("dlv_1", state="dropped")))

    assert relay("deliveries", "drop", "dlv_1", "dlv_2").return_value == 3
    assert [asked.path for asked in api.asked] == ["/v1/deliveries/dlv_1/drop", "/v1/deliveries/dlv_2/drop"]


def test_a_delivery_that_arrived_before_it_was_dropped_is_told_as_that(api: ScriptedApi, relay: Cli) -> None:
    api.on("POST", "/v1/deliveries/dlv_1/drop", (200, delivery("dlv_1", state="delivered")))
    api.on("POST", "/v1/deliveries/dlv_2/drop", (200, delivery("dlv_2", state="dropped")))

    done = relay.process("deliveries", "drop", "dlv_1", "dlv_2")

    assert done.returncode == 0
    assert done.stderr == "dlv_1 was delivered already, and stays so\ndlv_2 is given up\n"


def test_an_id_with_a_path_in_it_stays_an_id(api: ScriptedApi, relay: Cli) -> None:
    assert relay.process("deliveries", "show", "dlv_ 1/resend").returncode == 3
    assert api.asked[0].path == "/v1/deliveries/dlv_ 1/resend"


@pytest.mark.parametrize(
    ("told", "code", "out", "err"),
    [
        ({"delivered": True, "reason": None}, 0, "the ops: delivered\n", ""),
        ({"delivered": False, "reason": "no\x1b route"}, 1, "", "error: the ops: not delivered: no route\n"),
    ],
)
def test_a_destination_is_tried(
    api: ScriptedApi, relay: Cli, told: dict[str, object], code: int, out: str, err: str
) -> None:
    api.on("POST", "/v1/destinations/the ops/test", (200, told))

    done = relay("destinations", "test", "the ops")

    assert (done.return_value, done.stdout, done.stderr) == (code, out, err)


def test_a_trial_is_waited_for_longer_than_the_daemon_waits(
    api: ScriptedApi, relay: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, timeouts = client.connection_to, []
    monkeypatch.setattr(
        client, "connection_to", lambda url, timeout_s: timeouts.append(timeout_s) or connect(url, timeout_s)
    )
    api.on("POST", "/v1/destinations/ops/test", (200, {"delivered": False, "reason": "no answer in time"}))

    assert relay("destinations", "test", "ops").return_value == 1
    assert timeouts[0] > ATTEMPT_TIMEOUT_S + 5


# who asks, and what answers


def test_the_token_comes_from_the_option_the_file_or_the_environment(
    api: ScriptedApi, relay: Cli, tmp_path: Path
) -> None:
    api.on("GET", "/v1/watches", page())
    (tmp_path / "token").write_text("rly_file\n")

    relay("ls")
    relay("ls", RELAY_TOKEN="rly_env")
    relay("--token-file", str(tmp_path / "token"), "ls", RELAY_TOKEN="rly_env")
    relay("--token", "rly_option", "ls", RELAY_TOKEN="rly_env")

    assert [asked.authorization for asked in api.asked] == [
        None,
        "Bearer rly_env",
        "Bearer rly_file",
        "Bearer rly_option",
    ]


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ((401, problem(401, "send a token")), 4, "error: send a token\nhint: give a token: RELAY_TOKEN"),
        ((403, problem(403, "the token lacks a scope")), 4, "error: the token lacks a scope\n"),
        ((422, problem(422, "status is none of")), 1, "error: status is none of\n"),
        ((500, {}), 1, "error: HTTP 500\n"),
        ((503, problem(503, "the disk is full")), 1, "error: the disk is full\n"),
        ((422, problem(422, "evil\x1b[2J\nhint: rm")), 1, "error: evil[2J hint: rm\n"),
        ((502, b"<html>Bad Gateway"), 69, "is not relay"),
        ((200, b"<html>Hello"), 69, "is not relay"),
        ((200, {"hello": 1}), 69, "is not relay"),
        ((200, [1]), 69, "is not relay"),
        ((404, [1]), 69, "is not relay"),
        ((308, None), 69, "is not relay"),
        ((308, {"hello": 1}), 69, "is not relay"),
    ],
)
def test_each_refusal_is_a_sentence_and_a_code(
    api: ScriptedApi, relay: Cli, answer: tuple[int, object], code: int, said: str
) -> None:
    api.on("GET", "/v1/watches", answer)

    done = relay.process("ls")

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


@pytest.mark.parametrize(("http", "word", "code"), [(200, "ready", 0), (503, "failing", 1)])
def test_status_tells_every_check(api: ScriptedApi, relay: Cli, http: int, word: str, code: int) -> None:
    checks = {"store": {"ok": http == 200, "detail": None if http == 200 else "the disk\x1b is full"}}
    api.on("GET", "/readyz", (http, {"status": word, "checks": checks}))

    done = relay("status")

    assert done.return_value == code
    assert done.stdout == f"{word}\n  {'store':<20}{'ok' if http == 200 else 'the disk is full'}\n"
    assert json.loads(relay("status", "--json").stdout)["checks"] == checks


@pytest.mark.parametrize(
    ("http", "said"), [(401, "no more without a token that may read: no\n"), (500, "no more: no\n")]
)
def test_status_tells_why_it_is_not_told_more(api: ScriptedApi, relay: Cli, http: int, said: str) -> None:
    api.on("GET", "/readyz", (200, {"status": "ready", "checks": {}}))
    api.on("GET", "/v1/status", (http, problem(http, "no")))

    done = relay("status")

    assert (done.return_value, done.stdout, done.stderr) == (0, "ready\n", said)


def test_a_reader_that_has_seen_enough_ends_the_list_quietly(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(*[watch_document(A, "queued", model="m" * 900)] * 200, then="c"))
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "ls", "--all", "--json"],
        env={**os.environ, "RELAY_URL": api.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 1


def test_a_token_that_is_to_be_revoked_is_not_told_to_the_log_of_a_terminal(api: ScriptedApi, relay: Cli) -> None:
    token = "rly_Xk3vTq0a" + "s" * 35
    shown = {"id": token[:12], "name": "shop", "scopes": ["read"], "revoked_at": None}
    api.on("GET", "/v1/tokens", (200, {"items": [shown]}))

    done = relay.process("token", "revoke", token)

    assert done.returncode == 2
    assert "name it by its id, rly_Xk3vTq0a\n" in done.stderr
    assert "sss" not in done.stderr
    assert [asked.method for asked in api.asked] == ["GET"]


def in_a_shell(relay: Cli, line: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of a shell in which `relay` is the command line."""
    script = f'relay() {{ "{sys.executable}" -m relay "$@"; }}\n{line}'
    env = {**os.environ, "RELAY_URL": relay.api.url, **env}
    return subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("relay ls --json > /dev/full", "No space left on device"),
        ("relay --help > /dev/full", "No space left on device"),
        ("relay ls >&-", "Bad file descriptor"),
        ("relay --version >&-", "Bad file descriptor"),
        ("relay rm - <&-", "Bad file descriptor"),
    ],
)
def test_a_stream_that_cannot_be_used_is_a_sentence(api: ScriptedApi, relay: Cli, line: str, said: str) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "queued")))

    done = in_a_shell(relay, line)

    assert (done.returncode, done.stderr) == (1, f"error: input or output failed: {said}\n")


@pytest.mark.parametrize("line", ["relay ls 2>/dev/full", "relay ls 2>&-"])
def test_where_nothing_can_be_said_the_exit_code_tells(relay: Cli, line: str) -> None:
    assert in_a_shell(relay, line, RELAY_URL="http://127.0.0.1:9").returncode == 69


@pytest.mark.parametrize(
    "line",
    [
        "relay show \"$(printf 'acme:\\377')\"",
        "relay ls --provider \"$(printf '\\377')\"",
        "relay add getimg \"$(printf '\\377')\"",
        "printf '\\377' | PYTHONUTF8=0 PYTHONIOENCODING=utf-8 relay rm -",
    ],
)
def test_what_is_no_text_is_a_wrong_use(relay: Cli, line: str) -> None:
    done = in_a_shell(relay, line)

    assert (done.returncode, done.stderr) == (2, "error: an argument, or what was read, is no text in UTF-8\n")


def test_what_a_terminal_cannot_show_is_escaped(api: ScriptedApi, relay: Cli) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "queued", job_id="→ 猫")))

    done = in_a_shell(relay, "relay ls", PYTHONIOENCODING="latin-1")

    assert done.returncode == 0
    assert "\\u2192 \\u732b" in done.stdout


def test_only_a_daemon_that_is_not_there_is_to_be_started(api: ScriptedApi, relay: Cli, tmp_path: Path) -> None:
    """One that hangs up, and what is not relay, are there."""
    api.on("GET", "/readyz", DROPPED)
    api.on("GET", "/v1/watches", (200, [1]))
    hint = "hint: start it with: relay serve --config FILE\n"

    there = [relay.process("status"), relay.process("ls")]
    absent = [relay.process("--url", url, "ls") for url in ("http://127.0.0.1:9", f"unix:{tmp_path}/relay.sock")]

    assert [(done.returncode, hint in done.stderr) for done in (*there, *absent)] == [(69, False)] * 2 + [
        (69, True)
    ] * 2


def test_a_name_that_no_resolver_takes_is_unreachable(relay: Cli) -> None:
    done = relay.process("--url", f"http://{'a' * 70}.example", "ls")

    assert (done.returncode, "no relay answers" in done.stderr) == (69, True)
