#!/usr/bin/env bash
# Tokens that are of use only to whoever they were issued to, and how a resource sees to that: by the certificate (RFC
# 8705), by introspection (RFC 7662), strictly or not; clients that sign assertions (RFC 7523); and DPoP (RFC 9449), for
# where TLS ends before the resource.
#
# Needs what steps.sh needs. The issuer runs with --proxy NAMESPACE/gateway=client-cert.
. "$(dirname "$0")/steps.sh"
AUDIENCE=https://orders.shop.svc

# The check of a gateway in front of the resource, whose request to the resource is GET /orders:
# `verify POSSESSION SCOPE CURL-ARGUMENT...`
verify() {
  local demand="audience=$AUDIENCE&possession=$1&scope=$2"
  shift 2
  issuer -o "$work/answer" -D "$work/headers" -w '%{http_code}\n' --cert "$work/gateway/tls.crt" \
    --key "$work/gateway/tls.key" -H "X-Forwarded-Method: GET" -H "X-Forwarded-Proto: https" \
    -H "X-Forwarded-Host: orders.shop.svc" -H "X-Forwarded-Uri: /orders" "$@" \
    "$(dirname "$(endpoint token)")/verify?$demand" > "$work/status"
}

# `passes POSSESSION CURL-ARGUMENT...`: the gateway lets it through, and knows who it is.
passes() {
  verify "$1" orders.read "${@:2}"
  [[ $(cat "$work/status") == 200 ]] || surprise "expected 200, got $(cat "$work/status")"
  printf '200 %s\n' "$(sed -n 's/^X-Token-Client-Id: //p' "$work/headers" | tr -d '\r')"
}

# `stopped STATUS POSSESSION SCOPE CURL-ARGUMENT...`: it does not.
stopped() {
  verify "$2" "$3" "${@:4}"
  [[ $(cat "$work/status") == "$1" ]] || surprise "expected $1, got $(cat "$work/status")"
  printf '%s %s\n' "$1" "$(sed -n 's/^WWW-Authenticate: //p' "$work/headers" | tr -d '\r')"
}

# What a gateway hands on: the token, and the certificate of whoever brought it.
bearer() { printf 'Authorization: Bearer %s' "$(cat "$work/$1.token")"; }
brought_by() { printf 'Client-Cert: :%s:' "$(der "$work/$1")"; }

say "A client, a gateway in front of a resource, the resource itself, and a stranger."
client billing '{scopes: [orders.read], audiences: ["'$AUDIENCE'"]}'
client gateway
client orders '{audiences: ["'$AUDIENCE'"]}'
client shipping

say "A token, bound to the certificate that it was asked for with."
token "$work/billing" "$NAMESPACE:billing"
bound_to "$work/billing"
cp "$work/token" "$work/billing.token"

say "The gateway asks the issuer: token and certificate belong together."
passes strict -H "$(bearer billing)" -H "$(brought_by billing)"

say "A stolen token: with another certificate, with none; and no token at all."
stopped 401 strict orders.read -H "$(bearer billing)" -H "$(brought_by shipping)"
stopped 401 strict orders.read -H "$(bearer billing)"
stopped 401 strict orders.read -H "$(brought_by billing)"

say "A scope that the token has not."
stopped 403 strict orders.write -H "$(bearer billing)" -H "$(brought_by billing)"

say "Or the resource asks by introspection, and compares cnf with the certificate itself."
introspect() {
  answers 200 --cert "$work/$1/tls.crt" --key "$work/$1/tls.key" -d "client_id=$NAMESPACE:$1" \
    -d "token=$(cat "$work/$2.token")" "$(endpoint introspection)"
}
introspect orders billing
[[ $(member cnf 'x5t#S256' < "$work/answer") == $(payload "$work/billing.token" | member cnf 'x5t#S256') ]] ||
  surprise "introspection says another cnf"

say "Whoever the token is not for, learns nothing."
introspect shipping billing
[[ $(member active < "$work/answer") == false ]] || surprise "it is active"

say "A client without a certificate: it signs an assertion for each request."
new_key "$work/batch.key"
apply << YAML
apiVersion: mintls.dev/v1alpha1
kind: OAuthClient
metadata: {name: batch}
spec:
  tokenEndpointAuthMethod: private_key_jwt
  tlsClientCertificateBoundAccessTokens: false
  scopes: [orders.read]
  audiences: [$AUDIENCE]
  jwks: {"keys": [$(jwk "$work/batch.key")]}
YAML
ready oauthclient/batch

# `assertion CLIENT KEY`
assertion() {
  local now
  now=$(date +%s)
  signed '{"alg":"ES256","typ":"client-authentication+jwt"}' \
    '{"iss":"'"$1"'","sub":"'"$1"'","aud":"'"$ISSUER"'","jti":"'"$(openssl rand -hex 16)"'","iat":'"$now"',"exp":'$((now + 60))'}' \
    "$2"
}
type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer
by_assertion() { printf 'client_assertion_type=%s&client_assertion=%s&grant_type=client_credentials' "$type" "$1"; }
once=$(assertion "$NAMESPACE:batch" "$work/batch.key")
answers 200 -d "$(by_assertion "$once")" "$(endpoint token)"
member access_token < "$work/answer" > "$work/batch.token"

say "An assertion counts once, and one of another key never."
refuses 401 invalid_client -d "$(by_assertion "$once")" "$(endpoint token)"
refuses 401 invalid_client -d "$(by_assertion "$(assertion "$NAMESPACE:batch" "$work/orders/tls.key")")" "$(endpoint token)"

say "Its token is bound to nothing: strictly, that is not enough; where possession is optional, it is."
stopped 401 strict orders.read -H "$(bearer batch)"
passes optional -H "$(bearer batch)"

say "Optional is not lax: a token that is bound passes only with its certificate."
passes optional -H "$(bearer billing)" -H "$(brought_by billing)"
stopped 401 optional orders.read -H "$(bearer billing)" -H "$(brought_by shipping)"
stopped 401 optional orders.read -H "$(bearer billing)"

say "DPoP: a token that is bound to a key of the client, for where TLS ends before the resource."
new_key "$work/mobile.key"
new_key "$work/proof.key"
apply << YAML
apiVersion: mintls.dev/v1alpha1
kind: OAuthClient
metadata: {name: mobile}
spec:
  tokenEndpointAuthMethod: private_key_jwt
  dpopBoundAccessTokens: true
  scopes: [orders.read]
  audiences: [$AUDIENCE]
  jwks: {"keys": [$(jwk "$work/mobile.key")]}
YAML
ready oauthclient/mobile

# `proof METHOD URL [MORE-CLAIMS]`
proof() {
  signed '{"alg":"ES256","typ":"dpop+jwt","jwk":'"$(jwk "$work/proof.key")"'}' \
    '{"htm":"'"$1"'","htu":"'"$2"'","jti":"'"$(openssl rand -hex 16)"'","iat":'"$(date +%s)${3:-}"'}' "$work/proof.key"
}
refuses 400 invalid_dpop_proof -d "$(by_assertion "$(assertion "$NAMESPACE:mobile" "$work/mobile.key")")" "$(endpoint token)"
answers 200 -H "DPoP: $(proof POST "$(endpoint token)")" \
  -d "$(by_assertion "$(assertion "$NAMESPACE:mobile" "$work/mobile.key")")" "$(endpoint token)"
member access_token < "$work/answer" > "$work/mobile.token"
jkt=$(jwk "$work/proof.key" | openssl dgst -sha256 -binary | base64url)
[[ $(payload "$work/mobile.token" | member cnf jkt) == "$jkt" ]] || surprise "the token is not bound to $jkt"
echo "cnf is the thumbprint of the key: $jkt"

say "It passes with a proof for this request and this token, and with nothing less."
dpop="Authorization: DPoP $(cat "$work/mobile.token")"
ath=',"ath":"'$(openssl dgst -sha256 -binary < <(printf %s "$(cat "$work/mobile.token")") | base64url)'"'
passes strict -H "$dpop" -H "DPoP: $(proof GET "$AUDIENCE/orders" "$ath")"
stopped 401 strict orders.read -H "$dpop" -H "DPoP: $(proof GET "$AUDIENCE/invoices" "$ath")"
stopped 401 strict orders.read -H "$dpop" -H "DPoP: $(proof GET "$AUDIENCE/orders")"
stopped 401 strict orders.read -H "$dpop"
stopped 401 strict orders.read -H "Authorization: Bearer $(cat "$work/mobile.token")"
