#!/usr/bin/env bash
# A client registers itself (RFC 7591), gets a certificate and a token with it, and ends itself (RFC 7592).
#
#   ISSUER         the issuer's URL
#   CA             file with the roots of the installation
#   INITIAL_TOKEN  what is in the Secret of the grant
#
# Needs bash, curl, kubectl, openssl and python3.
set -euo pipefail
: "${ISSUER:?}" "${CA:?}" "${INITIAL_TOKEN:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n# %s\n' "$*"; }
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
issuer() { curl -sS --cacert "$CA" "$@"; }

say "The issuer says where clients are registered."
endpoint=$(issuer "$ISSUER/.well-known/oauth-authorization-server" | member registration_endpoint)
echo "$endpoint"

say "Without the initial access token: refused."
issuer -H "Content-Type: application/json" -d '{}' "$endpoint"; echo

say "With it: a client that is known by the e-mail address in its certificate."
issuer -H "Authorization: Bearer $INITIAL_TOKEN" -H "Content-Type: application/json" -d '{
  "client_name": "Reports",
  "token_endpoint_auth_method": "tls_client_auth",
  "tls_client_auth_san_email": "reports@shop.example",
  "grant_types": ["client_credentials"]
}' "$endpoint" > "$work/client.json"
client_id=$(member client_id < "$work/client.json")
token=$(member registration_access_token < "$work/client.json")
uri=$(member registration_client_uri < "$work/client.json")
namespace=${client_id%%:*} name=${client_id#*:}
echo "$client_id"

say "It is an object like any other."
kubectl -n "$namespace" wait --for=condition=Ready --timeout=30s "oauthclient/$name"

say "Its certificate is distributed and renewed by a ClientCertificate."
kubectl -n "$namespace" apply -f - <<YAML
apiVersion: mintls.dev/v1alpha1
kind: ClientCertificate
metadata: {name: $name}
spec:
  clientRef: {name: $name}
  secretName: $name-mtls
YAML
kubectl -n "$namespace" wait --for=condition=Ready --timeout=30s "clientcertificate/$name"
for file in tls.crt tls.key token-endpoint; do
  kubectl -n "$namespace" get secret "$name-mtls" -o "jsonpath={.data.${file/./\\.}}" | base64 -d > "$work/$file"
done
openssl x509 -in "$work/tls.crt" -noout -ext subjectAltName
token_endpoint=$(cat "$work/token-endpoint")

say "A token, over mTLS."
issuer --cert "$work/tls.crt" --key "$work/tls.key" -d grant_type=client_credentials -d "client_id=$client_id" \
  "$token_endpoint" | python3 -c 'import json, sys; print(json.load(sys.stdin)["token_type"])'

say "No certificate, and one of somebody else with the same address in it: refused."
issuer -d grant_type=client_credentials -d "client_id=$client_id" "$token_endpoint"; echo
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/other.key" -out "$work/other.crt" \
  -days 1 -subj /CN=reports -addext subjectAltName=email:reports@shop.example 2> /dev/null
issuer --cert "$work/other.crt" --key "$work/other.key" -d grant_type=client_credentials -d "client_id=$client_id" \
  "$token_endpoint" 2>&1 || echo "the handshake failed"

say "It changes itself; the answer has its next token."
issuer -X PUT -H "Authorization: Bearer $token" -H "Content-Type: application/json" -d '{
  "client_id": "'"$client_id"'",
  "client_name": "Reports of the year",
  "tls_client_auth_san_email": "reports@shop.example"
}' "$uri" > "$work/client.json"
member client_name < "$work/client.json"
token=$(member registration_access_token < "$work/client.json")

say "It ends itself, and its certificate with it."
issuer -X DELETE -H "Authorization: Bearer $token" -o /dev/null -w '%{http_code}\n' "$uri"
issuer --cert "$work/tls.crt" --key "$work/tls.key" -d grant_type=client_credentials -d "client_id=$client_id" \
  "$token_endpoint"; echo
kubectl -n "$namespace" delete "clientcertificate/$name"
