"""A template that cannot work is told before a message depends on it."""

import pytest

OPS = '[destinations.ops]\ntype = "slack"\nurl = { env = "U" }\n'
GETIMG = 'providers.getimg.api_key = { env = "U" }\n'
ENV = {"U": "whsec_" + "A" * 32}


def test_a_template_stands_in_the_file_or_in_one_of_its_own(load_text, tmp_path):
    (tmp_path / "ops.j2").write_text("{{ title }} from a file")

    inline = load_text(OPS + 'template = "{{ title }}"', ENV)
    beside = load_text(OPS + 'template = { file = "ops.j2" }', ENV)

    assert inline.destinations["ops"].template.read() == "{{ title }}"
    assert beside.destinations["ops"].template.read() == "{{ title }} from a file"


def test_a_syntax_error_is_told_with_its_line(report):
    text = OPS + 'template = """\n{{ title }}\n{% if problem %}{{ problem }\n"""\n'

    assert report(text).startswith("config.toml:4:1: error: line 2 of the template: unexpected '}'\n4 | template = ")


def test_a_syntax_error_in_a_file_is_told_with_its_place(report, tmp_path):
    (tmp_path / "ops.j2").write_text("{{ title }}\n\n{% for o in outputs %}")

    shown = report(OPS + 'template = { file = "ops.j2" }\n')

    assert "config.toml:4:1: error: ops.j2:3: Unexpected end of template." in shown


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"{{ titel }}"', 'line 1 of the template: there is no "titel"; there is: '),
        ('{ file = "absent.j2" }', 'the template "absent.j2" cannot be read: No such file or directory'),
        ('{ file = "folder" }', 'the template "folder" is not a regular file'),
        ('{ path = "x" }', '"template": must be the text of the template, or { file = "PATH" }'),
        ("7", '"template": must be the text of the template, or { file = "PATH" }'),
    ],
)
def test_what_is_no_template_is_refused(report, tmp_path, value, message):
    (tmp_path / "folder").mkdir()

    assert f"config.toml:4:1: error: {message}" in report(f"{OPS}template = {value}\n")


def test_a_callback_takes_none(report):
    hook = '[destinations.ops]\ntype = "callback"\nurl = "https://x.test"\n'

    assert '"template" is for the types slack, discord and apprise only' in report(hook + 'template = "x"\n')


def test_outcomes_for_which_it_fails_are_doubted(load_text):
    """Only those that routes send its way."""
    template = OPS + 'template = "{{ error.message }}"\n[[routes]]\nto = ["ops"]\n'

    [warning] = load_text(GETIMG + 'callbacks.secret = { env = "U" }\n' + template, ENV).warnings
    failed_only = load_text(GETIMG + 'callbacks.secret = { env = "U" }\n' + template + 'match.status = ["failed"]', ENV)

    assert (
        "warning: fails for completed, cancelled, expired, and relay's own message is sent: "
        "line 1: 'None' has no attribute 'message'"
    ) in warning
    assert failed_only.warnings == ()
