"""Addresses that a URL which a user chose must not lead the issuer to: else they would be reached through it.

The issuer stands inside of the cluster and can reach what its users cannot: the API server, other pods, the cloud's
metadata service. Only what is reachable for everybody is allowed.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# RFC 6052 section 2.1: a translator on the way turns the last 32 bits into an IPv4 address.
_NAT64 = ip_network("64:ff9b::/96")
# RFC 4291 section 2.5.5.1, long deprecated.
_COMPATIBLE = ip_network("::/96")
# Azure's metadata and DNS service answers its virtual machines at a public address.
_METADATA = frozenset({IPv4Address("168.63.129.16")})


def is_internal(address: str) -> bool:
    """Whether an address is of this machine, this network or this cloud.

    So are loopback, RFC 1918, link-local, unique local (RFC 4193), carrier-grade NAT (RFC 6598), metadata services, and
    whatever else IANA's registries of special-purpose addresses (RFC 6890) do not call globally reachable. What cannot
    be read is internal.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return any(_not_global(one) for one in (found, *_embedded(found)))


def _not_global(address: IPv4Address | IPv6Address) -> bool:
    return not address.is_global or address.is_multicast or address in _METADATA


def _embedded(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses inside of an IPv6 address, which something on the way may take out."""
    if isinstance(address, IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(one for one in found if one is not None)
