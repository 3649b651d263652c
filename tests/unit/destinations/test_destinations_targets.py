"""Which callback URLs are accepted, in whatever spelling."""

# ruff: noqa: RUF001 - characters that pass for others are what is tested

import hashlib

import pytest
from support.spellings import FORBIDDEN_HOSTS

from relay.core.address import AddressPolicy, parse_networks
from relay.core.errors import InvalidValue
from relay.core.watch import Target
from relay.destinations import callback_target, named_target
from relay.destinations.url import literal_address

PUBLIC_ONLY = AddressPolicy()

NOT_HOSTS = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "127.0.0.1..",
    "127.0.0.1%2e",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "1.2.3.4.5",
    "256.256.256.256",
    "256.1",
    "4294967296",
    "08.8.8.8",
    "1.2.3.4x.5",
    "0x7g.1",
    "a.1",
    "a.0x1",
    "::1",
    "[::1",
    "::1]",
    "[[::1]]",
    "[::1]x",
    "[::1].",
    "[127.0.0.1]",
    "[v1.fe80]",
    "[]",
    "［::1］",
    "-a.example",
    "a-.example",
    "a b.example",
    "a℀b.example",
    "evil.example／a",
    "evil.example＃a",
    "user＠evil.example",
    "a*b.example",
    "a" * 64 + ".example",
    "a." * 127 + "aa",
    "ü" * 70 + ".example",
    "127.0.0.1\ufe0f",
    "127.0.0.1\u200b",
    "127.0.0.1\u00ad",
]

NOT_URLS = [
    "",
    "https",
    "https:",
    "https://",
    "https:///path",
    "https://:443/",
    "https://user@/",
    "https://?a",
    "//hook.example/",
    "/hooks",
    "hook.example",
    "ftp://hook.example/",
    "file:///etc/passwd",
    "javascript://hook.example/",
    "ｈttps://hook.example/",
    " https://hook.example/",
    "https://hook.example/ ",
    "https://hook.example/a b",
    "https://hook.example/a\tb",
    "https://hook.example/a\nb",
    "https://hook.example/a\r\nx: y",
    "https://hook.example/\x00",
    "https://hook.example/\x7f",
    "https://hook.example/\u2028",
    "https://hook.example/\u202e",
    "https://hook.example/\u3000",
    "https://hook.example/\ud800",
    "https://hook.example\\@evil.example/",
    "https://hook.example/a\\b",
    "https://hook.example/#",
    "https://hook.example/#fragment",
    "https://hook.example:/",
    "https://hook.example:0/",
    "https://hook.example:65536/",
    "https://hook.example:-1/",
    "https://hook.example:+80/",
    "https://hook.example:8_0/",
    "https://hook.example:８０/",
    "https://hook.example:80:80/",
    "https://hook.example:000080/",
    "https://hook.example:" + "9" * 1000 + "/",
    "https://a@b@hook.example/",
    "https://hook.example/" + "a" * 2028,
]


def accept(url: str, *, allow_http: bool = False, policy: AddressPolicy = PUBLIC_ONLY) -> Target:
    return callback_target(url, allow_http=allow_http, policy=policy)


def test_at_least_sixty_spellings_are_tried() -> None:
    assert len(set(FORBIDDEN_HOSTS)) == len(FORBIDDEN_HOSTS) >= 60


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_a_forbidden_address_is_refused_in_every_spelling_naming_the_setting(host: str) -> None:
    with pytest.raises(
        InvalidValue, match=r"is not a public address; callbacks\.allow_networks would permit it"
    ) as caught:
        accept(f"https://{host}/")
    assert caught.value.field == "callback_url"


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS[:10])
def test_neither_port_nor_user_hides_an_address(host: str) -> None:
    with pytest.raises(InvalidValue, match="not a public address"):
        accept(f"https://user:hook.example@{host}:8443?x=@hook.example")


@pytest.mark.parametrize("host", NOT_HOSTS)
def test_what_is_neither_name_nor_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        accept(f"https://{host}/")
    assert caught.value.field == "callback_url"


@pytest.mark.parametrize("url", NOT_URLS)
def test_what_is_no_url_to_call_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        accept(url)
    assert caught.value.field == "callback_url"


def test_the_refusal_shows_nothing_of_the_url() -> None:
    with pytest.raises(InvalidValue) as caught:
        accept("https://user:password@hook.example:99999/token")
    assert str(caught.value) == "callback_url: has a port that is not a number from 1 to 65535"


@pytest.mark.parametrize(
    ("url", "lane"),
    [
        ("https://hook.example", "hook.example:443"),
        ("HTTPS://Hook.Example/A", "hook.example:443"),
        ("https://hook.example.:8443/", "hook.example:8443"),
        ("https://user:pass@hook.example/a?b=c@d", "hook.example:443"),
        ("https://bücher.example/", "xn--bcher-kva.example:443"),
        ("https://a_b.xn--p1ai/", "a_b.xn--p1ai:443"),
        ("https://127.0.0.1.example/", "127.0.0.1.example:443"),
        ("https://8.8.8.8/", "8.8.8.8:443"),
        ("https://134744072/", "134744072:443"),
        ("https://[2606:4700:4700::1111]:1/", "[2606:4700:4700::1111]:1"),
        ("https://hook.example:65535/" + "a" * 2021, "hook.example:65535"),
    ],
)
def test_a_url_that_can_be_called_is_a_target(url: str, lane: str) -> None:
    key = "url:" + hashlib.sha256(url.encode()).hexdigest()[:32]
    assert accept(url) == Target(key=key, lane=lane, url=url)


def test_a_zone_is_refused_even_at_a_public_address() -> None:
    with pytest.raises(InvalidValue, match="must not have a zone"):
        accept("https://[2606:4700:4700::1111%25eth0]/")


def test_http_is_refused_naming_the_setting_that_permits_it() -> None:
    with pytest.raises(InvalidValue, match=r"must begin with https://; callbacks\.allow_http would permit http"):
        accept("http://hook.example/")
    assert accept("http://hook.example/", allow_http=True).lane == "hook.example:80"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "１２７.0.0.1", "[::ffff:127.0.0.1]"])
def test_an_allowed_network_is_let_through_in_every_spelling(host: str) -> None:
    policy = AddressPolicy(parse_networks(["127.0.0.0/8"]))
    assert accept(f"http://{host}:8000/", allow_http=True, policy=policy).url == f"http://{host}:8000/"


def test_a_url_is_not_in_the_targets_representation() -> None:
    assert "token" not in repr(accept("https://hook.example/token"))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.772", "1.2.3.4"),
        ("1.131844", "1.2.3.4"),
        ("16909060", "1.2.3.4"),
        ("0x1.02.0x3.4.", "1.2.3.4"),
        ("0x", "0.0.0.0"),
        ("hook.example", None),
        ("1.2.3.4.example", None),
        ("0xhook", None),
        ("", None),
    ],
)
def test_numbers_are_read_as_inet_aton_reads_them(host: str, address: str | None) -> None:
    assert literal_address(host) == address


def test_a_named_target_is_its_own_key_and_lane() -> None:
    assert named_target("ops") == Target(key="ops", lane="ops", name="ops")
