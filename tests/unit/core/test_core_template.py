"""Templates say what the operator wants, and can do nothing else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.template import SOURCE_LIMIT, Dialect, Template, TemplateFailed, TemplateInvalid

CHAT = Dialect(escape=lambda text: text.replace("<", "&lt;"), link=lambda url, label: f"<{url}|{label}>")
VALUES = {
    "title": "getimg job failed",
    "provider": "get<img>",
    "status": "failed",
    "polls": 7,
    "outputs": [{"url": "https://a/1", "width": 1920}, {"url": "https://a/2", "width": None}],
    "error": {"code": "nsfw", "message": "no\n<!channel>"},
    "metadata": {"order": "42", "items": "3"},
    "cost": {"amount": 0.1},
}


def rendered(source: str, limit: int = 3000) -> str:
    return Template(source, CHAT).render(VALUES, limit)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("*{{ title }}*", "*getimg job failed*"),
        ("{{ provider }}", "get&lt;img>"),
        ("{{ provider|upper }}", "GET&lt;IMG>"),
        ("{{ error.message }}", "no &lt;!channel>"),
        ("{{ model }}|{{ cost.amount + 0.2 }}|{{ polls * 2 }}|{{ polls // 2 }}|{{ polls % 2 }}", "|0.3|14|3|1"),
        ("{% for o in outputs %}{{ loop.index }}: {{ o.url|link('Video') }}\n{% endfor %}",
         "1: <https://a/1|Video>\n2: <https://a/2|Video>"),
        ("{{ metadata.order }}{{ metadata['order'] }}{{ metadata.items }}", "42423"),
        ("{{ metadata.absent|default('none') }}", "none"),
        ("{% if error and error.code == 'nsfw' %}filtered{% else %}broken{% endif %}", "filtered"),
        ("{{ outputs|map(attribute='url')|join(', ') }}", "https://a/1, https://a/2"),
        ("{{ 'a ' ~ polls ~ ' <' }}", "a 7 &lt;"),
        ("{{ outputs|length }} {{ outputs[0].url[:5] }} {{ outputs[1].width }}", "2 https"),
        ("{{ 107|duration }}", "1m47s"),
        ("{% set n = polls + 1 %}{{ n }}", "8"),
        ("{{ metadata }}", '{"order": "42", "items": "3"}'),
        ("{{ polls > 5 }}", "true"),
        ("  \n a {# note #}b \n", "a b"),
    ],
)  # fmt: skip
def test_a_template_is_filled_and_escaped(source: str, text: str) -> None:
    assert rendered(source) == text


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("a\n{% if %}", 2, "Expected an expression, got 'end of statement block'"),
        ("a\nb\n{{ title", 3, "unexpected end of template"),
        ("\n{{ titel }}", 2, 'there is no "titel"; there is: '),
        ("{{ self }}", 1, 'there is no "self"; there is: '),
        ("{{ range }}", 1, 'there is no "range"; there is: '),
        ("{{ title|safe }}", 1, "No filter named 'safe'."),
        ("{{ title|format }}", 1, "No filter named 'format'."),
        ("\n\n{{ title.upper() }}", 3, "nothing can be called; use a filter, as in {{ name|upper }}"),
        ("{% macro m() %}{% endmacro %}", 1, "macro is not for messages"),
        ("{% include 'x' %}", 1, "include is not for messages"),
        ("{% import 'x' as y %}", 1, "import is not for messages"),
        ("{% extends 'x' %}", 1, "extends is not for messages"),
        ("{% block b %}{% endblock %}", 1, "block is not for messages"),
        ("{% for o in outputs recursive %}{% endfor %}", 1, "for is not for messages"),
        ("{{ 9 ** 9 }}", 1, "pow is not for messages"),
        ("{% set ns.x = 1 %}", 1, "nsref is not for messages"),
        ("x" * (SOURCE_LIMIT + 1), 1, "it is longer than 8192 characters"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", 1, "it is nested too deeply"),
        ("{{ 1" + "+1" * 210 + " }}", 1, "it is nested too deeply"),
        ("{{ " + "9" * 5000 + " }}", 1, "it holds a number of thousands of digits"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(source: str, line: int, message: str) -> None:
    with pytest.raises(TemplateInvalid) as refused:
        Template(source)

    assert refused.value.line == line
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\n{{ error.nope }}", "line 2: 'dict object' has no attribute 'nope'"),
        ("{{ model.name }}", "line 1: 'None' has no attribute 'name'"),
        ("{{ title.__class__ }}", "line 1: 'str object' has no attribute '__class__'"),
        ("{{ title['__class__'] }}", "line 1: 'str object' has no attribute '__class__'"),
        ("{{ outputs|map(attribute='__class__')|list }}", "line 1: 'dict object' has no attribute '__class__'"),
        ("{{ metadata.keys }}", "line 1: 'dict object' has no attribute 'keys'"),
        ("{{ outputs[9] }}", "line 1: list object has no element 9"),
        ("{{ 'a' * 99999999999 }}", 'line 1: "*" is for numbers of at most 15 digits'),
        ("{{ '%99999999999d' % 1 }}", 'line 1: "%" is for numbers of at most 15 digits'),
        ("{{ 1 / 0 }}", "line 1: division by zero"),
        ("{{ title|duration }}", "line 1: duration takes a number of seconds"),
        ("{{ [1, 2]|sum(attribute='x') }}", "line 1: "),
    ],
)
def test_what_fails_is_told_with_its_line(source: str, message: str) -> None:
    with pytest.raises(TemplateFailed) as failed:
        rendered(source)

    assert str(failed.value).startswith(message)


def test_loops_come_to_an_end() -> None:
    """Ten times ten times ten is what a message may take, and no step more."""
    ten = "{% for {n} in [0,1,2,3,4,5,6,7,8,9] %}"
    source = "".join(ten.replace("{n}", name) for name in "abcd") + "{% endfor %}" * 4

    with pytest.raises(TemplateFailed, match="its loops take more than 1000 steps"):
        rendered(source)
    assert rendered(ten.replace("{n}", "a") * 2 + "x" + "{% endfor %}" * 2) == "x" * 100


def test_texts_do_not_grow_without_end() -> None:
    doubled = "{% set x = title %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}"
    added = "{% set x = title %}" + "{% set x = x + x %}" * 40 + "{{ x }}"

    for source in (doubled, added):
        with pytest.raises(TemplateFailed, match="it builds a text of more than 4000 characters"):
            rendered(source)
    with pytest.raises(TemplateFailed, match="it writes more than a message holds"):
        rendered("{% for o in outputs %}{{ title }}{% endfor %}", limit=20)


def test_a_link_is_the_only_thing_that_is_not_escaped() -> None:
    """What is made of a link and something else is text again."""
    assert rendered("{{ '<b>'|link }}") == "<<b>|link>"
    assert rendered("{{ outputs[0].url|link ~ '<' }}") == "&lt;https://a/1|link>&lt;"
    assert rendered("{{ outputs[0].url|link|upper }}") == "&lt;HTTPS://A/1|LINK>"


@given(st.text(), st.text())
def test_no_value_can_write_markup_or_another_line(value: str, other: str) -> None:
    template = Template("{{ title }}{% if provider %} {{ provider }}{% endif %}", CHAT)

    text = template.render({"title": value, "provider": other}, 20_000)

    assert "<" not in text
    assert "\n" not in text


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_whatever_is_written_between_braces_is_refused_fails_or_is_filled(inside: str) -> None:
    for source in (f"{{{{ {inside} }}}}", f"{{% {inside} %}}"):
        with suppress(TemplateInvalid, TemplateFailed):
            rendered(source)
