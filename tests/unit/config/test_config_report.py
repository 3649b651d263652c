"""What is wrong with a configuration is told at once, in place, with the way out."""

import pytest


def test_three_mistakes_are_reported_at_once_with_line_and_caret(report):
    """A misspelt key, a bare number and an unknown destination, each under its own caret."""
    text = """\
[server]
lisen = true

[providers.getimg]
api_key = { env = "KEY" }
min_interval = 30

[destinations.ops]
type = "slack"
url = { env = "OPS" }

[[routes]]
to = ["opps"]
"""

    assert report(text) == (
        'config.toml:2:1: error: unknown key "lisen"\n'
        "2 | lisen = ****\n"
        '  | ^^^^^ did you mean "listen"?\n'
        'config.toml:6:1: error: "min_interval": a duration needs a unit; write "30s"\n'
        "6 | min_interval = 30\n"
        "  | ^^^^^^^^^^^^\n"
        'config.toml:13:7: error: there is no destination "opps"\n'
        '13 | to = ["opps"]\n'
        '   |       ^^^^^^ did you mean "ops"?\n'
        "3 errors"
    )


def test_the_place_is_exact_in_inline_tables_over_several_lines(report):
    """The caret stands under the key of the second token, not under the list."""
    text = f"""\
[auth]
tokens = [
  {{ name = "a", hash = "sha256:{"0" * 64}", scopes = ["read"] }},
  {{ name = "b", hash = "sha256:12", scopes = ["red"] }},
]
"""

    assert report(text).splitlines() == [
        'config.toml:4:17: error: "hash": must be "sha256:" and the 64 hexadecimal digits of the token\'s SHA-256',
        '4 |   { name = "b", hash = ***********, scopes = ["red"] },',
        "  |                 ^^^^",
        'config.toml:4:47: error: "scopes" must be one of watch, read, admin',
        '4 |   { name = "b", hash = ***********, scopes = ["red"] },',
        '  |                                               ^^^^^ did you mean "read"?',
        "2 errors",
    ]


def test_a_syntax_error_is_reported_alone(report):
    """What follows a syntax error means nothing, so nothing else is said."""
    text = "[server]\nlisten = 127.0.0.1:8377\nnonsense = 3\n[providers.x]\n"

    assert report(text) == (
        "config.toml:2:15: error: Expected newline or end of document after a statement\n"
        "2 | listen = 127.0.0.1:8377\n"
        "  |               ^"
    )


def test_a_tab_keeps_the_caret_in_place(report):
    """The margin repeats the tabs of the line, so that both move alike."""
    assert report("[server]\n\tlisen = 1\n").splitlines()[1:3] == [
        "2 | \tlisen = *",
        '  | \t^^^^^ did you mean "listen"?',
    ]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('[providers.getimgg]\napi_key = { env = "K" }', 'there is no preset "getimgg"', 'did you mean "getimg"?'),
        ('[providers.mine]\npreset = "lumenfal"', 'there is no preset "lumenfal"', 'did you mean "lumenfall"?'),
        ('[log]\nlevel = "warn"', '"level" must be one of debug, info, warning, error', 'did you mean "warning"?'),
        ("[log]\nformat = 3", '"format" must be one of auto, json, console', ""),
        ("[sevrer]", 'unknown key "sevrer"', 'did you mean "server"?'),
        ("[callbacks]\nretry = { frist = '5s' }", 'unknown key "frist"', 'did you mean "first"?'),
        (
            '[[routes]]\nmatch = { status = ["canceled"] }\nto = ["x"]\n[destinations.x]\ntype = "callback"\nurl = "https://x.test"',
            '"status" must be one of completed, failed, cancelled, expired, not_found, timed_out',
            'did you mean "cancelled"?',
        ),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(report, text, message, hint):
    """Names that are close to a known one are recognised."""
    told = report(text)

    assert f": error: {message}" in told
    assert hint in told


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('[server]\nlisten = "8377"', "listen", 'must be host:port, as in "127.0.0.1:8377"'),
        ('[server]\nlisten = "127.0.0.1:70000"', "listen", 'must be host:port, as in "127.0.0.1:8377"'),
        ('[server]\nlisten = "::1:8377"', "listen", 'an IPv6 address stands in brackets, as in "[::1]:8377"'),
        ('[server]\nlisten = ":8377"', "listen", "names no host"),
        ("[server]\nlisten = 8377", "listen", 'must be text, as in "127.0.0.1:8377"'),
        ('[store]\nurl = "postgres://x"', "url", 'must begin with "sqlite:///"'),
        ('[store]\nurl = "sqlite://relay.db"', "url", 'must begin with "sqlite:///"'),
        ('[store]\nurl = "sqlite:///:memory:"', "url", "must name a file"),
        ('[store]\nurl = "sqlite:///a.db?mode=ro"', "url", "takes no parameters"),
        ('[schedule]\ndetection_lag = "0s"', "detection_lag", "must be longer than 0s"),
        ('[schedule]\ndetection_lag = "soon"', "detection_lag", '"soon" is not a duration'),
        ('[retention]\nwatches = "99999w"', "watches", "is longer than a hundred years"),
        ('[retention]\nwatches = "36601d"', "watches", "is longer than a hundred years"),
        (f'[retention]\nwatches = "{"9" * 400}s"', "watches", "is longer than a hundred years"),
        ("[retention]\nwatches = true", "watches", 'must be text, as in "30s"'),
        ("[retention]\nwatches = inf", "watches", 'a duration needs a unit; write "30s"'),
        (f"[retention]\nwatches = {'9' * 400}", "watches", 'a duration needs a unit; write "30s"'),
        ('[callbacks]\nallow_networks = ["127.0.0.1/33"]', '"127.0.0.1/33"', "does not appear to be an IPv4 or IPv6"),
        ('[callbacks]\nallow_http = "yes"', "allow_http", "should be a valid boolean"),
        ('[callbacks]\nallow_hosts = "hooks.test"', "allow_hosts", '"allow_hosts" should be a list'),
        ('[providers]\ngetimg = "k"', "getimg", '"getimg" should be a table'),
        ('[providers.getimg]\nrate = "fast"', "rate", '"fast" is not a rate'),
        ("[providers.getimg]\nconcurrency = 0", "concurrency", "should be greater than or equal to 1"),
        ('[providers.getimg]\nbase_url = "ftp://x.test"', "base_url", "must be a URL"),
        ('[callbacks]\nallow_hosts = ["10.0.0.1"]', '"10.0.0.1"', "addresses go into allow_networks"),
        ('[egress]\nproxy = "socks5://proxy.test:1080"', "proxy", 'as in "http://proxy.internal:3128"'),
        ('[egress]\nproxy = "http://u:p@proxy.test"', "proxy", "one with a password is a secret; refer to it as"),
        ('[providers.getimg]\nbase_url = "https://x.test?a=b"', "base_url", "no query and no fragment"),
        ('[providers.getimg]\nbase_url = "https://u:p@x.test"', "base_url", "must not hold a user name"),
        ('[providers.getimg]\nspec = "mine.toml"\npreset = "getimg"', "spec", "a preset or a spec, not both"),
        ('[providers.getimg]\nspec = "absent.toml"', "spec", "there is no file"),
        ('[providers.getimg]\nmin_interval = "2m"\nmax_interval = "1m"', "min_interval", 'longer than "max_interval"'),
        ('[callbacks]\nretry = { first = "2h", max_gap = "1h" }', "first", 'longer than "max_gap"'),
        ('[destinations.x]\ntype = "callback"\nurl = "x.test/hook"', "url", "must be a URL"),
        ('[destinations.x]\ntype = "slack"\nurl = { env = "U" }\nraw = true', "raw", "is for the type callback only"),
        (
            '[destinations.x]\ntype = "callback"\nurl = "https://x.test"\nthread = "1"',
            "thread",
            "slack and discord only",
        ),
        ('[destinations.x]\ntype = "slack"\nurl = { env = "U" }\nthread = "12"', "thread", '"1503435956.000247"'),
        (
            '[destinations.x]\ntype = "discord"\nurl = { env = "U" }\nthread = "general"',
            "thread",
            "a discord thread is",
        ),
        (
            '[destinations.x]\ntype = "callback"\nurl = "https://x.test"\ndigest = "1m"',
            "digest",
            "slack, discord and apprise only",
        ),
        ('[destinations.x]\nurl = { env = "U" }', "destinations.x", 'the key "type" is missing'),
        ("[[routes]]\nto = []", "to", "must not be empty"),
        ('[providers."a:b"]\npreset = "getimg"', 'providers."a:b"', "is not a name"),
    ],
)
def test_a_value_that_cannot_be_is_refused_where_it_stands(report, text, key, message):
    """The message tells the rule, and the caret is under the key."""
    told = report(text).splitlines()

    assert message in told[0]
    assert told[1][told[2].index("^") :].startswith(key)
    assert told[-1] == "1 error"


def test_relations_are_checked_beside_mistakes_of_other_keys(report):
    """A provider with a bad key is still asked whether its name is a preset."""
    told = report('[providers.getimgg]\nrate = "fast"\nmin_interval = "2m"\nmax_interval = "1m"\n')

    assert told.count(": error:") == 3


def test_beyond_this_machine_only_with_tokens(report, load_text):
    """Without tokens any interface but loopback is refused; with one it is not."""
    public = '[server]\nlisten = "0.0.0.0:8377"\n'
    told = report(public)
    token = f'[auth]\ntokens = [{{ name = "shop", hash = "sha256:{"a" * 64}", scopes = ["watch"] }}]\n'

    assert "config.toml:2:1: error: without tokens relay listens on this machine only" in told
    assert load_text(public + token).server.listen.host == "0.0.0.0"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.8.8:1", "[::1]:8377", "localhost:8377"])
def test_every_spelling_of_this_machine_needs_no_token(load_text, listen):
    """The whole of 127.0.0.0/8, ::1 and localhost are loopback."""
    assert load_text(f'[server]\nlisten = "{listen}"').server.listen.loopback


def test_a_token_name_stands_for_one_owner(report):
    """Two tokens of one name would share their watches unnoticed."""
    token = f'{{ name = "shop", hash = "sha256:{"a" * 64}", scopes = ["watch"] }}'

    assert report(f"[auth]\ntokens = [{token}, {token}]").count('"shop" names two tokens') == 2


def test_a_flood_of_mistakes_is_cut_short(report):
    """Fifty problems are enough to see what kind of file it is."""
    told = report("\n".join(f"x{number} = 1" for number in range(60))).splitlines()

    assert told[-2:] == ["and 10 more", "60 errors"]


def test_a_very_long_line_is_shown_around_the_caret(report):
    """One line of a megabyte would bury the message."""
    told = report(f"[server]\nlisten = [{'1, ' * 5000}]\n[log]\nlevel = 3\n")

    assert max(map(len, told.splitlines())) < 400


def test_a_control_character_never_reaches_the_terminal(report):
    """An escape sequence in the file, legal or not, is not played back."""
    assert "\x1b" not in report('[server]\n"\\u001b[31mred" = 1\nlisten = "a\\u001b[31m"\n')
    assert "\x1b" not in report("[server]\nx = \x1b[31m\n")


def test_a_heartbeat_s_address_may_stand_in_the_file_but_must_be_one(report, load_text):
    """It is shown nowhere all the same: whoever knows it can keep the alarm silent."""
    assert 'config.toml:2:1: error: "url" must be a URL' in report('[heartbeat]\nurl = "monitor"\n')
    config = load_text('[heartbeat]\nurl = "https://monitor.test/ping/1234"\nevery = "30s"\n')

    assert config.heartbeat.url.read() == "https://monitor.test/ping/1234"
    assert config.heartbeat.every_s == 30.0
    assert "1234" not in repr(config)
