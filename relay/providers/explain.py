"""Why an answer means what it means: the rules of a provider file, told one by one."""

from collections.abc import Iterator
from typing import Any

from relay.core.http import Response
from relay.providers import extract
from relay.providers.interpret import json_body, matches, same
from relay.providers.paths import Paths
from relay.providers.spec import ProviderSpec, fold


def explain(spec: ProviderSpec, response: Response) -> Iterator[str]:
    """Yield what each part of the file makes of one answer, in the order in which they are asked."""
    body = json_body(response)
    yield f"HTTP {response.status}, " + ("no JSON" if body is None else "JSON")
    rule = next((rule for rule in spec.http if matches(rule, response, body)), None)
    if rule is not None:
        yield f"[[http]] code = {list(rule.code)}: means {rule.means}"
        if rule.means != "body":
            return
    elif spec.http:
        yield "[[http]]: no rule is about this answer"
    if body is None:
        return
    yield from _explain_body(spec, body)


def _explain_body(spec: ProviderSpec, body: Any) -> Iterator[str]:
    if spec.envelope is not None:
        code = spec.envelope.path.find(body)
        verdict = "ok" if code is None or same(code, spec.envelope.ok) else "not ok"
        yield f"[envelope] path = {_texts(spec.envelope.path.texts)}: found {code!r}, which is {verdict}"
    for presence in spec.status.rules:
        told = f"there, means {presence.means}" if presence.holds(body) else "not there"
        yield f"[[status.rules]] present = {_texts(presence.present.texts)}: {told}"
    if spec.status.path is not None:
        yield _explain_status(spec, spec.status.path, body)
    if spec.outputs is not None:
        items = spec.outputs.items.find(body)
        told = "nothing" if items in (None, [], {}, "") else type(items).__name__
        yield f"[outputs] items = {_texts(spec.outputs.items.texts)}: found {told}"


def _explain_status(spec: ProviderSpec, path: Paths, body: Any) -> str:
    literal = extract.provider_status(path, body)
    told = f"[status] path = {_texts(path.texts)}: "
    if literal is None:
        return told + "found nothing"
    meaning = spec.status.literals().get(fold(literal))
    return told + f'found "{literal}", ' + (f"listed under {meaning}" if meaning else "listed nowhere: keeps polling")


def _texts(texts: tuple[str, ...]) -> str:
    return f'"{texts[0]}"' if len(texts) == 1 else str(list(texts))
