"""What is packed comes back, and takes little room."""

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


def test_what_is_like_the_first_takes_a_fraction_of_its_room() -> None:
    packing = Packing(ClientCertificate)
    items = [read(f"billing-{n}", f'Secret "billing-{n}-mtls" has a certificate', f"{n:040x}") for n in range(50)]
    plain = sum(len(msgspec.msgpack.encode(item)) for item in items)
    assert sum(map(len, map(packing.pack, items))) < plain / 2
