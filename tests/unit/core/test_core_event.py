"""What destinations are told, to the byte."""

import json

from relay.core import ids
from relay.core.event import Event, greeting_event, outcome_event, overdue_event, provider_event
from relay.core.observation import Cost, Job, JobError, Observation, Output, Status
from relay.core.standing import Footing, Standing
from relay.core.watch import Watch

NOW = 1_795_255_200.123
EXPIRY = 1_777_725_000.0
"""2026-05-02T12:30:00Z."""

WATCH = Watch(
    id="wat_1",
    provider="getimg",
    job=Job("req-01H"),
    status=Status.RUNNING,
    created_at=NOW - 60,
    deadline=NOW + 60,
    next_poll_at=NOW,
    metadata={"order": "42", "næme": "日本"},
    model="seedance",
    polls=6,
)
RAW = '{ "status" : "done",\n "price": 1.10, "name": "日本 \\ud800" }'
FULL = Observation(
    Status.COMPLETED,
    "completed",
    model="seedance-v1-pro",
    outputs=(
        Output(
            "https://cdn.example/a.mp4?sig=é",
            "video/mp4",
            1920,
            1080,
            10,
            24,
            has_audio=True,
            expires_at=1_777_725_000.0,
        ),
        Output("https://cdn.example/b.png"),
    ),
    cost=Cost(5, None, "video_second", 0.5, 10),
    created_at=NOW - 61,
    completed_at=NOW - 1,
    raw=RAW,
)
FULL_BODY = (
    '{"type":"job.completed","timestamp":"2026-11-21T10:00:00.123Z","data":{'
    '"watch_id":"wat_1","provider":"getimg","job_id":"req-01H","status":"completed",'
    '"provider_status":"completed","model":"seedance-v1-pro","outputs":['
    '{"url":"https://cdn.example/a.mp4?sig=é","content_type":"video/mp4","width":1920,"height":1080,'
    '"duration_s":10,"fps":24,"has_audio":true,"size_bytes":null,"expires_at":"2026-05-02T12:30:00.000Z"},'
    '{"url":"https://cdn.example/b.png","content_type":null,"width":null,"height":null,'
    '"duration_s":null,"fps":null,"has_audio":null,"size_bytes":null,"expires_at":null}],'
    '"error":null,'
    '"cost":{"amount":5,"currency":null,"unit":"video_second","unit_price":0.5,"quantity":10},'
    '"created_at":"2026-11-21T09:58:59.123Z","watched_at":"2026-11-21T09:59:00.123Z",'
    '"completed_at":"2026-11-21T09:59:59.123Z","observed_at":"2026-11-21T10:00:00.123Z",'
    '"polls":7,"metadata":{"order":"42","næme":"日本"}}}'
)
MINIMAL_BODY = (
    '{"type":"job.failed","timestamp":"2026-11-21T10:00:00.123Z","data":{'
    '"watch_id":"wat_1","provider":"getimg","job_id":"req-01H","status":"failed",'
    '"provider_status":null,"model":"seedance","outputs":[],'
    '"error":{"code":"nsfw","message":null,"user_message":null,"moderated":true},"cost":null,'
    '"created_at":null,"watched_at":"2026-11-21T09:59:00.123Z","completed_at":null,'
    '"observed_at":"2026-11-21T10:00:00.123Z","polls":7,"metadata":{"order":"42","næme":"日本"}}}'
)


def test_a_full_observation_is_told_in_full() -> None:
    event = outcome_event(WATCH, FULL, NOW)

    assert event.body == FULL_BODY
    assert event.payload(with_raw=False) == FULL_BODY.encode()


def test_what_is_unknown_is_null_but_the_model_of_the_watch_stands_in() -> None:
    seen = Observation(Status.FAILED, error=JobError("nsfw", moderated=True))

    assert outcome_event(WATCH, seen, NOW).body == MINIMAL_BODY


def test_the_providers_body_is_spliced_in_byte_for_byte() -> None:
    payload = outcome_event(WATCH, FULL, NOW).payload(with_raw=True)

    assert payload == FULL_BODY.removesuffix("}}").encode() + b',"raw":' + RAW.encode() + b"}}"
    told = json.loads(payload)
    assert told["data"].pop("raw") == json.loads(RAW)
    assert told == json.loads(FULL_BODY)


def test_a_missing_raw_body_is_null_where_it_is_asked_for() -> None:
    event = outcome_event(WATCH, Observation(Status.FAILED), NOW)

    assert json.loads(event.payload(with_raw=True))["data"]["raw"] is None
    assert "raw" not in event.data


def test_a_thin_payload_names_the_watch_and_how_it_ended_and_no_more() -> None:
    event = outcome_event(WATCH, FULL, NOW)

    assert event.payload(thin=True) == (
        b'{"type":"job.completed","timestamp":"2026-11-21T10:00:00.123Z","data":{'
        b'"watch_id":"wat_1","provider":"getimg","job_id":"req-01H","status":"completed"}}'
    )


def test_an_event_about_no_watch_is_never_thin() -> None:
    """There is nothing by which its receiver could look it up."""
    event = greeting_event("ops", NOW)

    assert event.payload(thin=True) == event.payload()


def test_the_event_keeps_what_it_is_about() -> None:
    event = outcome_event(WATCH, FULL, NOW)

    assert event == Event(
        id=ids.event_id("wat_1", "job.completed"),
        type="job.completed",
        watch_id="wat_1",
        created_at=NOW,
        body=FULL_BODY,
        raw=RAW,
    )
    assert event.data["job_id"] == "req-01H"
    assert RAW not in repr(event)
    assert "cdn.example" not in repr(event)


def test_the_same_outcome_seen_twice_has_one_id_and_another_outcome_another() -> None:
    first = outcome_event(WATCH, FULL, NOW)

    assert outcome_event(WATCH, FULL, NOW + 60).id == first.id
    assert outcome_event(WATCH, Observation(Status.FAILED), NOW).id != first.id


def test_operators_are_told_why_a_credential_does_not_work() -> None:
    standing = Standing(Footing.UNAUTHORIZED, detail="HTTP 401: no such key")

    event = provider_event("getimg", "provider.unauthorized", standing, NOW)

    assert event.body == (
        '{"type":"provider.unauthorized","timestamp":"2026-11-21T10:00:00.123Z","data":{'
        '"provider":"getimg","status":"unauthorized",'
        '"error":{"code":"unauthorized","message":"HTTP 401: no such key"},'
        '"observed_at":"2026-11-21T10:00:00.123Z"}}'
    )
    assert (event.type, event.watch_id, event.created_at, event.raw) == ("provider.unauthorized", None, NOW, None)


def test_operators_are_told_when_it_works_again_each_time_as_an_event_of_its_own() -> None:
    event = provider_event("getimg", "provider.recovered", Standing(), NOW)

    assert event.data == {
        "provider": "getimg",
        "status": "working",
        "error": None,
        "observed_at": "2026-11-21T10:00:00.123Z",
    }
    assert event.id == provider_event("getimg", "provider.recovered", Standing(), NOW).id
    assert event.id != provider_event("getimg", "provider.recovered", Standing(), NOW + 1).id
    assert event.id != provider_event("mine", "provider.recovered", Standing(), NOW).id


def test_a_job_that_runs_unusually_long_is_told_as_it_was_seen_with_what_is_usual() -> None:
    seen = Observation(Status.RUNNING, "in_progress", raw='{"s":1}')

    event = overdue_event(WATCH, seen, 107.25, NOW)

    assert (event.type, event.watch_id, event.raw) == ("job.overdue", "wat_1", '{"s":1}')
    assert event.id == overdue_event(WATCH, seen, 300.0, NOW + 5).id
    assert event.id != outcome_event(WATCH, FULL, NOW).id
    expected = {"status": "running", "usual_s": 107.25, "outputs": [], "error": None, "polls": 7}
    assert expected.items() <= event.data.items()
