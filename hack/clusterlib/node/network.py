"""The network namespace of a node, and the cable (a pair of veth devices) between it and the machine.

The addresses come from 198.18.0.0/15, which RFC 2544 sets aside for tests: nobody's network uses it.
"""

import ipaddress
import json
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

from clusterlib.errors import StartError
from clusterlib.node.machine import program
from clusterlib.paths import ClusterDir

RANGE = ipaddress.IPv4Network("198.18.0.0/15")
_CABLES = 1 << (30 - RANGE.prefixlen)
_NAMESPACES = Path("/run/netns")


def enter(label: str) -> list[str]:
    """The start of a command line that runs in the namespace.

    Not ``ip netns exec``: that mounts another /sys, in which no cgroups are to be seen.
    """
    return [program("nsenter"), f"--net={_NAMESPACES / label}", "--"]


def choose_addresses(mark: str, taken: Collection[str]) -> tuple[str, str]:
    """The machine's and the node's end of a cable that overlaps none of the *taken* addresses; raises StartError.

    Nearly always those that belong to *mark*, so that a cluster that is made anew has the address it had.

    >>> choose_addresses("00000001", taken=())
    ('198.18.0.5', '198.18.0.6')
    >>> choose_addresses("00000001", taken=("198.18.0.6",))
    ('198.18.0.9', '198.18.0.10')
    """
    occupied = {ipaddress.IPv4Address(address) for address in taken}
    for cable in _cables_from(int(mark, 16)):
        ends = tuple(cable.hosts())
        if not occupied.intersection(ends):
            return str(ends[0]), str(ends[1])
    raise StartError(f"every address of {RANGE} is taken on this machine: see `ip addr`.")


def _cables_from(start: int) -> Iterator[ipaddress.IPv4Network]:
    base = int(RANGE.network_address)
    for offset in range(_CABLES):
        yield ipaddress.IPv4Network((base + (start + offset) % _CABLES * 4, 30))


def taken_addresses() -> list[str]:
    """The IPv4 addresses of this machine; raises StartError."""
    found = json.loads(_ip("-json", "-4", "address", "show"))
    # A cable's other end is as taken as this one.
    return [each["local"] for device in found for each in device.get("addr_info", ())]


def exists(folder: ClusterDir) -> bool:
    """Whether the namespace is there."""
    return (_NAMESPACES / folder.label).exists()


def lay(folder: ClusterDir, gateway: str, address: str) -> None:
    """Make the namespace with its cable; raises StartError. What is there of an earlier one has to be gone."""
    outside, label = _outside(folder), folder.label
    _ip("netns", "add", label)
    _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", label)
    _ip("address", "add", f"{gateway}/30", "dev", outside)
    _ip("link", "set", outside, "up")
    _ip("-netns", label, "link", "set", "lo", "up")
    _ip("-netns", label, "address", "add", f"{address}/30", "dev", "eth0")
    _ip("-netns", label, "link", "set", "eth0", "up")
    _ip("-netns", label, "route", "add", "default", "via", gateway)


def remove(folder: ClusterDir) -> None:
    """Take the namespace and the cable away, whatever is there of them; raises StartError."""
    if exists(folder):
        _ip("netns", "delete", folder.label)
    # The kernel deletes the cable with its namespace, in its own time, and a process may hold the namespace still.
    if (Path("/sys/class/net") / _outside(folder)).exists():
        subprocess.run([program("ip"), "link", "delete", _outside(folder)], capture_output=True, check=False)


def _outside(folder: ClusterDir) -> str:
    # An interface's name has 15 characters at most.
    return f"mt{folder.mark}"


def _ip(*arguments: str) -> str:
    done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"`ip {' '.join(arguments)}` ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
