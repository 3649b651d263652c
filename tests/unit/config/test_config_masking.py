"""A secret that was written into the file by mistake is never repeated."""

import pytest

SECRET = "sk-live-Zm9v"
WAYS = '{ env = "NAME" }, { file = "PATH" } or { credential = "NAME" }'


def test_an_inline_secret_is_refused_with_the_three_ways_out(report):
    """The message names the ways; the line is shown with stars."""
    assert report(f'[providers.getimg]\napi_key = "{SECRET}"\n') == (
        f'config.toml:2:1: error: "api_key": a secret does not belong in this file; refer to it as {WAYS}\n'
        "2 | api_key = **************\n"
        "  | ^^^^^^^\n"
        "1 error"
    )


@pytest.mark.parametrize(
    "text",
    [
        f'[providers.getimg]\napikey = "{SECRET}"',
        f'[providers.getimg]\napi_key = {{ value = "{SECRET}" }}',
        f'[providers.getimg]\napi_key = {{ env = "{SECRET}" }}',
        f'[providers.getimg]\napi_key = {{ credential = "../{SECRET}" }}',
        f'[providers.getimg]\napi_key = ["{SECRET}"]',
        f'[providers.getimg]\nsecrets = {{ account = "{SECRET}" }}',
        f'[providers.getimg]\nbase_url = "https://user:{SECRET}@x.test"',
        f'[providers]\ngetimg = {{ api_key = "{SECRET}", min_interval = 5 }}',
        f'[providers.getimg]\napi_key = """\n{SECRET}"""',
        f'[destinations.x]\ntype = "slack"\nurl = "https://hooks.slack.com/{SECRET}"',
        f'[destinations.x]\ntype = "callback"\nurl = "{SECRET}"',
        f'[destinations.x]\ntype = "callback"\nurl = "https://x.test"\nsecret = "{SECRET}"',
        f'[callbacks]\nsecret = "{SECRET}"',
        f'[callbacks]\nsecret = {{ file = "x" }}\nretry = 3  # was {SECRET}',
        f'[auth]\ntokens = [{{ name = "a", hash = "{SECRET}", scopes = ["read"] }}]',
        f'[auth]\ntokens = ["{SECRET}"]',
        f'auth = "{SECRET}"',
        f"[providers.getimg]\napi_key = {SECRET}",
        f'[providers.getimg]\napi_key = "{SECRET}',
        f'[providers.getimg]\napi_key = "{SECRET}" oops',
        f'[providers.getimg]\napi_key "{SECRET}"',
        f"{SECRET}",
        f'[[routes]]\nto = ["ops",\n[providers.getimg]\napi_key = "{SECRET}" x',
        f'[[routes]]\nto = [\napi_key = "{SECRET}"',
        f'[auth]\ntokens = [{{ name = shop", hash = "{SECRET}", scopes = ["read"] }}]',
        f'[server]\nlisten = """x\n{SECRET}\n""" x',
    ],
)
def test_a_secret_in_the_wrong_place_is_never_echoed(report, text):
    """Whatever the mistake around it, valid TOML or not."""
    assert SECRET not in report(text)


def test_what_is_no_secret_is_shown(report):
    """A name of a variable, a path and an ordinary value help to find the mistake."""
    told = report('[providers]\ngetimg = { api_key = { env = "GETIMG_API_KEY" }, rate = "fast" }\n')

    assert '2 | getimg = { api_key = { env = "GETIMG_API_KEY" }, rate = "fast" }' in told


def test_a_loaded_configuration_prints_no_secret(load_text):
    """Neither the values of references nor token digests are in its repr."""
    digest = "ab" * 32
    config = load_text(
        '[providers.getimg]\napi_key = { env = "KEY" }\n'
        f'[auth]\ntokens = [{{ name = "a", hash = "sha256:{digest}", scopes = ["read"] }}]\n'
        f'[destinations.x]\ntype = "callback"\nurl = "https://x.test/{SECRET}"\n',
        {"KEY": SECRET},
    )

    assert SECRET not in repr(config)
    assert digest not in repr(config)
