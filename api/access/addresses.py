"""Network addresses in one normal form, before anything is compared or counted by them.

Proxies write one client in many ways: with a port, in brackets, with a zone, in capitals, as IPv4
inside IPv6. What is none of these, such as `unknown`, is no address.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_TEXT_MAX: Final = 64
_IPV6: Final = re.compile(r"\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\](?::[0-9]{1,5})?")
_IPV4: Final = re.compile(r"([0-9.]+)(?::[0-9]{1,5})?")
_BARE: Final = re.compile(r"([0-9A-Fa-f:.]+)(?:%.*)?")
_MAPPED_BITS: Final = 96
_NAT64: Final = IPv6Network("64:ff9b::/96")


def address_in(text: str) -> Address | None:
    """Return the address that a text names, without port and zone; None where it names none."""
    text = text.strip(" \t")
    if len(text) > _TEXT_MAX:
        return None
    match = _IPV6.fullmatch(text) or _IPV4.fullmatch(text) or _BARE.fullmatch(text)
    if match is None:
        return None
    try:
        address = ip_address(match[1])
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return address
    return address.ipv4_mapped or _translated(address) or address


def _translated(address: IPv6Address) -> IPv4Address | None:
    if address not in _NAT64:
        return None
    inside = IPv4Address(int(address) & 0xFFFF_FFFF)
    # RFC 6052 puts nothing else there: so nobody is one of our proxies by it.
    return inside if inside.is_global else None


def network_in(text: str) -> Network:
    """Return the network that a text names; raises ValueError."""
    network = ip_network(text.strip())
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def counted_network(peer: str, forwarded: list[str], trusted: tuple[str, ...]) -> str:
    """Return the network that a request counts for.

    peer:      address of whoever is connected; empty where that has none.
    forwarded: values of X-Forwarded-For; believed from the right as far as proxies are trusted.
    trusted:   networks of our own proxies.

    What is no address is nobody: then the last one that is known counts, so that nobody gets
    limits of his own by making names up. IPv6 counts by /64, which is what one customer is given.
    """
    address = address_in(peer)
    if address is None:
        return ""
    networks = _networks(trusted)
    hops = [hop for line in forwarded for hop in line.split(",") if hop.strip(" \t")]
    while hops and any(address in network for network in networks):
        named = address_in(hops.pop())
        if named is None:
            break
        address = named
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(network_in, texts))
