"""What can be wrong with X.509 material.

::

    PKIError (ValueError)
    |-- InvalidName         a name that cannot be compared, or written into a certificate
    |-- InvalidCertificate  bytes that are no certificate, or one that cannot be read
    |-- InvalidKey          bytes that are no private key, or one of an unsupported kind
    |-- InvalidRevocationList  bytes that are no CRL
    |-- RequestBroken       a certification request that cannot be read or proves nothing
    |-- SigningRefused      .reason: Refusal       what was asked must not be signed by this authority
    |-- AnswerWrong         a certificate from a CA elsewhere that is not what it was asked for
    |-- ProvisionerBroken   a provisioner's key that cannot be had from what there is
    |-- PathInvalid         .reason: PathProblem   no path from the leaf to an anchor holds now
    `-- CredentialBroken    .reason: Breakage      a certificate and a key that do not make a credential

Messages name what is wrong and what would be right. None of them ever contains key material.
"""

from enum import StrEnum


class PKIError(ValueError):
    """Base of everything that this package raises on purpose."""


class InvalidName(PKIError):  # noqa: N818 - reads as the sentence that it stands for, as X.509 says "invalid"
    """A subject name, or a value of a subject alternative name, that no certificate could match."""


class InvalidCertificate(PKIError):  # noqa: N818 - as above
    """Bytes that are not an X.509 certificate, or a certificate whose names or extensions cannot be decoded."""


class InvalidKey(PKIError):  # noqa: N818 - as above
    """Bytes that are not an unencrypted private key, or a key of a kind or size that is not supported."""


class InvalidRevocationList(PKIError):  # noqa: N818 - as above
    """Bytes that are not an X.509 CRL, or a CRL without what RFC 5280 section 5 demands of one."""


class RequestBroken(PKIError):  # noqa: N818 - as above
    """A certification request that cannot be read, or was not signed by the key that it is for."""


class Refusal(StrEnum):
    """Why an authority does not sign. The values fit a Kubernetes condition's ``reason``."""

    NO_NAMES = "NoNames"
    """Neither subject nor subject alternative name: nobody could be recognized by it (RFC 5280 section 4.1.2.6)."""
    INVALID_NAME = "InvalidName"
    """A name that cannot be written into a certificate, or that could never be matched."""
    NAME_NOT_PERMITTED = "NameNotPermitted"
    """A name outside of the name constraints of the authority or of its chain (RFC 5280 section 4.2.1.10)."""
    INVALID_VALIDITY = "InvalidValidity"
    """notAfter is not later than notBefore."""
    OUTSIDE_AUTHORITY_VALIDITY = "OutsideAuthorityValidity"
    """The certificate would be valid at a time at which its authority, or a CA above it, is not."""
    NOT_AN_AUTHORITY = "NotAnAuthority"
    """The signing certificate is no CA, or lacks what strict verifiers demand of one."""
    PATH_LENGTH = "PathLength"
    """pathLenConstraint leaves no room for one more CA (RFC 5280 section 4.2.1.9)."""
    KEY_MISMATCH = "KeyMismatch"
    """The authority's private key does not belong to its certificate."""
    UNSUPPORTED_KEY = "UnsupportedKey"
    """A public key of a kind or size that verifiers refuse."""
    BROKEN_CHAIN = "BrokenChain"
    """A certificate in the authority's chain was not signed by the next one."""


class SigningRefused(PKIError):  # noqa: N818 - as above
    """The authority must not sign what was asked.

    Attributes:
        reason: The rule that was violated.
    """

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AnswerWrong(PKIError):  # noqa: N818 - as above
    """What a CA elsewhere signed is not what it was asked for, or leads to none of the roots that it is known by."""


class ProvisionerBroken(PKIError):  # noqa: N818 - as above
    """A provisioner's private key that cannot be read or decrypted. The message shows nothing of it."""


class PathProblem(StrEnum):
    """Why a leaf is not trusted."""

    EXPIRED = "expired"
    """The leaf, or every path to an anchor, ended before now."""
    NOT_YET_VALID = "not_yet_valid"
    """The leaf, or every path to an anchor, begins after now."""
    WRONG_USAGE = "wrong_usage"
    """The leaf has an extended key usage that does not include client authentication."""
    NOT_A_LEAF = "not_a_leaf"
    """The certificate is a CA's: no client may present one."""
    UNTRUSTED = "untrusted"
    """No chain of signatures leads from the leaf to an anchor, or a CA in it breaks RFC 5280's rules."""


class PathInvalid(PKIError):  # noqa: N818 - as above
    """No path from the leaf to an anchor holds.

    Attributes:
        reason: The first rule that was violated.
    """

    def __init__(self, reason: PathProblem, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Breakage(StrEnum):
    """Why ``tls.crt`` and ``tls.key`` do not make a credential. The values fit a condition's ``reason``."""

    INVALID_CERTIFICATE = "InvalidCertificate"
    """``tls.crt`` is not PEM, holds no certificate, or one that cannot be read."""
    INVALID_KEY = "InvalidKey"
    """``tls.key`` is not an unencrypted private key in PEM."""
    KEY_MISMATCH = "KeyMismatch"
    """The key is not the leaf's."""
    BROKEN_CHAIN = "BrokenChain"
    """The certificates are not ordered leaf first, each signed by the next (RFC 8446 section 4.4.2)."""


class CredentialBroken(PKIError):  # noqa: N818 - as above
    """A certificate and a key that a client could not authenticate with.

    Attributes:
        reason: The first rule that was violated.
    """

    def __init__(self, reason: Breakage, message: str) -> None:
        super().__init__(message)
        self.reason = reason
