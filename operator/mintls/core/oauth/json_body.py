"""The body of a token request as a JSON object, where the issuer takes that beside a form.

No RFC has it: RFC 6749 section 4.4.2 wants a form. Some clients send JSON all the same. What may be said is the same as
in a form, read as strictly: members are strings, ``resource`` may be a list of them.
"""

import json
from typing import Any

from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.form import MAX_PARAMETERS, REPEATABLE, Form

MEDIA_TYPE = "application/json"


def parse_json(body: bytes) -> Form:
    """Read a JSON object as the parameters of a request (RFC 8259).

    A member with an empty value counts as missing, and unknown ones are ignored, as in a form.

    Raises:
        InvalidRequest: No JSON object in UTF-8, a value that is no string, too many or repeated members.
    """
    try:
        parsed = json.loads(body.decode(), object_pairs_hook=_Members)
    # A body that is nested thousandfold ends the parser, not the issuer.
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(Reason.MALFORMED_BODY, f"no JSON in UTF-8: {type(error).__name__}") from None
    if not isinstance(parsed, _Members):
        raise InvalidRequest(Reason.MALFORMED_BODY, "the JSON is no object")
    if len(parsed) > MAX_PARAMETERS:
        raise InvalidRequest(Reason.MALFORMED_BODY, f"{len(parsed)} parameters, at most {MAX_PARAMETERS} are read")
    names = [name for name, _ in parsed]
    if len(set(names)) < len(names):
        raise InvalidRequest(Reason.REPEATED_PARAMETER, "a member of the JSON object is given several times")
    return Form({name: values for name, value in parsed if (values := _values(name, value))})


class _Members(list[tuple[str, Any]]):
    """An object's members as they came, so that a repeated one is seen."""


def _values(name: str, value: Any) -> tuple[str, ...]:
    several = type(value) is list and name in REPEATABLE
    values = value if several else [value]
    if len(values) > MAX_PARAMETERS or not all(_is_text(each) for each in (name, *values)):
        raise InvalidRequest(Reason.MALFORMED_BODY, f"member {ascii(name)[:64]} of the JSON object is no string")
    return tuple(each for each in values if each)


def _is_text(value: Any) -> bool:
    """Whether it is a string of Unicode characters: an escape can also make half of one (RFC 8259 section 8.2)."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)
