"""Which callback URLs are accepted, in whatever spelling."""

# ruff: noqa: RUF001 - characters that pass for others are what is tested

import hashlib

import pytest

from relay.core.address import AddressPolicy, parse_networks
from relay.core.errors import InvalidValue
from relay.core.watch import Target
from relay.destinations import callback_target, named_target
from relay.destinations.url import literal_address

PUBLIC_ONLY = AddressPolicy()

FORBIDDEN_HOSTS = [
    # loopback as inet_aton reads it
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.0.0.1",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0x7F.1",
    "127.1",
    "127.0.1",
    "127.0.00.1",
    "127.0x1",
    "0177.1",
    "127.65535",
    "127.0.0.1.",
    "2130706433.",
    "0x7f000001.",
    # the same in digits and dots of other scripts
    "１２７.0.0.1",
    "１２７．０．０．１",
    "①②⑦.⓪.⓪.①",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "127｡0｡0｡1",
    "２１３０７０６４３３",
    "⁰ˣ7f000001",
    "０ｘ７ｆ.1",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
    "𝟙𝟚𝟟.𝟘.𝟘.𝟙",
    "¹²⁷.0.0.1",
    "127.0.0.1。",
    # this network, private networks, carrier-grade NAT
    "0",
    "0.0.0.0",
    "0x0",
    "0.1.2.3",
    "10.0.0.1",
    "10.1",
    "167772161",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.168.257",
    "0xc0a80101",
    "100.64.0.1",
    "100.127.255.254",
    # metadata services and link-local
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "①⑥⑨.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    # documentation, benchmarks, 6to4 anycast, multicast, reserved, broadcast
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "198.18.0.1",
    "192.0.0.1",
    "192.88.99.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    # IPv6: unspecified, loopback, zones
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[：：１]",
    "[::1%lo]",
    "[::1%25lo]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[FE80::A9FE:A9FE%1]",
    # IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:１２７.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::169.254.169.254]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::1]",
    "[2606:4700::5efe:127.0.0.1]",
    "[2606:4700::200:5efe:10.0.0.1]",
    # other IPv6 that is not public
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[5f00::1]",
    # names of this host
    "localhost",
    "LOCALHOST",
    "localhost.",
    "any.localhost",
    "ｌｏｃａｌｈｏｓｔ",
]

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
