"""The auditor of `make torture` notices each broken promise, and takes nothing else for one."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from bench.torture.audit import audit, untold
from bench.torture.records import Aim, Arrival, Job, Kill, Limit, Place, Poll, Records, Reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_795_255_200.0


def arrival(at: float, *, name: str = "dlv_1", status: str = "completed", reply: Reply = Reply.TAKEN) -> Arrival:
    """Return a callback as it should be; the key is that of Standard Webhooks' test vectors."""
    data = {"job_id": "job", "status": status, "provider": "getimg", "watch_id": "wat_1"}
    body = json.dumps({"type": f"job.{status}", "data": data}).encode()
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    mac = hmac.new(key, f"{name}.{at:.0f}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": name,
        "webhook-timestamp": f"{at:.0f}",
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
    return Arrival(at, headers, body, reply)


def records(*arrivals: Arrival, polls: tuple[Poll, ...] = (), kills: tuple[float, ...] = ()) -> Records:
    return Records(
        jobs={"job": Job("getimg", "job", "completed")},
        accepted={"job": "wat_1"},
        polls=list(polls),
        arrivals=list(arrivals),
        kills=[Kill(at, Aim.SEND) for at in kills],
        limits={"getimg": Limit(2, 1.0)},
    )


def faults(seen: Records) -> set[str]:
    return set(audit(seen, SECRET).faults)


def test_a_job_that_was_told_once_as_it_ended_is_no_fault() -> None:
    polls = (Poll("job", NOW - 2, ended=False), Poll("job", NOW - 1, ended=True))
    failed = arrival(NOW, reply=Reply.FAILED)

    assert faults(records(failed, arrival(NOW + 1), polls=polls)) == set()


@pytest.mark.parametrize("reply", [Reply.FAILED, Reply.BUSY, Reply.LIMITED, Reply.RESET, Reply.SILENCE])
def test_a_job_that_no_receiver_has_taken_is_lost(reply: Reply) -> None:
    assert faults(records()) == {"lost"}
    assert faults(records(arrival(NOW, reply=reply))) == {"lost"}


def test_another_outcome_than_the_providers_is_wrong() -> None:
    assert faults(records(arrival(NOW, status="failed"))) == {"told the wrong outcome"}


def test_the_same_job_under_two_ids_or_with_two_bodies_is_two_things() -> None:
    other_id = records(arrival(NOW), arrival(NOW + 9, name="dlv_2"), kills=(NOW + 5,))
    other_body = records(arrival(NOW), arrival(NOW + 9, status="failed"), kills=(NOW + 5,))

    assert faults(other_id) == faults(other_body) == {"told as different things"}


def test_a_duplicate_is_counted_for_the_kill_before_it_and_without_one_is_a_fault() -> None:
    explained = audit(records(arrival(NOW), arrival(NOW + 9), kills=(NOW + 5, NOW + 7)), SECRET)

    assert not explained.faults
    assert explained.duplicates == {Aim.SEND: 1}
    assert faults(records(arrival(NOW), arrival(NOW + 9))) == {"sent again although it had been taken"}
    assert faults(records(arrival(NOW), arrival(NOW + 9), kills=(NOW - 5, NOW + 10))) == {
        "sent again although it had been taken"
    }


def test_a_signature_must_fit_the_body_the_id_and_the_time() -> None:
    sound = arrival(NOW)
    for wrong in (
        replace(sound, body=sound.body + b" "),
        replace(sound, headers={**sound.headers, "webhook-id": "dlv_2"}),
        replace(sound, headers={**sound.headers, "webhook-timestamp": f"{NOW + 1:.0f}"}),
        replace(sound, at=NOW + 61),
        replace(sound, headers={}),
    ):
        assert faults(records(wrong)) == {"not signed as it should be"}


def test_a_poll_after_the_end_was_told_needs_a_kill_that_may_have_lost_the_answer() -> None:
    told, again = Poll("job", NOW, ended=True), Poll("job", NOW + 9, ended=True)
    arrived = arrival(NOW + 20)

    assert faults(records(arrived, polls=(told, again))) == {"polled after its end"}
    assert faults(records(arrived, polls=(told, again), kills=(NOW + 7,))) == {"polled after its end"}
    allowed = audit(records(arrived, polls=(told, again), kills=(NOW + 1,)), SECRET)
    assert not allowed.faults
    assert allowed.repeated_ends == {Aim.SEND: 1}


def test_a_poll_after_the_outcome_was_sent_is_a_fault_whatever_was_killed() -> None:
    late = Poll("job", NOW + 3, ended=True)

    assert faults(records(arrival(NOW), polls=(late,), kills=(NOW + 1,))) == {"polled after its outcome was sent"}


def test_more_polls_than_the_limit_in_any_window_are_a_fault() -> None:
    polls = [Poll("job", NOW - 9 + at, ended=False) for at in (0.0, 0.7, 1.1, 1.5)]

    assert faults(records(arrival(NOW), polls=tuple(polls[:3]))) == set()
    assert faults(records(arrival(NOW), polls=tuple(polls))) == {"polled faster than the limit"}


def test_a_destination_that_every_job_goes_to_is_owed_each_of_them_under_an_id_of_its_own() -> None:
    seen = records(arrival(NOW), replace(arrival(NOW, name="dlv_2"), place=Place.NAMED))
    seen.callbacks = (Place.CALLBACK, Place.NAMED)

    assert faults(seen) == set()
    assert untold(seen) == 0
    seen.arrivals.pop()
    assert faults(seen) == {"lost"}
    assert untold(seen) == 1


def message(at: float, *lines: str, reply: Reply = Reply.TAKEN) -> Arrival:
    """Return a message to Slack, laid out in blocks."""
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": line}} for line in lines]
    return Arrival(at, {}, json.dumps({"text": lines[0], "blocks": blocks}).encode(), reply, Place.SLACK)


def chatted(*messages: Arrival, jobs: int = 1, kills: tuple[float, ...] = ()) -> Records:
    """Return records of completed jobs that Slack is to be told of, and Discord is not."""
    names = [f"job-{number}" for number in range(1, jobs + 1)]
    return Records(
        jobs={name: Job("getimg", name, "completed", Place.SLACK) for name in names},
        accepted=dict.fromkeys(names, "wat_1"),
        arrivals=list(messages),
        kills=[Kill(at, Aim.TELL) for at in kills],
        callbacks=(),
    )


ONE = ("getimg job completed", "Job: job-1")
MANY = ("4 jobs ended: 4 completed", "getimg job completed · job-1\ngetimg job completed · job-2", "2 more: relay ls")


def test_a_job_that_a_chat_was_told_of_by_name_is_no_fault() -> None:
    assert faults(chatted(message(NOW, *ONE))) == set()


def test_jobs_that_a_message_counts_without_naming_them_are_told_and_no_more_than_those() -> None:
    assert faults(chatted(message(NOW, *MANY), jobs=4)) == set()
    assert untold(chatted(message(NOW, *MANY), jobs=4)) == 0
    assert faults(chatted(message(NOW, *MANY), jobs=5)) == {"lost"}
    assert untold(chatted(message(NOW, *MANY), jobs=5)) == 1


def test_a_job_whose_message_the_chat_refused_is_lost() -> None:
    assert faults(chatted()) == {"lost"}
    assert faults(chatted(message(NOW, *ONE, reply=Reply.BUSY))) == {"lost"}
    assert faults(chatted(message(NOW, *ONE, reply=Reply.BUSY), message(NOW + 1, *ONE))) == set()


def test_a_chat_that_is_told_again_needs_a_kill_in_between() -> None:
    twice = message(NOW, *ONE), message(NOW + 9, *ONE)

    assert faults(chatted(*twice)) == {"sent again although it had been taken"}
    explained = audit(chatted(*twice, kills=(NOW + 5,)), SECRET)
    assert not explained.faults
    assert explained.retold == {Aim.TELL: 1}


def test_a_chat_must_be_told_the_right_outcome_of_its_own_jobs() -> None:
    assert faults(chatted(message(NOW, "getimg job failed", "Job: job-1"))) == {"told the wrong outcome"}
    mixed = "2 jobs ended: 1 completed, 1 failed", "getimg job failed · job-1\ngetimg job completed · job-2"
    assert faults(chatted(message(NOW, *mixed), jobs=2)) == {"told the wrong outcome"}
    others = chatted(replace(message(NOW, *ONE), place=Place.DISCORD))
    assert faults(others) == {"lost", "told a chat of another's job"}
