"""Which addresses a callback, and an operator's own destination, may reach."""

import pytest

from relay.core.address import AddressPolicy, parse_networks

PUBLIC = AddressPolicy()
OPERATOR = AddressPolicy(operator=True, setting="destinations.ops.url")


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


def test_a_mapped_metadata_service_is_refused_to_operators_as_well() -> None:
    assert OPERATOR.refusal("::ffff:169.254.169.254") is not None


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
