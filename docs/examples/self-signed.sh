#!/usr/bin/env bash
# Clients whose certificates no CA has signed (RFC 8705 section 2.2): registered one by one, or published by the client
# itself at a URL; rotated with an overlap; and behind a proxy that ends TLS and hands certificates on (RFC 9440).
#
#   JWKS_URI   a URL that the issuer can fetch, and
#   JWKS_FILE  the file that is served there; without these two that part is left out
#
# and what steps.sh needs. The issuer runs with --proxy NAMESPACE/gateway=client-cert, and with --jwks-uri-ca-file and
# --internal-jwks-uri if the URL needs them.
. "$(dirname "$0")/steps.sh"

# The client `billing` with the certificates of folders: `registered FOLDER...`
registered() {
  apply << YAML
apiVersion: mintls.dev/v1alpha1
kind: OAuthClient
metadata: {name: billing}
spec:
  tokenEndpointAuthMethod: self_signed_tls_client_auth
  scopes: [orders.read]
  audiences: [https://orders.shop.svc]
  certificates: [$(for one; do printf '%s, ' "$(python3 -c 'import json, sys; print(json.dumps(open(sys.argv[1]).read()))' \
    "$one/tls.crt")"; done)]
YAML
  ready oauthclient/billing
}

request=(-d grant_type=client_credentials -d "client_id=$NAMESPACE:billing" "$(endpoint token)")

say "A certificate of one's own, registered as it is."
self_signed "$work/first"
openssl x509 -in "$work/first/tls.crt" -noout -subject -issuer
registered "$work/first"

say "A token, bound to it."
token "$work/first" "$NAMESPACE:billing"
bound_to "$work/first"

say "No certificate, and another one with the same names: refused."
self_signed "$work/other"
refuses 401 invalid_client "${request[@]}"
stranger "$work/other" "${request[@]}"

say "Rotation: the next certificate stands beside the first for a while."
self_signed "$work/second"
registered "$work/first" "$work/second"
for each in first second; do
  token "$work/$each" "$NAMESPACE:billing"
  bound_to "$work/$each"
done

say "The first is taken out: refused from then on."
registered "$work/second"
stranger "$work/first" "${request[@]}"
token "$work/second" "$NAMESPACE:billing"

say "A gateway that ends TLS is a client of its own."
client gateway

say "What it hands on in Client-Cert counts: the token is bound to the client's certificate, not to the gateway's."
as_gateway=(--cert "$work/gateway/tls.crt" --key "$work/gateway/tls.key")
token "$work/gateway" "$NAMESPACE:billing" -H "Client-Cert: :$(der "$work/second"):"
bound_to "$work/second"

say "A certificate that the client has not registered, or none: refused, whatever the gateway's own is."
refuses 401 invalid_client "${as_gateway[@]}" -H "Client-Cert: :$(der "$work/first"):" "${request[@]}"
refuses 401 invalid_client "${as_gateway[@]}" "${request[@]}"

say "The header from somebody who is no proxy counts for nothing."
refuses 401 invalid_client -H "Client-Cert: :$(der "$work/second"):" "${request[@]}"

[[ ${JWKS_URI:-} && ${JWKS_FILE:-} ]] || { say "No JWKS_URI and JWKS_FILE: keys at a URL are left out."; exit; }

# Publish the keys of folders with their certificates (section 2.2.2): `published FOLDER...`
published() {
  { printf '{"keys":['
    for one; do
      [[ $one == "$1" ]] || printf ,
      jwk "$one/tls.key" | sed "s|}\$|,\"x5c\":[\"$(der "$one")\"]}|"
    done
    printf ']}'; } > "$JWKS_FILE.new"
  mv "$JWKS_FILE.new" "$JWKS_FILE"
}

# Ask until the answer has a status, for two minutes at most: `until_status STATUS FOLDER`
until_status() {
  for _ in {1..240}; do
    status=$(issuer -o "$work/answer" -w '%{http_code}' --cert "$work/$2/tls.crt" --key "$work/$2/tls.key" \
      "${remote[@]}") || status=0
    [[ $status != "$1" ]] || { echo "$2: $status"; return; }
    sleep 0.5
  done
  surprise "expected $1, got $status"
}

say "Keys at a URL: the client publishes them itself."
self_signed "$work/third"
self_signed "$work/fourth"
self_signed "$work/fifth"
published "$work/third"
apply << YAML
apiVersion: mintls.dev/v1alpha1
kind: OAuthClient
metadata: {name: shipping}
spec:
  tokenEndpointAuthMethod: self_signed_tls_client_auth
  scopes: [orders.read]
  audiences: [https://orders.shop.svc]
  jwksURI: $JWKS_URI
YAML
ready oauthclient/shipping
remote=(-d grant_type=client_credentials -d "client_id=$NAMESPACE:shipping" "$(endpoint token)")
token "$work/third" "$NAMESPACE:shipping"
bound_to "$work/third"

say "Rotation without a word to the issuer. Keys that it does not know have it ask again, every 30 seconds at most."
published "$work/third" "$work/fourth"
until_status 200 fourth
until_status 200 third

say "The third is taken out, and the fifth put in: what the issuer fetches for it, ends the third."
published "$work/fourth" "$work/fifth"
until_status 200 fifth
until_status 401 third
token "$work/fourth" "$NAMESPACE:shipping"
bound_to "$work/fourth"
