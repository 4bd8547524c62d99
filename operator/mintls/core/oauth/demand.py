"""Where a proxy says what it demands of a token, when the query is not its own but that of the request it asks about.

Envoy's ``ext_authz`` puts the client's path and query behind a path of its own. So the demand is in that path, or the
path says that it is in a header: both are the proxy's words, and no request can change what that path begins with.
"""

from collections.abc import Mapping

from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.form import Form, parse_query
from mintls.core.oauth.forwarded_certificate import HeaderLines

DEMAND_HEADER = "X-Token-Demand"
"""All of the demand in one header: of several, whoever asks could add one that the proxy does not overwrite."""
IN_HEADER = "demand=header"
"""What the path says when the demand is in the header."""


def split_prefix(path: str, own: str) -> tuple[str, str]:
    """Take apart ``/verify;DEMAND/the/clients/path?and=query``.

    The demand ends with the first slash, and a client's path begins with one (RFC 9112 section 3.2.1).

    Args:
        path: Path and query as they were sent, percent-encoded.
        own: The path in front of the semicolon.

    Returns:
        The demand, written as a query is, and the client's path and query.

    Raises:
        InvalidRequest: It is made in another way.
    """
    before, _, behind = path.partition(";")
    demand, slash, rest = behind.partition("/")
    if before != own or not slash:
        raise InvalidRequest(
            Reason.MALFORMED_DEMAND, "the path has to be the prefix, and then a path that begins with /"
        )
    return demand, slash + rest


def demanded(text: str, lines: HeaderLines) -> Form:
    """The demand, from the path or from where the path says that it is.

    Args:
        text: What the path says.
        lines: The headers of the request.

    Raises:
        InvalidRequest: It is malformed, or is to be in the header and is not there once.
    """
    if text != IN_HEADER:
        return parse_query(text)
    return _in_header(lines)


def demand_of(context: Mapping[str, str], lines: HeaderLines) -> Form:
    """The demand of a call over gRPC.

    Args:
        context: What the configuration of the client's route says, which counts alone if it says anything.
        lines: The metadata of the call, which is the proxy's own.

    Raises:
        InvalidRequest: It is malformed, or there is none.
    """
    if not context:
        return _in_header(lines)
    empty = next((name for name, value in context.items() if not value), None)
    if empty is not None:
        raise InvalidRequest(Reason.MALFORMED_DEMAND, f"context_extensions: {empty[:64]!r} has no value")
    return Form({name: (value,) for name, value in context.items()})


def _in_header(lines: HeaderLines) -> Form:
    found = lines(DEMAND_HEADER)
    if len(found) != 1:
        raise InvalidRequest(Reason.MALFORMED_DEMAND, f"{DEMAND_HEADER} is there {len(found)} times, not once")
    return parse_query(found[0].strip(" \t"))
