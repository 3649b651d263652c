"""The document of the API and the API: one says what the other does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import SHOP, TOKENS, Api, bearer, served

from relay.api import build_app
from relay.api.openapi import document
from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from relay.api.problems import Problem
from relay.core.access import Scope


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path, TOKENS) as api:
        yield api


async def test_the_document_is_served_to_everyone_and_is_openapi_3_1(guarded: Api) -> None:
    status, told = await guarded.call("GET", "/openapi.json")

    assert (status, told["openapi"]) == (200, "3.1.0")
    assert told == document(OPERATIONS)


async def test_every_route_is_described_and_everything_described_is_a_route(guarded: Api) -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in build_app(guarded.context).router.routes()
        if route.resource is not None and route.method != "HEAD"
    }

    described = {(method.upper(), path) for path, item in document(OPERATIONS)["paths"].items() for method in item}
    assert described == routes


async def test_operations_have_names_of_their_own() -> None:
    paths = document(OPERATIONS)["paths"].values()
    names = [operation["operationId"] for item in paths for operation in item.values()]

    assert len(set(names)) == len(names)


async def test_every_problem_of_the_catalogue_is_one_that_some_operation_names() -> None:
    statuses = {int(status) for item in document(OPERATIONS)["paths"].values() for operation in item.values()
                for status in operation["responses"]}  # fmt: skip

    assert {problem.status for problem in Problem} - statuses == {Problem.METHOD_NOT_ALLOWED.status}


@pytest.mark.parametrize("operation", [item for item in OPERATIONS if item.scope], ids=lambda item: item.path)
async def test_a_token_with_every_scope_but_the_one_needed_is_refused(guarded: Api, operation: Operation) -> None:
    others = frozenset(Scope) - {operation.scope, Scope.ADMIN}
    guarded.context.tokens = [type(TOKENS[0])("other", TOKENS[0].digest, others)]

    status, problem = await guarded.call(
        operation.method, operation.path.replace("{", "").replace("}", "_"), headers=bearer(SHOP)
    )

    assert (status, problem["detail"]) == (403, f'the token lacks the scope "{operation.scope}"')


@pytest.mark.parametrize("request_line", [b"GET / \x00 HTTP/1.1", b"\x16\x03\x01\x02", b"GET /" + b"x" * 9000])
async def test_what_is_no_http_is_answered_with_a_problem_document(guarded: Api, request_line: bytes) -> None:
    host, _, port = guarded.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request_line + b"\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 5)

    assert answer.split(b" ")[1] == b"400"
    assert b"application/problem+json" in answer
    assert b"xxxxxxxx" not in answer
    writer.close()
