# Sourced by the scripts beside it: steps that say what they do, and that end the script at the first surprise.
#
#   ISSUER     the issuer's URL
#   CA         file with the roots of the installation
#   NAMESPACE  where the objects go; it has to be there (default: shop)
#
# Needs bash, curl, openssl, python3, and kubectl with the right to write the objects that a script makes.
# shellcheck shell=bash
set -euo pipefail
: "${ISSUER:?is the URL of the issuer}" "${CA:?is a file with the roots of the installation}"
NAMESPACE=${NAMESPACE:-shop}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n# %s\n' "$*"; }

surprise() {
  printf 'UNEXPECTED: %s\n' "$*" >&2
  exit 1
}

# --- JSON, base64url ---

# A member of the JSON on stdin, by its path.
member() {
  python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]: value = value[name]
print(value if isinstance(value, str) else json.dumps(value, separators=(",", ":")))' "$@"
}

# An answer as it is shown: a token is cut, so that it is of no use to whoever reads it.
shown() { sed -E 's/"eyJ[^"]{20,}"/"eyJ..."/g'; echo; }

base64url() { basenc --base64url -w0 | tr -d =; }

unbase64url() {
  local text
  text=$(cat)
  while ((${#text} % 4)); do text+="="; done
  basenc --base64url -d <<< "$text"
}

# --- the issuer ---

issuer() { curl -sS --cacert "$CA" "$@"; }

# One of mtls_endpoint_aliases, where certificates are asked for (RFC 8705 section 5).
endpoint() {
  [[ -s $work/metadata ]] || issuer "$ISSUER/.well-known/oauth-authorization-server" > "$work/metadata"
  member mtls_endpoint_aliases "$1_endpoint" < "$work/metadata"
}

# Ask, show the answer, and keep it in $work/answer: `answers STATUS CURL-ARGUMENT...`
answers() {
  local expected=$1 status
  shift
  status=$(issuer -o "$work/answer" -w '%{http_code}' "$@") || surprise "curl ended with status $?"
  printf '%s ' "$status"
  if [[ -s $work/answer ]]; then shown < "$work/answer"; else echo; fi
  [[ $status == "$expected" ]] || surprise "expected $expected, got $status"
}

# The same where there must be an error (RFC 6749 section 5.2): `refuses STATUS ERROR CURL-ARGUMENT...`
refuses() {
  local expected=$1 error=$2
  shift 2
  answers "$expected" "$@"
  [[ $(member error < "$work/answer") == "$error" ]] || surprise "expected the error $error"
}

# The same for a certificate in a folder that is of no CA of the installation and of no client: the handshake fails. Where
# a client has keys at a URL, a self-signed one gets as far as a refusal. `stranger FOLDER CURL-ARGUMENT...`
stranger() {
  local status=0 answer
  answer=$(issuer -o "$work/answer" -w '%{http_code}' --cert "$1/tls.crt" --key "$1/tls.key" "${@:2}" \
    2> "$work/problem") || status=$?
  # curl's for a handshake: 35, and since TLS 1.3 tells the client late, 52, 55 and 56.
  case "$status $answer" in
    "35 "* | "52 "* | "55 "* | "56 "*) echo "the handshake failed" ;;
    "0 401") printf '401 %s\n' "$(cat "$work/answer")" ;;
    *) surprise "expected a refusal, curl ended with $status, HTTP status $answer" ;;
  esac
}

# A token for whoever has the certificate in a folder: `token FOLDER CLIENT_ID [CURL-ARGUMENT...]`. Kept in $work/token.
token() {
  local folder=$1 client=$2
  shift 2
  answers 200 --cert "$folder/tls.crt" --key "$folder/tls.key" -d grant_type=client_credentials -d "client_id=$client" \
    "$@" "$(endpoint token)"
  member access_token < "$work/answer" > "$work/token"
}

# What a JWT says.
payload() { cut -d. -f2 "$1" | unbase64url; }

# A token is bound to the certificate in a folder (RFC 8705 section 3.1).
bound_to() {
  local bound thumbprint
  bound=$(payload "$work/token" | member cnf 'x5t#S256')
  thumbprint=$(openssl x509 -in "$1/tls.crt" -outform der | openssl dgst -sha256 -binary | base64url)
  [[ $bound == "$thumbprint" ]] || surprise "the token is bound to $bound, the certificate is $thumbprint"
  echo "cnf is the SHA-256 of the certificate: $bound"
}

# --- objects ---

apply() { kubectl -n "$NAMESPACE" apply -f -; }

ready() { kubectl -n "$NAMESPACE" wait --for=condition=Ready --timeout=60s "$@"; }

# The files of a Secret, as a pod that mounts it has them: `mount SECRET FOLDER`
mount() {
  mkdir -p "$2"
  kubectl -n "$NAMESPACE" get secret "$1" -o json | python3 -c 'import base64, json, pathlib, sys
for name, value in json.load(sys.stdin)["data"].items():
    pathlib.Path(sys.argv[1], name).write_bytes(base64.b64decode(value))' "$2"
}

# A client with a certificate of the installation, whose Secret is mounted at $work/NAME: `client NAME [SPEC, as JSON]`
client() {
  apply << YAML
apiVersion: mintls.dev/v1alpha1
kind: OAuthClient
metadata: {name: $1}
spec: ${2:-"{}"}
---
apiVersion: mintls.dev/v1alpha1
kind: ClientCertificate
metadata: {name: $1}
spec: {clientRef: {name: $1}, secretName: $1-mtls}
YAML
  ready "oauthclient/$1" "clientcertificate/$1"
  mount "$1-mtls" "$work/$1"
}

# --- keys and certificates of one's own ---

# A self-signed certificate that vouches for nobody else: `self_signed FOLDER [OPENSSL-ARGUMENT...]`
self_signed() {
  mkdir -p "$1"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1/tls.key" -out "$1/tls.crt" \
    -days 1 -subj /CN=billing -addext basicConstraints=critical,CA:FALSE "${@:2}" 2> "$work/openssl"
}

der() { openssl x509 -in "$1/tls.crt" -outform der | base64 -w0; }

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# The public half of a P-256 key, with its members as RFC 7638 orders them: its point are the last 64 octets.
jwk() {
  openssl pkey -in "$1" -pubout -outform der | tail -c 64 > "$work/point"
  printf '{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}' \
    "$(head -c 32 "$work/point" | base64url)" "$(tail -c 32 "$work/point" | base64url)"
}

# A JWT that is signed with ES256: `signed HEADER PAYLOAD KEY`
signed() {
  local input number
  input="$(printf %s "$1" | base64url).$(printf %s "$2" | base64url)"
  # openssl makes DER; JOSE wants the two numbers, 32 octets each (RFC 7518 section 3.4).
  printf %s "$input" | openssl dgst -sha256 -sign "$3" | openssl asn1parse -inform der | sed -n 's/.*INTEGER *://p' |
    while read -r number; do
      number=$(printf '%64s' "$number" | tr ' ' 0)
      printf %s "$number"
    done | basenc --base16 -d | base64url > "$work/signature"
  printf '%s.%s' "$input" "$(cat "$work/signature")"
}

# openssl verifies the ES256 signature of the token with a key of a JWK Set, by its kid: `verified TOKEN-FILE JWKS-FILE`
verified() {
  local head rest x y numbers
  IFS=. read -r head rest < "$1" || true
  python3 -c 'import json, sys
for key in json.load(open(sys.argv[1]))["keys"]:
    if key["kid"] == sys.argv[2]: print(key["x"], key["y"])' "$2" "$(unbase64url <<< "$head" | member kid)" > "$work/xy"
  read -r x y < "$work/xy" || return 1
  # A SubjectPublicKeyInfo of P-256 (RFC 5480 section 2), and the signature as DER.
  { basenc --base16 -d <<< 3059301306072A8648CE3D020106082A8648CE3D03010703420004
    unbase64url <<< "$x"
    unbase64url <<< "$y"; } > "$work/key.der"
  numbers=$(unbase64url <<< "${rest#*.}" | basenc --base16 -w0)
  printf 'asn1=SEQUENCE:both\n[both]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${numbers:0:64}" "${numbers:64}" > "$work/both"
  openssl asn1parse -genconf "$work/both" -noout -out "$work/signature.der"
  printf %s "$head.${rest%.*}" |
    openssl dgst -sha256 -verify "$work/key.der" -keyform DER -signature "$work/signature.der"
}
