"""What is observed of a ClientCertificate, what that says, what can be decided, and what can come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from mintls.api.v1alpha1.clientcertificate import ClientCertificate, ClientCertificateStatus
from mintls.core.oauth.claims import Contest
from mintls.core.oauth.registration import Registration
from mintls.core.pki.certificate import CertificateFacts
from mintls.core.pki.credential import Credential
from mintls.core.pki.keys import PrivateKey
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import (
    ISSUE_CHECKS,
    REWRITE_CHECKS,
    AuthorityView,
    Contents,
    SecretView,
    Situation,
    Validity,
    Violation,
    Wanted,
    first_violation,
)
from mintls.reconcile.installation import Installation
from mintls.reconcile.keystores import Passwords


@dataclass(frozen=True, slots=True)
class Repairs:
    """A row of repairs, each undone soon after it was made.

    Attributes:
        count: How many there were, one or more.
        last: When the last one was made.
        wait: The wait after it.
    """

    count: int
    last: datetime
    wait: timedelta

    @property
    def until(self) -> datetime:
        """When the next repair may be made."""
        return self.last + self.wait


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        certificate: The object.
        registration: The client's registration; ``None`` if there is no such client or it cannot be read.
        client_problem: Why a client that exists cannot be used; "" if it can.
        contest: Which of the client's claims another client holds.
        authority: The authority; ``None`` if there is none of that name.
        rival: Name of an earlier ClientCertificate with the same Secret; "" if there is none.
        secret: The Secret's metadata; ``None`` if there is no Secret.
        whole_version: ``resourceVersion`` of the Secret that was last found whole; "" if none was.
        contents: Its data; ``None`` while ``must_read`` does not ask for it.
        installation: Names and addresses of the installation.
        now: The time.
        namespace_labels: The labels of its namespace.
        repairs: The repairs of late that others have undone; ``None`` if there were none.
        password_versions: The versions of the Secrets with passwords of keystores, by name, as a watch tells them.
        right_passwords: ``passwords_version`` that the keystores were last found right for; "" for none.
        passwords: These Secrets; ``None`` while ``must_read_passwords`` does not ask for them.
    """

    certificate: ClientCertificate
    registration: Registration | None
    client_problem: str
    contest: Contest | None
    authority: AuthorityView | None
    rival: str
    secret: SecretView | None
    whole_version: str
    contents: Contents | None
    installation: Installation
    now: datetime
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    repairs: Repairs | None = None
    password_versions: Mapping[str, str] = field(default_factory=dict)
    right_passwords: str = ""
    passwords: Passwords | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing can be done before something else changes.

    Attributes:
        violation: What is in the way.
        stalled: Whether somebody has to change something; False if it can go on by itself.
        current: Validity of a certificate that is still good meanwhile.
    """

    violation: Violation
    stalled: bool
    current: Validity | None = None


@dataclass(frozen=True)  # without slots, for what is found once
class Assessment:
    """What is wanted beside what is there.

    Attributes:
        wanted: The credential that there should be.
        there: What the checks look at.
    """

    wanted: Wanted
    there: Situation

    @cached_property
    def issue(self) -> Violation | None:
        """Why a new certificate is necessary."""
        return first_violation(ISSUE_CHECKS, self.there)

    @cached_property
    def rewrite(self) -> Violation | None:
        """Why the Secret has to be written again, with the same certificate in it."""
        return first_violation(REWRITE_CHECKS, self.there)


@dataclass(frozen=True, slots=True)
class Postponed:
    """The last attempt failed, and the next one is not due.

    Attributes:
        until: When it is.
        violation: What has to be done then.
        current: Validity of a certificate that is still good meanwhile.
    """

    until: datetime
    violation: Violation
    current: Validity | None


@dataclass(frozen=True, slots=True)
class Issue:
    """Make a certificate, for a new key or the one that is there, and write the Secret.

    Attributes:
        violation: Why.
        wanted: What to sign.
        not_before: Start of its validity.
        not_after: End of its validity.
        revision: How many certificates were issued for the object, this one included.
        secret: The Secret to replace; ``None`` to create it.
        current: Validity of the certificate that is replaced, if it is still good.
        kept_key: The key to issue it for; ``None`` to make a new one.
    """

    violation: Violation
    wanted: Wanted
    not_before: datetime
    not_after: datetime
    revision: int
    secret: SecretView | None
    current: Validity | None
    kept_key: PrivateKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Write the Secret again with the certificate and the key that are in it.

    ``reissue`` is when the certificate is issued anew because its root is retiring.
    """

    violation: Violation
    wanted: Wanted
    contents: Contents
    credential: Credential
    revision: int
    secret: SecretView
    reissue: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The Secret is as it should be. ``reissue`` is as for ``Rewrite``."""

    wanted: Wanted
    validity: Validity
    secret: SecretView
    revision: int
    leaf: CertificateFacts | None
    reissue: datetime | None = None


type Decision = Blocked | Postponed | Issue | Rewrite | Keep


@dataclass(frozen=True, slots=True)
class Written:
    """The Secret was written: the certificate in it, the Secret's new version, and the chain in PEM."""

    leaf: CertificateFacts
    resource_version: str
    chain: bytes = b""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed; the Secret is as it was."""

    violation: Violation


type Outcome = Written | Failed | None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What to say, and when to look again.

    Attributes:
        status: The status to write if it differs from the one that is there.
        look_again: When to decide anew without being asked; ``None`` for never.
        announcement: An event to post; ``None`` for none.
    """

    status: ClientCertificateStatus
    look_again: datetime | None
    announcement: Announcement | None = None
