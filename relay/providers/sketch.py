"""A first provider file from one sample answer, for its author to finish."""

import json
import re
from collections.abc import Iterator
from typing import Any

from relay.providers.spec import fold

_DEEPEST = 8
_STATUS_KEYS = ("status", "state", "task_status")
_VOCABULARY = {
    "queued": ("queued", "pending", "in_queue", "waiting", "submitted", "created", "starting"),
    "running": ("running", "in_progress", "processing", "generating"),
    "completed": ("completed", "succeeded", "success", "done", "ready", "finished"),
    "failed": ("failed", "error"),
    "cancelled": ("cancelled", "canceled", "aborted"),
    "expired": ("expired",),
}
"""What statuses usually mean; the author strikes out what the documents do not name."""
_ADDRESS = re.compile(r"(https?://|/)\S+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def sketch(body: Any, *, title: str, base_url: str) -> str:
    """Return the text of a provider file that fits a sample body as far as can be seen.

    Raises ValueError where the sample holds nothing that could be a status.
    """
    leaves = list(_leaves(body, "", _DEEPEST))
    status = next(
        (path for key in _STATUS_KEYS for path, value in leaves if _last(path) == key and isinstance(value, str)), None
    )
    if status is None:
        raise ValueError("the sample holds no text under status or state; write [status] by hand")
    lines = [
        f"title = {_quoted(title)}",
        "documents = []  # where the API is described",
        f"base_url = {_quoted(base_url)}",
        'auth = { type = "bearer" }',
        *_first(leaves, "model", "model"),
        "",
        "[poll]",
        'path = "/v1/jobs/{id}"  # the status request',
        "",
        "[status]",
        f"path = {_quoted(status)}",
        *(f"{meaning} = {_quoted(list(words))}" for meaning, words in _VOCABULARY.items()),
        *_unlisted(next(value for path, value in leaves if path == status)),
        *_outputs(leaves),
        "",
        "[error]",
        'code = ["error.code", "code"]',
        'message = ["error.message", "error", "message"]',
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    """Return a text, or a list of texts, as JSON and TOML both write it: TOML has no surrogates."""
    return json.dumps(value, ensure_ascii=False)


def _leaves(value: Any, path: str, levels: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and levels:
        for key, item in value.items():
            step = key if _IDENTIFIER.fullmatch(key) else _quoted(key)
            yield from _leaves(item, f"{path}.{step}" if path else step, levels - 1)
    elif isinstance(value, list) and levels:
        for item in value[:1]:
            yield from _leaves(item, f"{path}[]", levels - 1)
    else:
        yield path, value


def _last(path: str) -> str:
    return path.rpartition(".")[2].removesuffix("[]")


def _first(leaves: list[tuple[str, Any]], key: str, name: str) -> Iterator[str]:
    found = next((path for path, value in leaves if _last(path) == key and isinstance(value, str)), None)
    if found is not None:
        yield f"{name} = {_quoted(found)}"


def _unlisted(literal: str) -> Iterator[str]:
    known = {word for words in _VOCABULARY.values() for word in words}
    if fold(literal) not in known:
        yield f"# The sample says {_quoted(literal)}: put it where it belongs."


def _outputs(leaves: list[tuple[str, Any]]) -> Iterator[str]:
    found = next((path for path, value in leaves if isinstance(value, str) and _is_output(path, value)), None)
    if found is None:
        yield "# The sample shows no output; until [outputs] says where they are, success needs none."
        return
    yield ""
    yield "[outputs]"
    yield f"items = {_quoted(found)}"


def _is_output(path: str, value: str) -> bool:
    last = _last(path).lower()
    return bool(_ADDRESS.fullmatch(value)) and not any(word in last for word in ("status", "poll", "cancel", "webhook"))
