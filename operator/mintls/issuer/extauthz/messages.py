"""``CheckRequest`` and ``CheckResponse`` of ``envoy.service.auth.v3``: what of them is used here, by field numbers.

The numbers are those of Envoy's API (external_auth.proto, attribute_context.proto, base.proto), which never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.issuer.exchange import Answer
from mintls.issuer.extauthz.wire import MalformedMessageError, Message
from mintls.issuer.extauthz.wire import field as wire

# google.rpc.Code
_OK, _PERMISSION_DENIED, _UNAUTHENTICATED = 0, 7, 16
_OVERWRITE_IF_EXISTS_OR_ADD = 2
"""Of HeaderAppendAction, whose default is to append: the resource must not see what a client wrote itself."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """The request that a proxy asks about.

    Attributes:
        method: Its method.
        scheme: ``https`` or ``http``.
        host: Its ``Host``.
        path: Its path and query as they were sent, percent-encoded.
        certificate: The client's certificate, in PEM and percent-encoded; "" if it presented none.
        context: ``context_extensions``: what the proxy's configuration says beside.
    """

    method: str
    scheme: str
    host: str
    path: str
    certificate: str
    context: Mapping[str, str]
    _headers: Mapping[str, tuple[str, ...]] = field(repr=False)

    def header(self, name: str) -> tuple[str, ...]:
        """The lines of a header by its name. Envoy makes one of several, with commas, unless it sends them raw."""
        return self._headers.get(name.lower(), ())


def read_check_request(data: bytes) -> CheckRequest:
    """Read a ``CheckRequest``.

    Raises:
        InvalidRequest: It is none.
    """
    try:
        attributes = Message(data).message(1)
        http = attributes.message(4).message(2)
        return CheckRequest(
            method=http.text(2),
            scheme=http.text(6),
            host=http.text(5),
            path=http.text(4),
            certificate=attributes.message(1).text(5),
            context={entry.text(1): entry.text(2) for entry in attributes.messages(10)},
            _headers=_headers(http),
        )
    except MalformedMessageError as error:
        raise InvalidRequest(Reason.MALFORMED_DEMAND, f"no CheckRequest: {error}") from None


def _headers(http: Message) -> Mapping[str, tuple[str, ...]]:
    """``headers``, or ``header_map`` where the proxy encodes raw headers."""
    lines: dict[str, tuple[str, ...]] = {}
    for one in (*http.messages(3), *http.message(13).messages(1)):
        name = one.text(1).lower()
        lines[name] = (*lines.get(name, ()), one.text(3) or one.text(2))
    return lines


def check_response(answer: Answer) -> bytes:
    """The ``CheckResponse`` that says what an answer of ``/verify`` does.

    Args:
        answer: 200 lets the request pass, its headers go to the resource. Any other one is what the client gets: also
            one of 500 and above, which over HTTP would be an error that a proxy can be told to let pass.
    """
    if answer.status == 200:
        return wire(1, wire(1, _OK)) + wire(3, b"".join(_option(*one) for one in answer.headers.items()))
    code = _UNAUTHENTICATED if answer.status == 401 else _PERMISSION_DENIED
    headers = {**answer.headers, "Content-Type": answer.content_type}
    denied = wire(1, wire(1, answer.status)) + b"".join(_option(*one) for one in headers.items()) + wire(3, answer.body)
    return wire(1, wire(1, code)) + wire(2, denied)


def _option(name: str, value: str) -> bytes:
    header = wire(1, name.lower()) + wire(2, value)
    return wire(2, wire(1, header) + wire(3, _OVERWRITE_IF_EXISTS_OR_ADD))
