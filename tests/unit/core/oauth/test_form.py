"""Reading a form: strict, and never more than an OAuth error for whatever comes."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.oauth.errors import InvalidRequest, OAuthError, Reason
from mintls.core.oauth.form import parse_form
from mintls.core.oauth.token_request import parse_token_request

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        (b"a=1", "a", "1"),
        (b"a=x+y", "a", "x y"),
        (b"a=x%2By", "a", "x+y"),
        (b"a=%E2%82%AC", "a", "\u20ac"),
        ("a=\u20ac".encode(), "a", "\u20ac"),
        (b"a=b=c", "a", "b=c"),
        (b"&&a=1&", "a", "1"),
        (b"client%5Fid=x", "client_id", "x"),
        (b"a+b=1", "a b", "1"),
        (b"a", "a", None),
        (b"a=", "a", None),
        (b"b=1", "a", None),
    ],
)
def test_a_parameter_is_decoded(body: bytes, name: str, value: str | None) -> None:
    assert parse_form(FORM, body).one(name) == value


def test_only_resource_may_be_given_several_times() -> None:
    assert parse_form(FORM, b"resource=a&resource=b").every("resource") == ("a", "b")
    with pytest.raises(InvalidRequest) as refused:
        parse_form(FORM, b"a=1&a=1")
    assert refused.value.reason is Reason.REPEATED_PARAMETER


@pytest.mark.parametrize("body", [b"a=&a=1", b"a=1&%61=2", b"a&a"])
def test_a_repetition_is_seen_through_every_spelling(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_form(FORM, body)


@pytest.mark.parametrize("body", [b"a=%", b"a=%1", b"a=%g0", b"%=1", b"a=%c3", b"a=%ff", b"a=\xc3", b"a=%ed%a0%80"])
def test_a_broken_encoding_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_form(FORM, body)
    assert refused.value.reason is Reason.MALFORMED_BODY


def test_the_number_of_parameters_is_limited() -> None:
    parse_form(FORM, b"&".join(b"p%d=1" % n for n in range(64)))
    with pytest.raises(InvalidRequest):
        parse_form(FORM, b"&".join(b"p%d=1" % n for n in range(65)))


@pytest.mark.parametrize(
    ("content_type", "fine"),
    [
        (FORM, True),
        (f" {FORM} ; charset=utf-8", True),
        (f"{FORM}; boundary=x", True),
        (FORM.title(), True),
        (f"{FORM}; charset=iso-8859-1", False),
        (f"{FORM}x", False),
        ("application/json", False),
        ("", False),
        (None, False),
    ],
)
def test_the_media_type_has_to_be_a_form_in_utf_8(content_type: str | None, *, fine: bool) -> None:
    if fine:
        parse_form(content_type, b"a=1")
        return
    with pytest.raises(InvalidRequest) as refused:
        parse_form(content_type, b"a=1")
    assert refused.value.reason is Reason.WRONG_MEDIA_TYPE


def test_a_form_does_not_show_its_values() -> None:
    form = parse_form(FORM, b"token=s3cret")
    assert "s3cret" not in repr(form)
    assert "s3cret" not in str(form)


NAMES = st.sampled_from(["grant_type", "client_id", "scope", "resource", "token", "client_secret", "x"])


def outcome(content_type: str | None, body: bytes) -> OAuthError | None:
    try:
        parse_token_request(parse_form(content_type, body))
    except OAuthError as error:
        return error
    return None


@given(st.binary(max_size=300), st.text(max_size=60) | st.none() | st.just(FORM))
def test_any_bytes_give_a_request_or_an_oauth_error(body: bytes, content_type: str | None) -> None:
    error = outcome(content_type, body)
    assert error is None or (error.description.isascii() and not set(error.description) & {'"', "\\"})


@given(st.lists(st.tuples(NAMES, st.text(max_size=20)), max_size=6), st.sampled_from(["&", "&&", "&=&", "&%"]))
def test_almost_good_forms_give_a_request_or_an_oauth_error(pairs: list[tuple[str, str]], separator: str) -> None:
    body = separator.join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in pairs)
    error = outcome(FORM, body.encode())
    assert error is None or error.code == "invalid_request"


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=10))
def test_what_urllib_encodes_is_decoded_to_the_same(parameters: dict[str, str]) -> None:
    encodable = {n: v for n, v in parameters.items() if (n + v).isprintable()}
    form = parse_form(FORM, urlencode(encodable).encode())
    assert {name: form.one(name) for name in encodable} == encodable
