"""``mintls.dev/v1alpha1`` as typed structs: the one source from which ``crds/`` and the API reference are generated.

What belongs here: the shape of each object, its defaults, the rules that the API server enforces (patterns, enums,
CEL) and the description of each field. What does not: decisions (``mintls.reconcile``) and how bytes get here
(``mintls.kube``).
"""

from mintls.api.v1alpha1.certificateauthority import CertificateAuthority
from mintls.api.v1alpha1.clientcertificate import ClientCertificate
from mintls.api.v1alpha1.meta import GROUP, VERSION, Condition, ConditionStatus, ObjectMeta
from mintls.api.v1alpha1.oauthclient import OAuthClient
from mintls.api.v1alpha1.spentidentifier import SpentIdentifier

__all__ = [
    "GROUP",
    "VERSION",
    "CertificateAuthority",
    "ClientCertificate",
    "Condition",
    "ConditionStatus",
    "OAuthClient",
    "ObjectMeta",
    "SpentIdentifier",
]
