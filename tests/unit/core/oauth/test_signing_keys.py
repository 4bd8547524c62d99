"""Which key signs, which are published, and that the document is read as strictly as a key deserves."""

import json
from datetime import datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from builders.issuer import signing_key_made
from builders.pki import DAY, HOUR, NOW, ec_key, rsa_key
from mintls.core.oauth.signing_keys import (
    SigningKey,
    SigningKeysBroken,
    decode_signing_keys,
    encode_signing_keys,
    jwks,
    key_id,
    published_keys,
    signing_key,
)
from mintls.core.pki.keys import encode_private_key


def document(**changes: Any) -> bytes:
    """A good document of one key, with changed fields; ``None`` leaves one out."""
    value = json.loads(encode_signing_keys([signing_key_made()]))
    entry = value["keys"][0] | changes
    value["keys"] = [{name: field for name, field in entry.items() if field is not None or name == "retireAt"}]
    return json.dumps(value).encode()


def test_what_is_written_is_read() -> None:
    keys = [signing_key_made(), signing_key_made(NOW, sign_from=NOW + HOUR), signing_key_made(retire_at=NOW)]
    read = decode_signing_keys(encode_signing_keys(keys))
    assert [(k.kid, k.alg, k.created_at, k.sign_from, k.retire_at) for k in read] == [
        (k.kid, k.alg, k.created_at, k.sign_from, k.retire_at) for k in keys
    ]
    assert [k.private_key.private_numbers() for k in read] == [k.private_key.private_numbers() for k in keys]


def test_the_document_is_the_agreed_one() -> None:
    key = signing_key_made()
    [entry] = json.loads(encode_signing_keys([key]))["keys"]
    assert entry == {
        "kid": key.kid,
        "alg": "ES256",
        "privateKey": encode_private_key(key.private_key).decode(),
        "createdAt": key.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signFrom": key.sign_from.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "retireAt": None,
    }


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (b"", "malformed JSON"),
        (b"[]", "keys.json"),
        (b"\xff", "keys.json"),
        (b'{"keys": 1}', "keys.json"),
        (document(kid="another"), "RFC 7638"),
        (document(alg="HS256"), "ES256"),
        (document(alg="none"), "ES256"),
        (document(privateKey="-----BEGIN"), "privateKey"),
        (document(privateKey=encode_private_key(rsa_key()).decode()), "ECDSA of 256 bits"),
        (document(privateKey=encode_private_key(ec_key(ec.SECP384R1())).decode()), "ECDSA of 256 bits"),
        (document(signFrom="2026-01-01T00:00:00"), "signFrom has no time zone"),
        (document(createdAt="yesterday"), "keys.json"),
        (document(signFrom=None), "keys.json"),
    ],
)
def test_a_broken_document_says_what_is_wrong_and_shows_no_key(broken: bytes, word: str) -> None:
    with pytest.raises(SigningKeysBroken) as refused:
        decode_signing_keys(broken)
    assert word in str(refused.value)
    assert "PRIVATE KEY" not in f"{refused.value!r} {refused.value.__cause__!r}".replace("BEGIN PRIVATE KEY)", "")


def test_a_key_does_not_show_itself() -> None:
    key = signing_key_made()
    secret = encode_private_key(key.private_key).decode().split("\n")[1]
    assert "private" not in repr(key)
    assert secret not in repr(decode_signing_keys(encode_signing_keys([key])))


def test_the_kid_is_the_thumbprint_that_joserfc_computes() -> None:
    key = ec_key()
    assert key_id(key.public_key()) == ECKey.import_key(encode_private_key(key)).thumbprint()


def at(created: datetime, sign_from: datetime, retire_at: datetime | None = None) -> SigningKey:
    return signing_key_made(created, sign_from=sign_from, retire_at=retire_at)


OLD = at(NOW - 10 * DAY, NOW - 10 * DAY, NOW + HOUR)
CURRENT = at(NOW - DAY, NOW - HOUR)
NEXT = at(NOW, NOW + DAY)
GONE = at(NOW - 20 * DAY, NOW - 20 * DAY, NOW - DAY)
NAMES = {OLD.kid: "old", CURRENT.kid: "current", NEXT.kid: "next", GONE.kid: "gone"}


@pytest.mark.parametrize(
    ("now", "signs", "published"),
    [
        (NOW, "current", {"old", "current", "next"}),
        (NOW - 2 * HOUR, "old", {"old", "current", "next"}),
        (NOW - HOUR, "current", {"old", "current", "next"}),
        (NOW + HOUR, "current", {"current", "next"}),
        (NOW + DAY, "next", {"current", "next"}),
        (NOW - 2 * DAY, "old", {"gone", "old", "current", "next"}),
    ],
)
def test_the_life_of_a_key(now: datetime, signs: str, published: set[str]) -> None:
    keys = (GONE, OLD, CURRENT, NEXT)
    current = signing_key(keys, now)
    assert current is not None
    assert NAMES[current.kid] == signs
    assert {NAMES[key.kid] for key in published_keys(keys, now)} == published
    assert {NAMES[key["kid"]] for key in jwks(keys, now)["keys"]} == published


def test_a_clock_behind_the_operators_does_not_stop_the_first_key() -> None:
    assert signing_key((NEXT,), NOW) is NEXT


def test_without_a_key_nothing_signs() -> None:
    assert signing_key((), NOW) is None
    assert signing_key((GONE,), NOW) is None


def test_what_signs_is_always_published() -> None:
    keys = (GONE, OLD, CURRENT, NEXT)
    for hours in range(-600, 600, 7):
        now = NOW + hours * HOUR
        assert signing_key(keys, now) in published_keys(keys, now)


def test_the_key_set_is_public_and_other_libraries_read_it() -> None:
    [member] = jwks([CURRENT], NOW)["keys"]
    assert member.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert jwt.PyJWK(member).key.public_numbers() == CURRENT.private_key.public_key().public_numbers()
    assert ECKey.import_key(member).thumbprint() == CURRENT.kid


def test_coordinates_keep_their_leading_zeros() -> None:
    """RFC 7518 section 6.2.1.2: the full size of a coordinate; about one key in 128 has a leading zero."""
    # The private keys 1 to 299 are as good as any others for this, and quicker had than random ones.
    keys = [ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 300)]
    numbers = [key.public_key().public_numbers() for key in keys]
    assert any(coordinate < 2**248 for n in numbers for coordinate in (n.x, n.y)), "else this test shows nothing"
    published = jwks([signing_key_made(private_key=key) for key in keys], NOW)["keys"]
    assert {len(member[coordinate]) for member in published for coordinate in "xy"} == {43}
