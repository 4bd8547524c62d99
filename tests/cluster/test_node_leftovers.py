"""Finding what a node leaves behind."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from clusterlib.node import cgroups, network
from clusterlib.node.leftovers import mounts_below

MOUNTS = r"""
22 1 254:0 / / rw - ext4 /dev/vda rw
31 22 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 22 0:28 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw
40 22 0:41 / /state/clusters/one/node/pods/a/volume rw - tmpfs tmpfs rw
41 22 0:42 / /state/clusters/one/with\040blank rw - tmpfs tmpfs rw
42 22 0:43 / /state/clusters/one/with\040blank rw - tmpfs tmpfs rw
43 22 0:44 / /state/clusters/one-more/volume rw - tmpfs tmpfs rw
""".strip()


def test_every_mount_in_the_clusters_folder_is_found_and_none_of_its_neighbour() -> None:
    found = mounts_below(MOUNTS, (Path("/state/clusters/one"),))
    assert [str(path) for path in found] == [
        "/state/clusters/one/node/pods/a/volume",
        "/state/clusters/one/with blank",
        "/state/clusters/one/with blank",
    ]


def test_hierarchies_of_both_versions_are_found() -> None:
    assert [str(path) for path in cgroups.hierarchies(MOUNTS)] == ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"]


@given(mark=st.text("0123456789abcdef", min_size=8, max_size=8), taken=st.sets(st.integers(0, 40), max_size=20))
def test_a_cable_overlaps_none_that_is_there(mark: str, taken: set[int]) -> None:
    first = network.choose_addresses(mark, ())
    base = int(network.RANGE.network_address)
    start = int(mark, 16) % (1 << 15)
    occupied = [str(network.RANGE[((start + cable) % (1 << 15)) * 4 + 1]) for cable in taken]
    gateway, address = network.choose_addresses(mark, occupied)
    assert gateway not in occupied
    assert (gateway, address) == first or 0 in taken
    assert int(network.ipaddress.IPv4Address(address)) - 1 == int(network.ipaddress.IPv4Address(gateway)) >= base
