"""The body of a request: a form, read strictly (RFC 6749 section 3.2 and appendix B)."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec

from mintls.core.oauth.errors import InvalidRequest, Reason

_MEDIA_TYPE = "application/x-www-form-urlencoded"
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
MAX_PARAMETERS = 64
# RFC 8707 section 2: the one parameter that may be given several times.
REPEATABLE = frozenset({"resource"})


class Form(msgspec.Struct, frozen=True):
    """The parameters of a request. It has no repr of its values: a token may be among them."""

    _values: Mapping[str, tuple[str, ...]]

    def one(self, name: str) -> str | None:
        """The value of a parameter, ``None`` if it is missing."""
        values = self._values.get(name)
        return values[0] if values else None

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a parameter that may be given several times."""
        return self._values.get(name, ())

    def lacks(self, *names: str) -> bool:
        """Whether none of the parameters has a value."""
        return self._values.keys().isdisjoint(names)

    @property
    def names(self) -> frozenset[str]:
        """The names of all parameters that have a value."""
        return frozenset(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"Form({len(self._values)} parameters)"


def parse_form(content_type: str | None, body: bytes) -> Form:
    """Read a form.

    A parameter without a value counts as missing, and unknown parameters are ignored (RFC 6749 section 3.2).

    Args:
        content_type: The ``Content-Type`` header, ``None`` if there was none.
        body: The body, whole and not compressed.

    Raises:
        InvalidRequest: Another media type or character set, a broken encoding, too many or repeated parameters.
    """
    _check_media_type(content_type)
    return _parse(body)


def parse_query(query: str) -> Form:
    """Read the query of a URL as a form is read, but for one thing: a parameter without a value is an error.

    Whoever demands something by it means to; a value that got lost must not be a demand that nobody makes.

    Args:
        query: As it was sent, percent-encoded.

    Raises:
        InvalidRequest: A broken encoding, too many, repeated or empty parameters.
    """
    empty = next((pair for pair in query.split("&") if pair and not pair.partition("=")[2]), None)
    if empty is not None:
        raise InvalidRequest(Reason.MALFORMED_DEMAND, f"parameter {empty[:64]!r} has no value")
    try:
        return _parse(query.encode(errors="surrogatepass"))
    except InvalidRequest as error:
        raise InvalidRequest(Reason.MALFORMED_DEMAND, error.detail) from error


def _parse(body: bytes) -> Form:
    plain = b"%" not in body and body.isascii()
    if not plain and _BROKEN_ESCAPE.search(body):
        raise InvalidRequest(Reason.MALFORMED_BODY, "a % is not followed by two hexadecimal digits")
    # ISO 8859-1 is reversible: octets beyond ASCII are read as UTF-8 where they stand.
    text = body.decode("latin-1").replace("+", " ")
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    if len(pairs) > MAX_PARAMETERS:
        raise InvalidRequest(Reason.MALFORMED_BODY, f"{len(pairs)} parameters, at most {MAX_PARAMETERS} are read")
    if not plain:
        pairs = [(_unescaped(name), equals, _unescaped(value)) for name, equals, value in pairs]
    return Form(_collect(pairs))


def _collect(pairs: list[tuple[str, str, str]]) -> Mapping[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for name, _, value in pairs:
        own = (value,) if value else ()
        if name not in values:
            values[name] = own
        elif name in REPEATABLE:
            values[name] += own
        else:
            raise InvalidRequest(Reason.REPEATED_PARAMETER, f"parameter {name[:64]!r} is given several times")
    return values if all(values.values()) else {name: own for name, own in values.items() if own}


def _unescaped(text: str) -> str:
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(Reason.MALFORMED_BODY, f"not UTF-8: {error.reason}") from None


def _check_media_type(content_type: str | None) -> None:
    if content_type == _MEDIA_TYPE:
        return
    if media_type(content_type) != _MEDIA_TYPE:
        raise InvalidRequest(Reason.WRONG_MEDIA_TYPE, f"Content-Type {(content_type or '')[:64]!r}")
    check_charset(content_type)


def media_type(content_type: str | None) -> str:
    """The media type of a Content-Type in lower case, without parameters; "" if there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def check_charset(content_type: str | None) -> None:
    """Make sure that a Content-Type names no other character set than UTF-8.

    Raises:
        InvalidRequest: It does.
    """
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(' "').lower() not in {"utf-8", "utf8"}:
            raise InvalidRequest(Reason.WRONG_MEDIA_TYPE, f"charset {value[:64]!r}")
