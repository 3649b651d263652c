"""Messages in an operator's own words: Jinja2 in a sandbox.

The template is the operator's; what it is filled with, a provider wrote.  So
every value is escaped for the chat unless it is a link that relay made, and
what a template may do is bounded: no methods, macros or includes, so many steps
of loops, so much text.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.core.duration import format_duration
from relay.core.errors import RelayError
from relay.core.text import one_line

SOURCE_LIMIT = 8192
_STEPS = 1000
_TEXT_LIMIT = 4000
_NUMBER_LIMIT = 1e15
_STEPS_LEFT = "steps left"  # no name that a template can write

VARIABLES = (
    *("type", "timestamp", "watch_id", "provider", "job_id", "status", "provider_status", "model", "outputs", "error"),
    *("cost", "created_at", "watched_at", "completed_at", "observed_at", "polls", "metadata"),
    *("title", "took", "problem", "delivery_id"),
)
"""What a template may name: the fields of the event, and what the message that comes with relay says."""

_FILTERS = (
    *("abs", "capitalize", "default", "first", "float", "int", "items", "join", "last", "length", "list"),
    *("lower", "map", "max", "min", "reject", "rejectattr", "round", "select", "selectattr", "sort", "sum", "title"),
    *("trim", "truncate", "unique", "upper"),
)
_STATEMENTS = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.AssignBlock),
    *(nodes.With, nodes.Expr, nodes.Helper),
)
_BARRED = (nodes.Pow, nodes.NSRef)
_NO_VALUES = {"self", "super"}


class TemplateInvalid(RelayError):
    """A template breaks a rule; `line` is where, from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class TemplateFailed(RelayError):
    """A template could not be filled with the values of an event."""


class Markup(str):
    """Text in the chat's own markup, which is not escaped again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a chat writes: `escape` makes plain text of anything, `link` a link of a URL and a label."""

    escape: Callable[[str], str]
    link: Callable[[str, str], str]


PLAIN = Dialect(escape=str, link=lambda url, label: f"{label}: {url}")
"""No markup at all."""


class Template:
    """A template that was found to be sound, for one dialect."""

    def __init__(self, source: str, dialect: Dialect = PLAIN) -> None:
        """Read `source`; raises TemplateInvalid for the first thing that is wrong with it."""
        environment = _Sandbox(dialect)
        if len(source) > SOURCE_LIMIT:
            raise TemplateInvalid(1, f"it is longer than {SOURCE_LIMIT} characters")
        try:
            tree = environment.parse(source)
            _check(tree)
            self._template = environment.from_string(_bounded(tree))
        except TemplateSyntaxError as error:
            raise TemplateInvalid(error.lineno, error.message or "wrong syntax") from None
        except (RecursionError, SyntaxError):  # SyntaxError: Python's own limit, on what became of it
            raise TemplateInvalid(1, "it is nested too deeply") from None
        except ValueError:
            raise TemplateInvalid(1, "it holds a number of thousands of digits") from None

    def render(self, values: Mapping[str, object], limit: int) -> str:
        """Return the text for `values`, of at most `limit` characters; raises TemplateFailed."""
        context = {**dict.fromkeys(VARIABLES), **values, _STEPS_LEFT: [_STEPS]}
        try:
            return "".join(_within(limit, self._template.generate(context))).strip()
        except Exception as error:  # noqa: BLE001  whatever it does wrong, the message has to go out
            line = _line_of(error)
            raise TemplateFailed(f"{f'line {line}: ' if line else ''}{one_line(str(error), 200)}") from None


class _Sandbox(ImmutableSandboxedEnvironment):
    """Values are looked into, never called."""

    intercepted_binops = frozenset({"+", "*", "%"})

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(undefined=StrictUndefined, finalize=self._finalized, trim_blocks=True, lstrip_blocks=True)
        self._dialect = dialect
        self.globals = {}
        self.filters = {
            **{name: FILTERS[name] for name in _FILTERS},
            "duration": _duration,
            "link": self._link,
            "steps": _steps,
            "joined": _joined,
        }

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the field of an object of JSON; of a loop, where it stands."""
        if isinstance(obj, LoopContext):
            return super().getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return the field of an object of JSON, or the item of a list."""
        if isinstance(obj, Mapping | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, _obj: Any) -> bool:
        """Let nothing be called."""
        return False

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers that stay numbers of a decent size; put texts together."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _limited(left + right)
        for number in (left, right):
            if not isinstance(number, int | float) or abs(number) > _NUMBER_LIMIT:
                raise SecurityError(f'"{operator}" is for numbers of at most 15 digits')
        return super().call_binop(context, operator, left, right)

    def _finalized(self, value: object) -> str:
        """Return what an expression puts out."""
        if isinstance(value, Undefined):
            str(value)  # raises, and says which
        if isinstance(value, Markup):
            return value
        return self._dialect.escape(_limited(_shown(value)))

    def _link(self, url: object, label: object = "link") -> Markup:
        return Markup(self._dialect.link(_shown(url), _shown(label)))


def _check(tree: nodes.Template) -> None:
    """Raise TemplateInvalid for a statement or a name that there is not."""
    for node in tree.find_all(nodes.Node):
        barred = not isinstance(node, _STATEMENTS) or isinstance(node, _BARRED)
        if barred or (isinstance(node, nodes.For) and node.recursive):
            raise TemplateInvalid(node.lineno, f"{type(node).__name__.lower()} is not for messages")
        if isinstance(node, nodes.Call):
            raise TemplateInvalid(node.lineno, "nothing can be called; use a filter, as in {{ name|upper }}")
    unknown = find_undeclared_variables(tree) - set(VARIABLES)
    for name in tree.find_all(nodes.Name):
        if name.name in unknown | _NO_VALUES:
            raise TemplateInvalid(name.lineno, f'there is no "{name.name}"; there is: {", ".join(sorted(VARIABLES))}')


def _bounded(tree: nodes.Template) -> nodes.Template:
    """Let every loop count its steps, and every `~` its characters."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(loop.iter, "steps")
    _replace_concatenations(tree)
    return tree


def _replace_concatenations(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_replaced(item) for item in value]
        else:
            setattr(node, name, _replaced(value))


def _replaced(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _replace_concatenations(value)
    if isinstance(value, nodes.Concat):
        return _filtered(nodes.List(list(value.nodes), lineno=value.lineno), "joined")
    return value


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, [], [], None, None, lineno=node.lineno)


@pass_context
def _steps(context: Context, values: Iterable[object]) -> Iterator[object]:
    left = context.resolve(_STEPS_LEFT)
    if isinstance(values, Undefined):
        str(values)
    for value in values or ():
        left[0] -= 1
        if left[0] < 0:
            raise SecurityError(f"its loops take more than {_STEPS} steps")
        yield value


def _joined(values: list[object]) -> str:
    return _limited("".join(value if isinstance(value, str) else _shown(value) for value in values))


def _within(limit: int, pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise SecurityError("it writes more than a message holds")
        yield piece


def _limited(text: str) -> str:
    if len(text) > _TEXT_LIMIT:
        raise SecurityError(f"it builds a text of more than {_TEXT_LIMIT} characters")
    return text


def _duration(seconds: object) -> str:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise SecurityError("duration takes a number of seconds")
    return format_duration(seconds)


def _shown(value: object) -> str:
    """Return a value of JSON as text on one line; nothing where it is null."""
    if isinstance(value, Undefined):
        str(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.12g}"
    return one_line(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), _TEXT_LIMIT
    )


def _line_of(error: BaseException) -> int | None:
    """Return the line of the template at which it failed."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
