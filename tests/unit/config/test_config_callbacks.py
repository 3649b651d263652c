"""What a callback's requests carry besides the event: values, and secrets by reference."""

import pytest

HOOK = '[destinations.hook]\ntype = "callback"\nurl = "https://x.test"\n'
ROUTE = '[[routes]]\nto = ["hook"]\n'


def test_headers_hold_values_and_references(load_text):
    config = load_text(
        HOOK
        + """
        payload = "thin"
        headers = { X-Shop = "relay", Authorization = { env = "TOKEN" } }
        """
        + ROUTE,
        {"TOKEN": "Bearer t"},
    )

    hook = config.destinations["hook"]
    assert hook.thin
    assert {name: value.read() for name, value in hook.headers.items()} == {
        "X-Shop": "relay",
        "Authorization": "Bearer t",
    }
    assert "destinations.hook.headers.Authorization" in [secret.key for secret in config.secrets]


def test_a_password_is_a_reference(load_text):
    config = load_text(HOOK + 'basic_auth = { user = "relay", password = { env = "P" } }\n' + ROUTE, {"P": "s3cret"})

    auth = config.destinations["hook"].basic_auth
    assert (auth.user, auth.password.read(), auth.password.key) == (
        "relay",
        "s3cret",
        "destinations.hook.basic_auth.password",
    )
    assert auth.password in config.secrets


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        ('headers = { Host = "x" }', '"Host": is reserved: relay or the connection sets it', 13),
        ('headers = { webhook-id = "x" }', '"webhook-id": is reserved: relay or the connection sets it', 13),
        ('headers = { "X Y" = "x" }', '"X Y": is not the name of a header', 13),
        ('headers = { X-A = "é" }', '"X-A": must be visible ASCII, without white space around it', 13),
        ('headers = { X-A = { vault = "x" } }', '"X-A": must be one reference to a secret: ', 13),
        ('headers = { X-A = "1", x-a = "2" }', '"headers": names a header twice; case makes no difference', 1),
        ('headers = { X-Api-Key = "hunter2" }', '"X-Api-Key" looks like a secret, which does not belong in', 13),
        ('basic_auth = { user = "a:b", password = { env = "P" } }', '"user": must be printable, and without a col', 16),
        ('basic_auth = { user = "a", password = "hunter2" }', '"password": a secret does not belong in this file', 28),
        ('basic_auth = { user = "a" }', 'the key "password" is missing', 1),
        ('payload = "thick"', '"payload" must be one of full, thin', 1),
        ('payload = "thin"\nraw = true', 'a thin payload is without the body that "raw" asks for', 1),
    ],
)
def test_what_cannot_be_sent_is_refused_in_its_place(report, line, message, column):
    """The caret stands under the header, and no value is shown."""
    shown = report(HOOK + line + "\n" + ROUTE)

    number = 4 + line.count("\n")
    assert f"config.toml:{number}:{column}: error: {message}" in shown
    assert "hunter2" not in shown


def test_two_ways_to_log_in_contradict_each_other(report):
    shown = report(
        HOOK
        + 'headers = { authorization = { env = "T" } }\nbasic_auth = { user = "a", password = { env = "P" } }\n'
        + ROUTE
    )

    assert '"authorization" is what basic_auth sets' in shown


@pytest.mark.parametrize("line", ['payload = "thin"', 'headers = { X = "y" }', "basic_auth = {}"])
def test_a_chat_takes_none_of_it(report, line):
    shown = report(f'[destinations.hook]\ntype = "slack"\nurl = {{ env = "U" }}\n{line}\n{ROUTE}')

    assert "config.toml:4:1: error: " in shown
