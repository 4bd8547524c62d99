"""CustomResourceDefinitions of the kinds: what ``crds/`` holds, as plain objects.

Source: apiextensions.k8s.io/v1; Kubernetes API conventions.
"""

from typing import Any

import msgspec

from mintls.api.schema import Schema, object_schema
from mintls.api.v1alpha1 import GROUP, VERSION, CertificateAuthority, ClientCertificate, OAuthClient, SpentIdentifier
from mintls.api.v1alpha1.meta import Kind
from mintls.api.v1alpha1.rules import cel

# `kubectl get mintls` shows all that people write.
CATEGORY = "mintls"

type AnyKind = type[OAuthClient | ClientCertificate | CertificateAuthority | SpentIdentifier]
KINDS: tuple[AnyKind, ...] = (OAuthClient, ClientCertificate, CertificateAuthority, SpentIdentifier)


def custom_resource_definition(of: AnyKind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind, as JSON values in the order in which people read them.

    Raises:
        NotStructural: A type has no structural schema.
    """
    kind = of.KIND
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                **({"categories": [CATEGORY]} if kind.observed else {}),
            },
            "scope": kind.scope,
            "versions": [_version(kind, object_schema(of))],
        },
    }


NOT_OBSERVED = {"observedGeneration": -1}
"""The status of an object that nobody has looked at: no generation is -1, so kstatus (Flux, `helm --wait`) waits for
the operator, where it takes an object without a status for done."""


def _version(kind: Kind, schema: Schema) -> dict[str, Any]:
    if kind.observed:
        schema["properties"]["status"]["default"] = NOT_OBSERVED
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        **({"subresources": {"status": {}}} if kind.observed else {}),
        "additionalPrinterColumns": [msgspec.to_builtins(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": schema | (cel(*kind.rules) if kind.rules else {})},
    }
