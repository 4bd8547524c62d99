"""Reading a JSON body: as strict as a form, and never more than an OAuth error for whatever comes."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.oauth.errors import InvalidRequest, OAuthError, Reason
from mintls.core.oauth.json_body import parse_json
from mintls.core.oauth.token_request import parse_token_request


def test_members_are_parameters() -> None:
    form = parse_json(b'{"a": "1", "empty": "", "resource": ["x", "", "y"], "euro": "\\u20ac"}')
    assert (form.one("a"), form.one("empty"), form.every("resource"), form.one("euro")) == (
        *("1", None),
        ("x", "y"),
        "\u20ac",
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"a"', b"a=1", b"{}{}", b"\xef\xbb\xbf{}", b'{"a": "\xff"}', b"[" * 10_000),
        *(b'{"a": 1}', b'{"a": null}', b'{"a": true}', b'{"a": {}}', b'{"a": ["x"]}', b'{"a": [["x"]]}'),
        *(b'{"resource": [1]}', b'{"resource": [["x"]]}', b'{"resource": {"a": "b"}}', b'{"a": NaN}'),
        *(b'{"a": "\\ud800"}', b'{"\\ud800": "a"}', b'{"a": ' + b"9" * 9000 + b"}"),
        json.dumps({f"p{number}": "1" for number in range(65)}).encode(),
        "{}".encode("utf-16"),
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_json(body)
    assert refused.value.reason is Reason.MALFORMED_BODY


@pytest.mark.parametrize(
    "body", [b'{"a": "1", "a": "1"}', b'{"a": "", "\\u0061": "1"}', b'{"resource": "", "resource": ""}']
)
def test_a_repeated_member_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_json(body)
    assert refused.value.reason is Reason.REPEATED_PARAMETER


@given(
    st.one_of(
        st.binary(),
        st.recursive(st.none() | st.text() | st.floats(), st.lists).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_comes_is_parameters_or_an_oauth_error(body: bytes) -> None:
    with suppress(OAuthError):
        parse_token_request(parse_json(body))
