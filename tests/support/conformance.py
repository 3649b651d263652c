"""Whether an answer is one that the API's document names, with every key of it and no other."""

import re
from functools import cache
from typing import Any

import jsonschema_rs

from relay.api.openapi import document
from relay.api.operations import OPERATIONS


def check(method: str, path: str, status: int, content_type: str, body: object) -> None:
    """Fail unless the document names such an answer; what is no path of the API is not its concern."""
    for template, item in _document()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]*[^/]", template), path.partition("?")[0]) and method.lower() in item:
            answers = item[method.lower()]["responses"]
            assert str(status) in answers, (method, template, status)
            content = answers[str(status)].get("content", {})
            if content or body:
                assert content_type in content, (method, template, content_type)
                _validator(method.lower(), template, str(status), content_type).validate(body)
            return


@cache
def _document() -> dict[str, Any]:
    described = document(OPERATIONS)
    for schema in described["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return described


@cache
def _validator(method: str, template: str, status: str, content_type: str) -> Any:
    schema = _document()["paths"][template][method]["responses"][status]["content"][content_type]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": _document()["components"]})
