"""Which addresses a callback, and an operator's own destination, may reach."""

import pytest

from relay.core.address import AddressPolicy, parse_hosts, parse_networks

PUBLIC = AddressPolicy()
OPERATOR = AddressPolicy(operator=True)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_may_be_reached(address: str) -> None:
    assert PUBLIC.refusal(address) is None
    assert PUBLIC.refusal(f"{address}%eth0") is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",  # carrier-grade NAT
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",  # Azure
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",  # documentation
        "192.88.99.1",  # 6to4 anycast
        "192.168.1.1",
        "198.18.0.1",  # benchmarking
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "233.252.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",  # IPv4-compatible
        "::ffff:0:7f00:1",  # IPv4-translated
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::101:101",
        "64:ff9b:1::7f00:1",
        "100::1",  # discard
        "2001::1",  # Teredo
        "2001:0:53aa:64c::1",
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4
        "2606:4700::5efe:7f00:1",  # ISATAP
        "2606:4700::200:5efe:7f00:1",
        "3fff::1",
        "4000::1",  # not yet anyone's
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_all_others_are_refused_with_the_setting_that_would_permit_them(address: str) -> None:
    bare = address.partition("%")[0]

    assert PUBLIC.refusal(address) == f"{bare} is not a public address; callbacks.allow_networks would permit it"


@pytest.mark.parametrize(
    ("spelling", "inside"), [("::ffff:127.0.0.1", "127.0.0.1"), ("::ffff:a9fe:a9fe", "169.254.169.254")]
)
def test_an_ipv4_mapped_address_is_what_the_kernel_connects_to(spelling: str, inside: str) -> None:
    assert PUBLIC.refusal(spelling) == f"{inside} is not a public address; callbacks.allow_networks would permit it"
    assert PUBLIC.refusal("::ffff:1.1.1.1") is None


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f000001", "2130706433", "010.0.0.1", "127.0.0.1:80", "[::1]", "%eth0"]
)
def test_what_is_no_literal_address_is_refused(text: str) -> None:
    assert PUBLIC.refusal(text) == f'"{text}" is not an IP address'
    assert OPERATOR.refusal(text) == f'"{text}" is not an IP address'


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1", "1.1.1.1"])
def test_an_operator_may_mean_any_host(address: str) -> None:
    assert OPERATOR.refusal(address) is None


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fe80::1%eth0", "fd00:ec2::254"]
)
def test_an_operator_hardly_means_a_metadata_service(address: str) -> None:
    bare = address.partition("%")[0]

    assert OPERATOR.refusal(address) == f"{bare} is a link-local or metadata address"


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",  # mapped
        "::169.254.169.254",  # compatible
        "::ffff:0:169.254.169.254",  # translated
        "64:ff9b::169.254.169.254",  # NAT64
        "64:ff9b::100.100.100.200",
        "64:ff9b:1::169.254.169.254",  # NAT64 of one's own, at the end
        "64:ff9b:1:a9fe:00a9:fe00::",  # after a prefix of 48 bits
        "64:ff9b:1:6464:0064:c800::",  # likewise 100.100.100.200, which no other prefix makes link-local
        "64:ff9b:1:00a9:00fe:a9fe::",  # 56
        "64:ff9b:1:0:00a9:fea9:fe00:0",  # 64
        "2002:a9fe:a9fe::1",  # 6to4
        "2001:0:a9fe:a9fe::1",  # Teredo's server
        "2001:0:102:304:0:0:5601:5601",  # Teredo's client, inverted
        "fd00:1::5efe:169.254.169.254",  # ISATAP
        "fd00:1::200:5efe:168.63.129.16",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "192.0.0.192",
    ],
)
def test_a_metadata_service_is_refused_to_operators_in_every_wrapping(address: str) -> None:
    assert str(OPERATOR.refusal(address)).endswith(" is a link-local or metadata address")
    assert PUBLIC.refusal(address) is not None


@pytest.mark.parametrize("address", ["64:ff9b::10.0.0.1", "2002:a00:1::1", "::ffff:127.0.0.1", "fd00:1::5efe:10.0.0.1"])
def test_other_addresses_in_a_wrapping_are_an_operators_own_business(address: str) -> None:
    assert OPERATOR.refusal(address) is None


NAMED = AddressPolicy(hosts=parse_hosts(["hooks.internal", "*.Corp.example."]))


@pytest.mark.parametrize("host", ["hooks.internal", "HOOKS.internal.", "a.corp.example", "a.b.corp.example"])
def test_an_allowed_name_may_lead_to_a_private_address(host: str) -> None:
    assert NAMED.refusal("10.0.0.5", host) is None
    assert NAMED.refusal("::1", host) is None


@pytest.mark.parametrize("host", [None, "10.0.0.5", "0xa000005", "corp.example", "xcorp.example", "x.hooks.internal"])
def test_another_name_may_not_lead_there(host: str | None) -> None:
    assert NAMED.refusal("10.0.0.5", host) is not None


@pytest.mark.parametrize("address", ["169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1"])
def test_an_allowed_name_does_not_lead_to_a_metadata_service(address: str) -> None:
    reason = f"{address} is a link-local or metadata address; callbacks.allow_networks would permit it"

    assert NAMED.refusal(address, "hooks.internal") == reason


def test_the_refusal_of_a_name_tells_that_names_can_be_allowed() -> None:
    reason = "10.0.0.5 is not a public address; callbacks.allow_networks would permit it"

    assert NAMED.refusal("10.0.0.5", "other.internal") == f"{reason}, or callbacks.allow_hosts its name"
    assert NAMED.refusal("10.0.0.5", "10.0.0.5") == reason


@pytest.mark.parametrize(
    "value", ["", "*", "*.", ".", "10.0.0.1", "*.1", "0x7f000001", "[::1]", "::1", "a b", "a/b", "ä.de"]
)
def test_what_is_no_host_name_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        parse_hosts([value])


@pytest.mark.parametrize("operator", [False, True])
def test_allowed_networks_are_let_through_and_nothing_beside_them(operator: bool) -> None:
    policy = AddressPolicy(parse_networks(["169.254.169.254", "127.0.0.0/8", "fe80::/64"]), operator=operator)

    assert policy.refusal("127.9.9.9") is None
    assert policy.refusal("::ffff:127.9.9.9") is None
    assert policy.refusal("169.254.169.254") is None
    assert policy.refusal("fe80::7%eth0") is None
    assert policy.refusal("169.254.169.253") is not None
    assert policy.refusal("fe80:0:0:1::7") is not None


def test_networks_may_be_written_with_host_bits() -> None:
    assert [str(network) for network in parse_networks(["10.1.2.3/8", "::1"])] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("value", ["", "localhost", "10.0.0.0/33", "10.0.0.0/8/8", "10.*"])
def test_what_is_no_network_is_refused(value: str) -> None:
    with pytest.raises(ValueError):
        parse_networks([value])
