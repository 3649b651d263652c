"""The OpenAPI 3.1 document, derived from the operations and the models that they validate with."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter

from relay import __version__
from relay.api.answers import ProblemShown
from relay.api.operation import Operation
from relay.api.problems import Problem
from relay.api.requests import Query

DESCRIBED: web.AppKey[tuple[Operation, ...]] = web.AppKey("described", tuple)

_REFERENCE = "#/components/schemas/{model}"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_ANYWHERE = (Problem.MALFORMED, Problem.INTERNAL, Problem.UNAVAILABLE)
_WITH_TOKENS = (Problem.UNAUTHENTICATED, Problem.FORBIDDEN, Problem.RATE_LIMITED)
_PASSING = (Problem.UNAVAILABLE, Problem.TOO_MUCH, Problem.RATE_LIMITED)
"""Those that come with the time after which to try again."""
_HEADERS: Mapping[str, dict[str, Any]] = {
    "ETag": {"description": "Changes with the answer.", "schema": {"type": "string"}},
    "Location": {"description": "The path of the watch.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}},
}
_TAKEN = {
    "Idempotency-Key": "The same request with the same key is done once, and answered alike, for a day.",
    "If-None-Match": "The tag of an answer that is known: 304 where it is the same still.",
    "Last-Event-ID": "Where the stream that broke off was; browsers send it by themselves.",
}
_FORMS = {"Idempotency-Key": {"pattern": r'^("[!#-~]{1,255}"|[!#-~]{1,255})$'}}
_PATH_PARAMETERS = {
    "id": "An id; of a watch also as provider:job_id.",
    "name": "A name of the configuration.",
}


async def show(request: web.Request) -> web.Response:
    """GET /openapi.json: what describes the API."""
    text = await asyncio.to_thread(_rendered, request.app[DESCRIBED])
    return web.Response(text=text, content_type=_JSON)


@cache
def _rendered(operations: tuple[Operation, ...]) -> str:
    return json.dumps(document(operations), ensure_ascii=False)


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document that describes `operations`."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "relay",
            "version": __version__,
            "description": "Watches slow generation jobs and delivers their outcome. "
            "Errors are problem details (RFC 9457).",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{operation.handler.__module__.rpartition('.')[2]}.{operation.handler.__name__}",
        "summary": operation.summary,
        "parameters": [
            *_path_parameters(operation.path),
            *_query_parameters(operation.query, schemas),
            *_headers(operation),
        ],
        "responses": _responses(operation, schemas),
        # The empty requirement is a daemon on loopback that has no tokens.
        "security": [{"token": []}, {}] if operation.scope else [],
    }
    if operation.scope:
        described["description"] = f"Needs the scope `{operation.scope}`."
    if operation.body:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": _schema(operation.body, schemas)}}}
    return described


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _headers(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "description": _TAKEN[name],
            "schema": {"type": "string", **_FORMS.get(name, {})},
        }
        for name in operation.takes
    ]


def _query_parameters(query: type[Query], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    model = _schema(query, schemas)
    fields = schemas.pop(model["$ref"].rpartition("/")[2])["properties"] if query.model_fields else {}
    return [_query_parameter(name, dict(schema)) for name, schema in fields.items()]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "query", "description": schema.pop("description")}
    schema.pop("title", None)
    if "anyOf" in schema:  # a parameter that is left out is not null
        schema |= next(part for part in schema.pop("anyOf") if part != {"type": "null"})
        schema.pop("default")
    if schema["type"] == "object":  # every parameter whose name begins with this one's and a dot
        schema["propertyNames"] = {"pattern": rf"^{name}\..+$"}
        return parameter | {"style": "form", "explode": True, "schema": schema}
    return parameter | {"schema": schema}


def _responses(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, shape in operation.answers.items():
        described: dict[str, Any] = {"description": _first_line(shape)}
        if isinstance(shape, str):
            described["content"] = {shape: {"schema": {"type": "string"}}}
        elif shape is not None:
            described["content"] = {_JSON: {"schema": _schema(shape, schemas)}}
            if operation.streams:
                described["content"][operation.streams] = {"schema": {"type": "string"}}
        if status in operation.headers:
            described["headers"] = {name: _HEADERS[name] for name in operation.headers[status]}
        found[str(status)] = described
    for problem in _problems(operation):
        _add_problem(found.setdefault(str(problem.status), {"description": problem.title}), problem, schemas)
    return dict(sorted(found.items()))


def _add_problem(described: dict[str, Any], problem: Problem, schemas: dict[str, Any]) -> None:
    if problem.title not in described["description"]:
        described["description"] += f" / {problem.title}"
    described.setdefault("content", {})[_PROBLEM] = {"schema": _schema(ProblemShown, schemas)}
    if problem in _PASSING:
        described.setdefault("headers", {})["Retry-After"] = _HEADERS["Retry-After"]


def _problems(operation: Operation) -> tuple[Problem, ...]:
    takes_values = bool(operation.body or operation.query.model_fields)
    return (
        *_ANYWHERE,
        *(_WITH_TOKENS if operation.scope else ()),
        *((Problem.INVALID,) if takes_values else ()),
        *operation.problems,
    )


def _first_line(shape: type | str | None) -> str:
    if shape is None or isinstance(shape, str):
        return "Nothing more." if shape is None else "The text."
    return (shape.__doc__ or "").splitlines()[0]


def _schema(shape: type, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to the schema of a shape, which is put among `schemas`."""
    if shape is dict:
        return {"type": "object"}
    made = TypeAdapter(shape).json_schema(ref_template=_REFERENCE)
    schemas.update(made.pop("$defs", {}))
    schemas[shape.__name__] = made
    return {"$ref": _REFERENCE.format(model=shape.__name__)}
