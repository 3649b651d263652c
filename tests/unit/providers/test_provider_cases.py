"""Every preset against recorded bodies, one folder per case.

A case is `case.toml` (what was asked, and the whole of what is expected) beside
`body.*`, the answer, and `second.*`, the answer to the second request of a
two-step success.  Instants in a case are TOML dates; `raw` is expected to be
the last JSON body, verbatim, for every end.
"""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from relay.core.http import Request, Response
from relay.core.observation import Answer, Cost, Job, JobError, Observation, Output, Status, Trouble, TroubleKind
from relay.providers import DeclaredProvider, load_preset, preset_names

CASES = Path(__file__).parent / "cases"
NOW = 1_800_000_000.0
SECRETS = {"api_key": "secret-of-test", "access_key": "access-of-test", "secret_key": "signing-of-test"}


@dataclass(frozen=True)
class Case:
    folder: Path
    told: dict[str, Any]

    @property
    def provider(self) -> DeclaredProvider:
        preset = self.folder.parent.name
        return DeclaredProvider(load_preset(preset), preset, self.told.get("base_url"))

    @property
    def job(self) -> Job:
        return self.provider.check(Job(self.told.get("job", "job-1"), self.told.get("params", {})))

    def answer(self, stem: str, prefix: str = "") -> Response:
        headers = {"content-type": "application/json"} | self.told.get(f"{prefix}headers", {})
        return Response(
            self.told.get(f"{prefix}http", 200),
            headers,
            self.bytes_of(stem),
            complete=self.told.get("complete", True),
        )

    def bytes_of(self, stem: str) -> bytes:
        return next((path.read_bytes() for path in self.folder.glob(f"{stem}.*")), b"")

    @property
    def raw(self) -> str | None:
        last = next((path for stem in ("second", "body") for path in self.folder.glob(f"{stem}.*")), None)
        return last.read_text(errors="replace") if last is not None and last.suffix == ".json" else None

    @property
    def expected(self) -> Answer:
        expect = {key: _plain(value) for key, value in self.told["expect"].items()}
        if "trouble" in expect:
            return Trouble(TroubleKind(expect["trouble"]), expect["detail"], expect.get("retry_after_s"))
        status = Status(expect.pop("status"))
        return Observation(
            status=status,
            outputs=tuple(Output(**output) for output in expect.pop("outputs", [])),
            error=JobError(**error) if (error := expect.pop("error", None)) is not None else None,
            cost=Cost(**cost) if (cost := expect.pop("cost", None)) is not None else None,
            raw=self.raw if status.terminal else None,
            **expect,
        )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _cases() -> list[Case]:
    return [Case(path.parent, tomllib.loads(path.read_text())) for path in sorted(CASES.glob("*/*/case.toml"))]


def _name(case: Case) -> str:
    return f"{case.folder.parent.name}/{case.folder.name}"


@pytest.mark.parametrize("case", _cases(), ids=_name)
def test_a_recorded_answer_means_what_its_documents_say(case: Case) -> None:
    """The whole observation or trouble is compared, not a part of it."""
    answers = [case.answer("body")]

    meaning = case.provider.interpret(case.job, answers, SECRETS, NOW)

    if "then" in case.told:
        assert isinstance(meaning, Request)
        assert meaning.url == case.told["then"]
        if "expect" not in case.told:
            return
        meaning = case.provider.interpret(case.job, [*answers, case.answer("second", "second_")], SECRETS, NOW)
    assert meaning == case.expected


def test_every_preset_has_cases_that_complete_and_that_fail() -> None:
    """A preset without a way to fail, or to be done, would be a guess."""
    reached: dict[str, set[str]] = {name: set() for name in preset_names()}
    for case in _cases():
        reached[case.folder.parent.name].add(case.told.get("expect", {}).get("status", "trouble"))

    lacking = {name: seen for name, seen in reached.items() if not {"completed", "failed", "trouble"} <= seen}
    assert lacking == {}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_names_its_documents(name: str) -> None:
    """Whoever doubts a preset can read what it was made from."""
    documents = load_preset(name).documents
    assert documents
    assert all(document.startswith("https://") for document in documents)
