"""``GET /authorities/{name}``: how the operator sees that a root has arrived, before anything is issued under it."""

import msgspec

from mintls.core.pki.certificate import key_fingerprint
from mintls.issuer.endpoints.operator import require_operator
from mintls.issuer.errors import error_body
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services


def authority(services: Services, call: Call) -> Answer:
    """The root keys that are trusted here of the CertificateAuthority that the path names.

    Raises:
        InvalidToken: The caller is not the operator.
    """
    require_operator(services, call)
    trust = services.directory.trust(call.target)
    if trust is None:
        return Answer(404, error_body("not_found", "no such authority"))
    root_keys = sorted(key_fingerprint(root) for root in trust.anchors.roots)
    return Answer(200, msgspec.json.encode({"name": call.target, "root_keys": root_keys}))
