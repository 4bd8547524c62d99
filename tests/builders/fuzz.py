"""Input that nobody would send by mistake, and what has to hold of whatever is answered.

In ``make integration`` the examples are few and always the same, so that a run says something about the change and
nothing about luck; ``make fuzz`` looks for new ones, as many as it is told.
"""

import base64
import json
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from mintls.core.oauth.errors import OAuthError

DEFAULT = 100
"""Examples of a test by hypothesis where nobody says how many."""
FUZZ_PROFILE = "fuzz"

# RFC 6749 section 5.2, of error and error_description.
PERMITTED = frozenset(chr(code) for code in (0x20, 0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)))


def fuzzed(examples: int) -> settings:
    """Decorates a test: so many examples, the same each time; under ``make fuzz`` as many as wanted, and new ones."""
    wanted = settings.default
    assert wanted is not None
    exploring = wanted.max_examples > DEFAULT
    return settings(
        max_examples=wanted.max_examples if exploring else examples,
        derandomize=not exploring,
        # Inputs are made of other inputs, and some of them are large.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # Phase.explain would print large inputs
    )


def check_refusal(error: OAuthError) -> None:
    """What goes out has the characters that may, and what is logged can be written down."""
    assert error.description
    assert set(error.description) <= PERMITTED
    assert set(error.code) <= PERMITTED
    msgspec.json.encode(error.detail)


_PUT = st.binary(max_size=6) | st.sampled_from([b"%", b"%00", b"\x00", b"\xff", b"=", b"&", b'"', b"\\", b","])


def _edit(value: bytes, at: int, length: int, put: bytes, how: str) -> bytes:
    begin = at % (len(value) + 1)
    match how:
        case "replace":
            return value[:begin] + put + value[begin + length :]
        case "insert":
            return value[:begin] + put + value[begin:]
        case "repeat":
            return value[: begin + length] + value[begin:]
        case "increase" if begin < len(value):
            return value[:begin] + bytes([(value[begin] + length + 1) % 256]) + value[begin + 1 :]
    return value[:begin]


EDITS = st.tuples(
    st.integers(0, 1 << 16),
    st.integers(0, 8),
    _PUT,
    st.sampled_from(["replace", "insert", "repeat", "increase", "cut"]),
)
"""A change somewhere: octets taken out, put in, repeated or changed, or all that follows cut off."""


def changed(*samples: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """One of the samples, with up to so many changes."""

    return st.builds(edited, st.sampled_from(samples), st.lists(EDITS, max_size=most))


def edited(sample: bytes, changes: list[tuple[int, int, bytes, str]]) -> bytes:
    """The sample with these changes, one after the other."""
    for change in changes:
        sample = _edit(sample, *change)
    return sample


def changed_text(*samples: str, most: int = 4) -> st.SearchStrategy[str]:
    """As ``changed``, of text; whatever is no UTF-8 afterwards is text all the same."""
    return changed(*(sample.encode() for sample in samples), most=most).map(
        lambda value: value.decode(errors="replace")
    )


def header_values(*samples: bytes) -> st.SearchStrategy[bytes]:
    """What can stand in a line of a header: not its end, and no NUL, which HTTP refuses."""
    anything = st.binary(max_size=60) | (changed(*samples) if samples else st.nothing())
    return anything.map(in_a_header)


def in_a_header(value: bytes) -> bytes:
    """What is left of it that can stand in a line of a header."""
    return value.translate(None, b"\r\n\x00").strip(b" \t")


def as_aiohttp_has_it(value: bytes) -> str:
    """A header's value as text: what is no UTF-8 is in it as lone surrogates."""
    return value.decode("utf-8", "surrogateescape")


_NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, -(10**400), 1e308, 1e-308])
_TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "\x00", "\ud800", "\udfff\ud800", "\u202e", "\U0001f512", "a" * 300]
)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.integers() | st.floats() | _TEXTS,
    lambda value: st.lists(value, max_size=3) | st.dictionaries(_TEXTS, value, max_size=3),
    max_leaves=6,
)
"""What ``json.dumps`` writes down: also numbers that are none, and halves of characters, as escapes."""


def changed_object(
    *samples: dict[str, Any], names: tuple[str, ...] = (), **members: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """One of the objects with members taken out, of another value, or of one that is made for it."""
    known = sorted({*names, *(name for sample in samples for name in sample)})
    others = st.dictionaries(st.sampled_from(known) | _TEXTS, JSON_VALUES, max_size=3)
    if members:
        others = others | st.fixed_dictionaries({}, optional=members)
    gone = st.sets(st.sampled_from(known), max_size=1)
    return st.builds(
        lambda sample, other, without: {name: value for name, value in (sample | other).items() if name not in without},
        st.sampled_from(samples),
        others,
        gone,
    )


DEEP = st.sampled_from(
    [
        nested
        for depth in (100, 900, 4000)
        for nested in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth)
    ]
    + ["[" * 12_000]
)
"""JSON that is nested so deep that a parser may give up."""


def json_octets(value: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """It in JSON; now and then with a member that is nested deep, or broken."""
    whole = value.map(lambda one: json.dumps(one).encode())
    deep = st.builds(lambda body, nested: body[:-1] + b', "deep": ' + nested.encode() + b"}", whole, DEEP)
    broken = st.builds(lambda body, edit: _edit(body, *edit), whole, EDITS)
    return st.one_of(whole, whole, whole, broken, deep)


def compact(header: bytes, payload: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """A JWS in compact serialization, signed with ES256 whatever its header says (RFC 7515 section 7.1)."""
    signing_input = b".".join((_base64url(header), _base64url(payload)))
    r, s = decode_dss_signature(key.sign(signing_input, ec.ECDSA(SHA256())))
    return b".".join((signing_input, _base64url(r.to_bytes(32) + s.to_bytes(32)))).decode("ascii")


def _base64url(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")
