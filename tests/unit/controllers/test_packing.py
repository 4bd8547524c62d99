"""What is packed comes back, and takes little room."""

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from builders.objects import certificate_body
from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers.packing import Packing


def read(name: str, message: str = "", serial: str = "") -> ClientCertificate:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Issued",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [ready], "serialNumber": serial, "notAfter": "2026-01-02T00:00:00Z"}
    return msgspec.convert(certificate_body(name, status=status), ClientCertificate)


@given(st.lists(st.tuples(st.text(min_size=1), st.text(), st.text()), min_size=1, max_size=5))
def test_what_was_packed_comes_back_whatever_was_first(some: list[tuple[str, str, str]]) -> None:
    packing, items = Packing(ClientCertificate), [read(*one) for one in some]
    assert [packing.unpack(packed) for packed in map(packing.pack, items)] == items


def test_what_all_have_later_takes_little_room_although_the_first_were_new() -> None:
    packing = Packing(ClientCertificate)
    new = [msgspec.convert(certificate_body(f"billing-{n}"), ClientCertificate) for n in range(5)]
    told = [read(f"billing-{n}", f'Secret "billing-{n}-mtls" has a certificate', f"{n:040x}") for n in range(50)]
    packed = [(item, packing.pack(item)) for item in [*new, *told, *new]]
    assert [packing.unpack(octets) for _, octets in packed] == [item for item, _ in packed]
    plain = sum(len(msgspec.msgpack.encode(item)) for item in told)
    assert sum(len(octets) for item, octets in packed if item in told) < plain / 3


def test_objects_that_have_nothing_in_common_are_not_all_samples() -> None:
    packing, chance = Packing(ClientCertificate), random.Random(1)  # noqa: S311 - no secret
    items = [read(f"n{n}", chance.randbytes(600).hex()) for n in range(50)]
    packed = [packing.pack(item) for item in items]
    assert list(map(packing.unpack, packed)) == items
    assert len({octets[0] for octets in packed}) < 10


def test_an_object_of_any_length_comes_back() -> None:
    packing, chance = Packing(ClientCertificate), random.Random(1)  # noqa: S311 - no secret
    items = [read("long", chance.randbytes(15_000).hex()), read("short"), read("long", "x" * 30_000)]
    assert [packing.unpack(packed) for packed in map(packing.pack, items)] == items


def test_what_is_like_the_first_takes_a_fraction_of_its_room() -> None:
    packing = Packing(ClientCertificate)
    items = [read(f"billing-{n}", f'Secret "billing-{n}-mtls" has a certificate', f"{n:040x}") for n in range(50)]
    plain = sum(len(msgspec.msgpack.encode(item)) for item in items)
    assert sum(map(len, map(packing.pack, items))) < plain / 2
