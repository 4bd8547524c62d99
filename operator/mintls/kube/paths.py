"""Where objects live in the Kubernetes API, and what a path is about.

Source: Kubernetes documentation, "Kubernetes API Concepts", "Resource URIs". Always group, version and plural
together: a plural without its group is ambiguous when two groups have it.
"""

from dataclasses import dataclass
from urllib.parse import quote

GROUP = "mintls.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type of the API.

    Attributes:
        group: API group, "" for the core group.
        version: API version, such as ``v1``.
        plural: Resource name in the path, such as ``secrets``.
        kind: The objects' ``kind``.
        namespaced: False for cluster-scoped resources.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apiVersion`` as it stands in objects: ``v1``, ``mintls.dev/v1alpha1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path of the group and version, without a slash at its end."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def collection(self, namespace: str | None = None) -> str:
        """The path to list, watch and create: of one namespace, or (None) of all.

        Raises:
            ValueError: A namespace is given for a cluster-scoped resource, or is no path segment.
        """
        if namespace is None:
            return f"{self.root}/{self.plural}"
        if not self.namespaced:
            raise ValueError(f"{self.plural}: namespace {namespace!r} given, but the resource is cluster-scoped")
        return f"{self.root}/namespaces/{_segment('namespace', namespace)}/{self.plural}"

    def item(self, namespace: str | None, name: str) -> str:
        """The path of one object; ``namespace`` is None for cluster-scoped resources.

        Raises:
            ValueError: The namespace is missing or superfluous, or a part cannot be a path segment.
        """
        if self.namespaced and namespace is None:
            raise ValueError(f"{self.plural} {name!r}: namespace missing, the resource is namespaced")
        return f"{self.collection(namespace)}/{_segment('name', name)}"

    def status(self, namespace: str | None, name: str) -> str:
        """The path of one object's status subresource; raises as ``item``."""
        return f"{self.item(namespace, name)}/status"


def _segment(what: str, value: str) -> str:
    # The API server's own rule for names in paths (apimachinery, IsValidPathSegmentName): names come from users'
    # specs, and one with a slash or dots would otherwise reach another object, or another resource.
    if not value or value in {".", ".."} or "/" in value or "%" in value:
        raise ValueError(f"{what} {value!r} cannot be part of a path: not empty, '.', '..', and without '/' or '%'")
    return quote(value, safe=":@!$&'()*+,;=")


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, read from its path; "" for parts that the path does not have."""

    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """The resource with its group, as kubectl spells it: ``secrets``, ``oauthclients.mintls.dev``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        if self.name:
            return f"{resource} {self.namespace}/{self.name}" if self.namespace else f"{resource} {self.name}"
        return f"{resource} in namespace {self.namespace}" if self.namespace else resource


def parse_path(path: str) -> Target:
    """The target of a path; a path that is no resource's (``/version``) becomes the plural as it stands."""
    match path.strip("/").split("/"):
        case ["api", version, *rest] if rest:
            return _target("", version, rest)
        case ["apis", group, version, *rest] if rest:
            return _target(group, version, rest)
        case _:
            return Target(plural=path)


def _target(group: str, version: str, rest: list[str]) -> Target:
    namespace = ""
    # /namespaces/<name> and its subresources are the namespace itself, not something in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *_ = [*rest, "", ""]
    return Target(group, version, namespace, plural, name, subresource)


SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
PODS = Resource("", "v1", "pods", "Pod")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
CERTIFICATE_SIGNING_REQUESTS = Resource(
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False
)
POD_CERTIFICATE_REQUESTS = Resource("certificates.k8s.io", "v1beta1", "podcertificaterequests", "PodCertificateRequest")
CLUSTER_TRUST_BUNDLES = Resource(
    "certificates.k8s.io", "v1beta1", "clustertrustbundles", "ClusterTrustBundle", namespaced=False
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
OAUTH_CLIENTS = Resource(GROUP, VERSION, "oauthclients", "OAuthClient")
CLIENT_CERTIFICATES = Resource(GROUP, VERSION, "clientcertificates", "ClientCertificate")
SPENT_IDENTIFIERS = Resource(GROUP, VERSION, "spentidentifiers", "SpentIdentifier")
CERTIFICATE_AUTHORITIES = Resource(GROUP, VERSION, "certificateauthorities", "CertificateAuthority", namespaced=False)
CERTIFICATE_REQUESTS = Resource("cert-manager.io", "v1", "certificaterequests", "CertificateRequest")
ISSUERS = Resource("cert-manager.io", "v1", "issuers", "Issuer")
CLUSTER_ISSUERS = Resource("cert-manager.io", "v1", "clusterissuers", "ClusterIssuer", namespaced=False)
