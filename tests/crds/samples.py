"""Good and bad objects: for every rule of the schemas one that breaks it, with the words that a person then reads.

The words are literal: they are not taken from the types, so that a change of them has to show here.
"""

from crds.allowed_samples import ALLOWED_SAMPLES
from crds.authority_samples import AUTHORITIES
from crds.certificate_samples import CERTIFICATES
from crds.client_samples import CLIENTS
from crds.external_samples import EXTERNALS
from crds.keystore_samples import KEYSTORES
from crds.name_samples import duration_samples, name_samples
from crds.self_signed_samples import SELF_SIGNED
from crds.spent_samples import SPENT
from crds.status_samples import STATUS_SAMPLES
from crds.subject_samples import subject_samples
from crds.trust_samples import TRUST_BUNDLES
from crds.update_samples import UPDATES

SAMPLES = (
    *CLIENTS,
    *SELF_SIGNED,
    *CERTIFICATES,
    *KEYSTORES,
    *AUTHORITIES,
    *EXTERNALS,
    *ALLOWED_SAMPLES,
    *TRUST_BUNDLES,
    *SPENT,
    *UPDATES,
    *STATUS_SAMPLES,
    *subject_samples(),
    *duration_samples(),
    *name_samples(),
)
