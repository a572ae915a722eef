"""A request counts for the address that it came from, however a proxy writes that."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.addresses import address_in, counted_network, network_in

PROXIES = ("10.0.0.0/8",)
ADDRESSES = st.ip_addresses()
PORTS = st.integers(0, 65_535)


@pytest.mark.parametrize(
    ("client", "forwarded", "trusted", "network"),
    [
        ("192.0.2.7", [], (), "192.0.2.7"),
        # Whoever sends the header himself gains nothing.
        ("192.0.2.7", ["198.51.100.1"], (), "192.0.2.7"),
        ("10.0.0.1", ["198.51.100.1"], ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], ("10.0.0.0/8",), "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], ("10.0.0.0/8",), "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], ("10.0.0.0/8",), "203.0.113.9"),
        ("10.0.0.1", [], ("10.0.0.0/8",), "10.0.0.1"),
        ("2001:db8::1:2:3:4", [], (), "2001:db8::/64"),
        ("::ffff:192.0.2.7", [], (), "192.0.2.7"),
        ("", [], (), ""),
        ("10.0.0.1", ["not an address"], ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], ("10.0.0.0/8",), "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, , ", ","], ("10.0.0.0/8",), "198.51.100.1"),
        ("::ffff:10.0.0.1", ["203.0.113.7:51234"], ("10.0.0.0/8",), "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7:51234, 10.0.0.9:80"], ("::ffff:10.0.0.0/104",), "203.0.113.7"),
        ("fe80::1%eth0", ["[2001:DB8::1]:4711"], ("fe80::/10",), "2001:db8::/64"),
        # Behind NAT64 all of IPv4 would share one /64; what is not public is never inside.
        ("64:ff9b::808:808", [], (), "8.8.8.8"),
        ("10.0.0.1", ["[64:FF9B::8.8.4.4]:4711"], ("10.0.0.0/8",), "8.8.4.4"),
        ("64:ff9b::10.0.0.1", ["8.8.8.8"], ("10.0.0.0/8",), "64:ff9b::/64"),
        ("64:ff9b:1::808:808", [], (), "64:ff9b:1::/64"),
        ("/run/pod.sock", ["198.51.100.1"], ("10.0.0.0/8",), ""),
    ],
)
def test_a_request_counts_for_the_network_that_it_came_from(
    client: str, forwarded: list[str], trusted: tuple[str, ...], network: str
) -> None:
    assert counted_network(client, forwarded, trusted) == network


@given(ADDRESSES, PORTS, st.text("abcETH0-9.", max_size=8))
def test_d1_one_address_has_one_form_however_it_is_written(
    address: IPv4Address | IPv6Address, port: int, zone: str
) -> None:
    normal = address
    if isinstance(address, IPv6Address):
        inside = IPv4Address(int(address) & 0xFFFFFFFF)
        is_translated = address in IPv6Network("64:ff9b::/96") and inside.is_global
        normal = inside if address.ipv4_mapped or is_translated else address
    texts = [str(address), f" {address} ", f"\t{str(address).upper()}"]
    if isinstance(address, IPv4Address):
        texts += [f"{address}:{port}", f"::ffff:{address}", f"[::FFFF:{address}]:{port}"]
    else:
        texts += [f"[{address}]", f"[{address}]:{port}", address.exploded, f"{address}%{zone}"]
        texts += [f"[{address}%{zone}]:{port}", f"[{address}%25{zone}]"]
    assert {address_in(text) for text in texts} == {normal}
    networks = {counted_network("10.0.0.1", ["192.0.2.1, " + text], PROXIES) for text in texts}
    # Further hops are looked at behind proxies of ours only.
    assert len(networks) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "unknown", "UNKNOWN", "_hidden", "_SEVKISEK:1", "localhost", "example.org:80",
        "203.0.113.7:", "203.0.113.7:x", "203.0.113.7:123456", "203.0.113", "203.0.113.7.1",
        "203.0.113.256", "010.0.0.1", "0x7f.0.0.1", "2130706433", "203.0.113.7/32", "::1/128",
        "[::1", "::1]", "[::1]x", "[::1]:", "[]", ":::1", "2001:db8::1::",
        "\uff11.2.3.4", "\u0661.2.3.4", "203.0.113.7\n", "203.0.113.7\x00", "for=203.0.113.7",
        '"203.0.113.7"', "%eth0", "1" * 5_000, "[" * 70,
    ],
)  # fmt: skip
def test_d1_what_is_no_address_gets_no_limit_of_its_own(text: str) -> None:
    assert address_in(text) is None
    for line in (text, f"198.51.100.1, {text}"):
        found = counted_network("10.0.0.1", [line], PROXIES)
        # An empty element of a list is none.
        last = "198.51.100.1" if line != text and not text.strip() else "10.0.0.1"
        assert found == last


@given(st.text(max_size=60))
def test_no_text_counts_for_anything_but_an_address(text: str) -> None:
    found = counted_network("10.0.0.1", [text], PROXIES)
    assert str(ip_network(found)) in {found, f"{found}/32"}


def test_networks_are_of_the_same_form() -> None:
    assert network_in(" ::ffff:192.0.2.0/120 ") == ip_network("192.0.2.0/24")
    assert network_in("::/0") == ip_network("::/0")
    assert ip_address("192.0.2.7") in network_in("192.0.2.7")
    with pytest.raises(ValueError, match="host bits"):
        network_in("10.0.0.1/8")
