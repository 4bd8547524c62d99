"""The certificate in a message of the TLS handshake, before OpenSSL judges it."""

from cryptography import x509

HANDSHAKE, CERTIFICATE = 22, 11
"""Content type and message type (RFC 8446 appendix B)."""
_HEADER = 4
_LARGEST = 16 * 1024


def leaf_of(message: bytes, *, tls13: bool) -> x509.Certificate | None:
    """The leaf of a Certificate message; ``None`` if it has none, or cannot be read.

    Args:
        message: The whole message with its header (RFC 8446 section 4).
        tls13: Whether it is of TLS 1.3 (section 4.4.2), where a context comes first, or of TLS 1.2 (RFC 5246 section
            7.4.2).
    """
    at = _HEADER + (1 + message[_HEADER] if tls13 and len(message) > _HEADER else 0)
    begin = at + 6  # the length of the list, and that of its first entry
    if len(message) < begin:
        return None
    end = begin + int.from_bytes(message[begin - 3 : begin])
    if not begin < end <= min(len(message), begin + _LARGEST):
        return None
    try:
        return x509.load_der_x509_certificate(message[begin:end])
    except (ValueError, x509.InvalidVersion):
        return None
