"""SpentIdentifier: a ``jti`` that no replica of the issuer accepts any more. Only the issuer writes them."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.meta import AGE_COLUMN, Kind, KubeStruct, ObjectMeta, PrinterColumn, Time
from mintls.api.v1alpha1.rules import Rule, cel

_SPEC_RULES = cel(Rule("self == oldSelf", "spec cannot change: what is spent stays spent until it has expired"))


class SpentIdentifierSpec(KubeStruct, frozen=True, kw_only=True):
    """What was spent, and until when that has to be remembered."""

    use: Annotated[
        Literal["accessToken", "clientAssertion", "dpopProof"],
        Meta(
            description="Of what it is the identifier: an access token that was revoked (RFC 7009), "
            "or a client assertion (RFC 7523) or a DPoP proof (RFC 9449) that was used and cannot be used again."
        ),
    ]
    client_id: Annotated[str, Meta(description="The client whose it is.")] = msgspec.field(name="clientID")
    expires: Annotated[
        Time, Meta(description="From then on it is of no use anyway, and the issuer deletes this object.")
    ]


class SpentIdentifier(KubeStruct, frozen=True, kw_only=True):
    """An identifier of a token or proof that the issuer no longer accepts; the object's name is made of its hash."""

    KIND: ClassVar[Kind] = Kind(
        kind="SpentIdentifier",
        plural="spentidentifiers",
        singular="spentidentifier",
        short_names=("spent",),
        scope="Namespaced",
        columns=(
            PrinterColumn(name="Use", type="string", json_path=".spec.use", description="Of what it is."),
            PrinterColumn(name="Client", type="string", json_path=".spec.clientID", description="Whose it is."),
            PrinterColumn(name="Expires", type="string", json_path=".spec.expires", description="Deleted after that."),
            AGE_COLUMN,
        ),
        observed=False,
    )

    metadata: ObjectMeta
    spec: Annotated[
        SpentIdentifierSpec, Meta(description="What was spent, and until when.", extra_json_schema=_SPEC_RULES)
    ]
