"""The text of the demo: what is run, in which order, and what has to come of it.

Commands run in the demo's folder and hand values on in files, never in shell variables: each can be copied from the
output and run again by itself, after ``. .demo/env``.
"""

from dataclasses import dataclass

from demolib import checks
from demolib.steps import Step

_CURL = """\
curl -sS --cert {who}/tls.crt --key {who}/tls.key --cacert billing/ca.crt \\
  -d grant_type=client_credentials -d client_id={client_id}"""

_SHOW_STATUS = " -w '\\n%{http_code}\\n'"

_EXTRACT = """\
mkdir -p {name}
kubectl -n shop get secret {name}-mtls \\
  -o go-template='{{{{range $name, $value := .data}}}}{{{{$name}}}} {{{{$value}}}}{{{{"\\n"}}}}{{{{end}}}}' |
  while read -r name value; do base64 -d <<<"$value" >"{name}/$name"; done"""

_THUMBPRINT = """\
openssl x509 -in billing/tls.crt -outform DER | openssl dgst -sha256 -binary |
  base64 | tr '+/' '-_' | tr -d '=' | tee billing/thumbprint"""

_WAIT = "kubectl -n shop wait --for=condition=Ready --timeout=30s oauthclient/{name} clientcertificate/{name}"

_AUDIT = """grep '"endpoint":"token"' issuer.log | tail -n 1"""

_DECODE = """\
python3 -c 'import base64, json
token = json.load(open("token.json"))["access_token"]
claims = base64.urlsafe_b64decode(token.split(".")[1] + "==")
print(json.dumps(json.loads(claims), indent=2))' | tee claims.json"""

_INTROSPECT = """\
curl -sS --cert billing/tls.crt --key billing/tls.key --cacert billing/ca.crt \\
  -d client_id=shop:billing \\
  -d token="$(python3 -c 'import json; print(json.load(open("token.json"))["access_token"])')" \\
  {mtls_url}/introspect"""

_FORGE = """\
mkdir -p forged
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \\
  -subj "$(openssl x509 -in billing/tls.crt -noout -issuer -nameopt compat | sed 's/^issuer= *//')" \\
  -addext keyUsage=critical,keyCertSign -keyout forged/ca.key -out forged/ca.crt 2>>openssl.log
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / \\
  -keyout forged/tls.key -out forged/tls.csr 2>>openssl.log
cat >forged/extensions <<END
subjectAltName = critical, @names
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
[names]
URI = spiffe://cluster.local/ns/shop/client/billing
dirName = object
[object]
O = mintls.dev
OU = ClientCertificate
UID = $(kubectl -n shop get clientcertificate billing -o jsonpath={.metadata.uid})
END
openssl x509 -req -in forged/tls.csr -CA forged/ca.crt -CAkey forged/ca.key -CAcreateserial \\
  -days 1 -extfile forged/extensions -out forged/tls.crt 2>>openssl.log
for one in billing forged; do
  openssl x509 -in $one/tls.crt -noout -issuer -subject -ext subjectAltName
done"""

_EXPIRE = """\
mkdir -p expired
for file in tls.crt tls.key; do
  kubectl -n mintls-system get secret mintls-authority-default-intermediate \\
    -o go-template="{{index .data \\"$file\\"}}" | base64 -d >expired/authority-$file
done
cat >expired/ca.cnf <<END
[ca]
default_ca = authority
[authority]
database = expired/index
new_certs_dir = expired
rand_serial = yes
default_md = sha256
policy = anything
x509_extensions = leaf
[anything]
[leaf]
subjectAltName = critical, URI:spiffe://cluster.local/ns/shop/client/billing
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
END
: >expired/index
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / \\
  -keyout expired/tls.key -out expired/tls.csr 2>>openssl.log
openssl ca -batch -notext -config expired/ca.cnf -in expired/tls.csr -out expired/leaf.crt \\
  -cert expired/authority-tls.crt -keyfile expired/authority-tls.key \\
  -startdate "$(date -u -d '4 minutes ago' +%Y%m%d%H%M%SZ)" \\
  -enddate "$(date -u -d '1 minute ago' +%Y%m%d%H%M%SZ)" 2>>openssl.log
cat expired/leaf.crt expired/authority-tls.crt >expired/tls.crt
rm expired/authority-tls.key
openssl verify -no_check_time -CAfile billing/ca.crt -untrusted expired/tls.crt expired/leaf.crt
openssl x509 -in expired/leaf.crt -noout -dates"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the steps depend on.

    Attributes:
        tree: The source tree, as a path from the demo's folder.
        issuer_url: The issuer's identifier.
        mtls_url: Base of the endpoints that do mTLS.
        token_within: For how many seconds after ``kubectl apply`` the first token may keep people waiting.
    """

    tree: str
    issuer_url: str = ""
    mtls_url: str = ""
    token_within: float = 10.0


def install(scene: Scene) -> tuple[Step, ...]:
    """What an administrator applies."""
    crds, manifests = f"{scene.tree}/crds/", f"{scene.tree}/hack/manifests/"
    return (
        Step(
            "The three kinds of objects.",
            f"kubectl apply -f {crds}",
            checks.succeeded("three CustomResourceDefinitions", *_CRDS),
        ),
        Step(
            "The API server needs a moment to serve them.",
            f"kubectl wait --for=condition=Established --timeout=30s -f {crds}",
            checks.succeeded("served"),
        ),
        Step(
            "The namespace, a CertificateAuthority, and the rights of operator and issuer.",
            f"kubectl apply -f {manifests}namespace.yaml -f {manifests}",
            checks.succeeded("applied", "serviceaccount/mintls-operator", "serviceaccount/mintls-issuer"),
        ),
    )


_CRDS = tuple(f"{plural}.mintls.dev" for plural in ("certificateauthorities", "clientcertificates", "oauthclients"))


def credentials(part: str, hours: int) -> Step:
    """A kubeconfig for operator or issuer, with a token of its own service account."""
    return Step(
        f"The {part} runs as a process here, with the rights of its own service account.",
        f"""\
TOKEN=$(kubectl -n mintls-system create token mintls-{part} --duration={hours}h)
kubectl config view --raw --minify --flatten -o json | TOKEN=$TOKEN python3 -c 'import json, os, sys
config = json.load(sys.stdin)
config["users"][0]["user"] = {{"token": os.environ["TOKEN"]}}
json.dump(config, sys.stdout)' >{part}.kubeconfig
kubectl --kubeconfig {part}.kubeconfig auth whoami""",
        checks.succeeded(f"{part}.kubeconfig", f"system:serviceaccount:mintls-system:mintls-{part}"),
    )


def ready(part: str, url: str) -> Step:
    """Wait for operator or issuer."""
    return Step(
        f"Is the {part} ready?",
        f"curl -fsS {url}",
        checks.succeeded(f"the {part} is ready"),
        patience=60,
    )


def quickstart(scene: Scene) -> tuple[Step, ...]:
    """Two objects, and a token."""
    example = f"{scene.tree}/docs/examples/quickstart.yaml"
    return (
        Step("All that a user writes.", f"cat {example}", checks.succeeded("two objects in a namespace")),
        Step(
            "The clock begins here.",
            f"kubectl apply -f {example}",
            checks.succeeded("applied", "oauthclient.mintls.dev/billing", "clientcertificate.mintls.dev/billing"),
            starts_clock=True,
        ),
        Step(
            "Registered means that the issuer was asked and knows the client; issued, that the Secret is written.",
            _WAIT.format(name="billing"),
            checks.succeeded("Ready"),
        ),
        Step(
            "A pod mounts the Secret; here its files are taken out.",
            _EXTRACT.format(name="billing") + "\nls billing",
            checks.succeeded("the files that a client needs", *_FILES),
        ),
        Step(
            "A token, for whoever proves the certificate's key.",
            _token_request("billing", "shop:billing") + " | tee token.json",
            checks.issued_token(scene.token_within),
            measures="from `kubectl apply` to a token",
        ),
        Step(
            "What there is now.",
            "kubectl get mintls --all-namespaces",
            checks.succeeded("every object is Ready", "True"),
        ),
    )


_FILES = ("ca.crt", "client-id", "issuer", "tls.crt", "tls.key", "token-endpoint")


def token(scene: Scene) -> tuple[Step, ...]:
    """What is in the token."""
    return (
        Step(
            "What the issuer says of itself (RFC 8414).",
            f"curl -sS --cacert billing/ca.crt {scene.issuer_url}/.well-known/oauth-authorization-server |\n"
            "  python3 -m json.tool",
            checks.succeeded("it has mTLS endpoints", "mtls_endpoint_aliases", f"{scene.mtls_url}/token"),
        ),
        Step(
            "What the token says (RFC 9068).",
            _DECODE,
            checks.claims_of("shop:billing", "orders.read orders.write"),
        ),
        Step(
            "Which certificate is it bound to (RFC 8705 section 3.1)? The thumbprint, as openssl computes it:",
            _THUMBPRINT,
            checks.bound_to_certificate,
        ),
        Step(
            "What a resource server hears that asks for it (RFC 7662).",
            _INTROSPECT.format(mtls_url=scene.mtls_url),
            checks.active("shop:billing"),
        ),
    )


def refusals(scene: Scene) -> tuple[Step, ...]:
    """Who gets no token."""
    return (
        Step(
            "Without a certificate.",
            "curl -sS --cacert billing/ca.crt -d grant_type=client_credentials -d client_id=shop:billing \\\n"
            f"  {_ENDPOINT}{_SHOW_STATUS}\n{_AUDIT}",
            checks.refused_by_issuer("no_certificate"),
        ),
        Step(
            "Another client, of the same authority.",
            f"sed s/billing/shipping/g {scene.tree}/docs/examples/quickstart.yaml | kubectl apply -f -\n"
            + _WAIT.format(name="shipping")
            + "\n"
            + _EXTRACT.format(name="shipping"),
            checks.succeeded("Ready"),
        ),
        Step(
            "Its certificate gets it a token of its own.",
            _token_request("shipping", "shop:shipping"),
            checks.succeeded("a token", '"access_token"'),
        ),
        Step(
            "But none of billing's.",
            f"{_token_request('shipping', 'shop:billing')}{_SHOW_STATUS}\n{_AUDIT}",
            checks.refused_by_issuer("wrong_name"),
        ),
        Step(
            "A certificate made at home: a CA of the same name, a leaf with the same names.", _FORGE, checks.same_names
        ),
        Step("It ends in the handshake.", _token_request("forged", "shop:billing"), checks.refused_by_tls),
        Step(
            "An expired certificate: really signed by the authority, whose key only an administrator can read.",
            _EXPIRE,
            checks.succeeded("it ended a minute ago; but for that it is good", "leaf.crt: OK", "notAfter="),
        ),
        Step(
            "The handshake lets it through, so that the client is told in OAuth's words.",
            f"{_token_request('expired', 'shop:billing')}{_SHOW_STATUS}\n{_AUDIT}",
            checks.refused_by_issuer("expired_certificate"),
        ),
        Step(
            "And the client itself is served as before.",
            _token_request("billing", "shop:billing"),
            checks.succeeded("a token", '"access_token"'),
        ),
    )


def recovery() -> tuple[Step, ...]:
    """A Secret that is deleted comes back."""
    return (
        Step(
            "The clock begins anew.",
            "cp -R billing before\nkubectl -n shop delete secret billing-mtls",
            checks.succeeded("gone", "deleted"),
            starts_clock=True,
        ),
        Step(
            "The operator makes another; ask until it is there.",
            f"{_EXTRACT.format(name='billing')}\n{_THUMBPRINT}",
            checks.another_certificate,
            patience=30,
        ),
        Step(
            "And it works.",
            _token_request("billing", "shop:billing") + " | tee token.json",
            checks.issued_token(within=30),
            measures="from the deletion of the Secret to a token by the next certificate",
        ),
        Step("The token is bound to the new certificate.", _DECODE, checks.bound_to_certificate),
        Step(
            "What people are told of it.",
            "kubectl -n shop get events",
            checks.succeeded("an event for each certificate", "clientcertificate/billing"),
        ),
    )


def install_tour() -> tuple[Step, ...]:
    """What an administrator applies for the tour."""
    return (
        Step(
            "For the tour: a namespace where programs register clients themselves, with a token that lets them.",
            """\
kubectl create namespace tour
openssl rand -hex 32 | tr -d '\\n' >initial-token
kubectl -n mintls-system create secret generic registration-tour --from-file=token=initial-token \\
  --from-literal=scopes=orders.read --from-literal=audiences=https://orders.shop.svc""",
            checks.succeeded("a grant", "secret/registration-tour"),
        ),
        Step(
            "The rights for that, which the issuer has nowhere else.",
            """\
kubectl -n tour create role register --verb=create,delete,get,update --resource=oauthclients.mintls.dev
kubectl -n tour create rolebinding register --role=register --serviceaccount=mintls-system:mintls-issuer
kubectl -n mintls-system create role register --verb=list,watch --resource=secrets \\
  --resource-name=registration-tour
kubectl -n mintls-system create rolebinding register --role=register --serviceaccount=mintls-system:mintls-issuer""",
            checks.succeeded("rights for one namespace and one Secret"),
        ),
    )


def tour(scene: Scene) -> tuple[Step, ...]:
    """What else clients, proxies and resources do: the scripts of docs/examples, and a revocation."""
    return (
        Step(
            "Certificates that no CA has signed: registered, rotated, and handed on by a proxy in a header.",
            _example(scene, "self-signed.sh"),
            checks.went_through("each answer was the expected one"),
        ),
        Step(
            "Who checks that a token is its bearer's; assertions (private_key_jwt), and DPoP.",
            _example(scene, "bound-tokens.sh"),
            checks.went_through("each answer was the expected one"),
        ),
        Step(
            "A client that registers itself, by curl.",
            f'INITIAL_TOKEN="$(cat initial-token)" {_example(scene, "register.sh")}',
            checks.went_through("each answer was the expected one"),
        ),
        Step("A token is good,", _INTROSPECT.format(mtls_url=scene.mtls_url), checks.active("shop:billing")),
        Step(
            "until its client gives it up (RFC 7009).",
            _INTROSPECT.format(mtls_url=scene.mtls_url).replace("/introspect", "/revoke -w '%{http_code}\\n'"),
            checks.succeeded("revoked", "200"),
        ),
        Step(
            "From then on it is not, at any replica.",
            _INTROSPECT.format(mtls_url=scene.mtls_url),
            checks.succeeded("inactive", '{"active":false}'),
        ),
        Step(
            "A real nginx in front of a resource.",
            _example(scene, "behind-nginx.sh"),
            checks.went_through("each answer was the expected one"),
        ),
    )


def _example(scene: Scene, name: str) -> str:
    return f"ISSUER={scene.issuer_url} CA=billing/ca.crt NAMESPACE=tour \\\n  {scene.tree}/docs/examples/{name}"


_ENDPOINT = "$(cat billing/token-endpoint)"


def _token_request(who: str, client_id: str) -> str:
    return f"{_CURL.format(who=who, client_id=client_id)} {_ENDPOINT}"
