#!/usr/bin/env bash
# A client registers itself (RFC 7591), gets a certificate and a token with it, and ends itself (RFC 7592).
#
#   INITIAL_TOKEN  what is in the Secret of the grant
#
# and what steps.sh needs. The issuer runs with --registration, whose namespace is that of the client. An expired
# certificate is made with the authority's key, which an administrator can read.
. "$(dirname "$0")/steps.sh"
: "${INITIAL_TOKEN:?is what is in the Secret of the grant}"

say "The issuer says where clients are registered, and where certificates are asked for: another address."
registration=$(issuer "$ISSUER/.well-known/oauth-authorization-server" | member registration_endpoint)
printf '%s\n' "$registration" "$(endpoint token)"

say "Without the initial access token: refused."
refuses 401 invalid_token -H "Content-Type: application/json" -d '{}' "$registration"

say "With it: a client that is known by the e-mail address in its certificate."
issuer -H "Authorization: Bearer $INITIAL_TOKEN" -H "Content-Type: application/json" -d '{
  "client_name": "Reports",
  "token_endpoint_auth_method": "tls_client_auth",
  "tls_client_auth_san_email": "reports@shop.example",
  "grant_types": ["client_credentials"]
}' "$registration" > "$work/client.json"
client_id=$(member client_id < "$work/client.json")
management=$(member registration_access_token < "$work/client.json")
uri=$(member registration_client_uri < "$work/client.json")
NAMESPACE=${client_id%%:*} name=${client_id#*:}
echo "$client_id"

say "It is an object like any other."
ready "oauthclient/$name"

say "Its certificate is distributed and renewed by a ClientCertificate."
apply << YAML
apiVersion: mintls.dev/v1alpha1
kind: ClientCertificate
metadata: {name: $name}
spec:
  clientRef: {name: $name}
  secretName: $name-mtls
YAML
ready "clientcertificate/$name"
mount "$name-mtls" "$work/own"
openssl x509 -in "$work/own/tls.crt" -noout -ext subjectAltName

say "A token, over mTLS."
token "$work/own" "$client_id"
bound_to "$work/own"

request=(-d grant_type=client_credentials -d "client_id=$client_id" "$(endpoint token)")
say "No certificate: refused."
refuses 401 invalid_client "${request[@]}"

say "A foreign one, with the same address in it: refused."
self_signed "$work/foreign" -addext subjectAltName=email:reports@shop.example
stranger "$work/foreign" "${request[@]}"

say "An expired one, which the authority really signed: refused."
mkdir "$work/expired"
kubectl -n mintls-system get secret mintls-authority-default-intermediate -o json | python3 -c 'import base64, json, os, sys
data = json.load(sys.stdin)["data"]
for name in ("tls.crt", "tls.key"):
    with open(os.open(f"{sys.argv[1]}/authority-{name}", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(base64.b64decode(data[name]))' "$work/expired"
: > "$work/expired/index"
cat > "$work/expired/ca.cnf" << CNF
[ca]
default_ca = authority
[authority]
database = $work/expired/index
new_certs_dir = $work/expired
rand_serial = yes
default_md = sha256
policy = anything
x509_extensions = leaf
[anything]
[leaf]
subjectAltName = critical, email:reports@shop.example
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
CNF
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout "$work/expired/tls.key" \
  -out "$work/expired/tls.csr" 2> "$work/openssl"
openssl ca -batch -notext -config "$work/expired/ca.cnf" -in "$work/expired/tls.csr" -out "$work/expired/leaf.crt" \
  -cert "$work/expired/authority-tls.crt" -keyfile "$work/expired/authority-tls.key" \
  -startdate "$(date -u -d '4 minutes ago' +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d '1 minute ago' +%Y%m%d%H%M%SZ)" \
  2> "$work/openssl"
cat "$work/expired/leaf.crt" "$work/expired/authority-tls.crt" > "$work/expired/tls.crt"
refuses 401 invalid_client --cert "$work/expired/tls.crt" --key "$work/expired/tls.key" "${request[@]}"

say "It changes itself; the answer has its next token."
issuer -X PUT -H "Authorization: Bearer $management" -H "Content-Type: application/json" -d '{
  "client_id": "'"$client_id"'",
  "client_name": "Reports of the year",
  "tls_client_auth_san_email": "reports@shop.example"
}' "$uri" > "$work/client.json"
member client_name < "$work/client.json"
management=$(member registration_access_token < "$work/client.json")

say "It ends itself, and its certificate with it."
answers 204 -X DELETE -H "Authorization: Bearer $management" "$uri"
refuses 401 invalid_client --cert "$work/own/tls.crt" --key "$work/own/tls.key" "${request[@]}"
kubectl -n "$NAMESPACE" delete "clientcertificate/$name"
