#!/usr/bin/env bash
# The client credentials grant and all that is around it: parameters as a form or as JSON, scopes or none, a token that
# ends, introspection, and a signing key that is this client's alone.
#
# Needs what steps.sh needs. The issuer runs with --json-bodies.
. "$(dirname "$0")/steps.sh"

say "A client with tokens that live for 30 seconds, signed with a key of its own."
client reports '{scopes: [orders.read, orders.write], defaultScopes: [orders.read],
  audiences: ["https://orders.shop.svc"], accessToken: {lifetime: 30s, dedicatedKey: true}}'
client billing '{audiences: ["https://orders.shop.svc"]}'
as_reports=(--cert "$work/reports/tls.crt" --key "$work/reports/tls.key")

say "Where what is."
issuer "$ISSUER/.well-known/oauth-authorization-server" > "$work/metadata"
for name in token introspection revocation; do endpoint "$name"; done
member jwks_uri < "$work/metadata"

say "A token for a form; without a scope there are the default ones."
token "$work/reports" "$NAMESPACE:reports"
bound_to "$work/reports"

say "A scope that is asked for, and one that the client has not."
token "$work/reports" "$NAMESPACE:reports" -d scope=orders.write
[[ $(member scope < "$work/answer") == orders.write ]] || surprise "another scope"
refuses 400 invalid_scope "${as_reports[@]}" -d grant_type=client_credentials -d "client_id=$NAMESPACE:reports" \
  -d scope=admin "$(endpoint token)"

say "The same as JSON."
json=(-H "Content-Type: application/json")
answers 200 "${as_reports[@]}" "${json[@]}" "$(endpoint token)" -d '{
  "grant_type": "client_credentials", "client_id": "'"$NAMESPACE:reports"'", "scope": "orders.read orders.write"
}'
member access_token < "$work/answer" > "$work/token"
bound_to "$work/reports"

say "Another grant, a parameter of the wrong type, no certificate: refused, as in a form."
refuses 400 unsupported_grant_type "${as_reports[@]}" "${json[@]}" "$(endpoint token)" -d '{
  "grant_type": "password", "client_id": "'"$NAMESPACE:reports"'"}'
refuses 400 invalid_request "${as_reports[@]}" "${json[@]}" "$(endpoint token)" -d '{
  "grant_type": "client_credentials", "client_id": "'"$NAMESPACE:reports"'", "scope": ["orders.read"]}'
refuses 401 invalid_client "${json[@]}" "$(endpoint token)" -d '{
  "grant_type": "client_credentials", "client_id": "'"$NAMESPACE:reports"'"}'

say "The key set of this client; openssl verifies the token with it."
uri=$(kubectl -n "$NAMESPACE" get oauthclient reports -o jsonpath='{.status.accessTokenJWKSURI}')
echo "$uri"
issuer "$uri" > "$work/own.jwks"
issuer "$(member jwks_uri < "$work/metadata")" > "$work/shared.jwks"
verified "$work/token" "$work/own.jwks" || surprise "the signature is wrong"

say "The issuer's own key set does not have that key, nor this one those of other clients' tokens."
! verified "$work/token" "$work/shared.jwks" || surprise "the key is in the shared set"
cp "$work/token" "$work/reports.token"
token "$work/billing" "$NAMESPACE:billing"
! verified "$work/token" "$work/own.jwks" || surprise "the set has a key of others"
verified "$work/token" "$work/shared.jwks" || surprise "the signature is wrong"

say "Introspection."
introspected() {
  answers 200 "${as_reports[@]}" -d "client_id=$NAMESPACE:reports" -d "token=$(cat "$work/reports.token")" \
    "$(endpoint introspection)"
}
introspected
seconds=$(payload "$work/reports.token" | python3 -c 'import json, sys; c = json.load(sys.stdin); print(c["exp"] - c["iat"])')
[[ $seconds == 30 ]] || surprise "it lives for $seconds seconds"

say "Until it ends."
for _ in {1..80}; do
  [[ $(issuer "${as_reports[@]}" -d "client_id=$NAMESPACE:reports" -d "token=$(cat "$work/reports.token")" \
    "$(endpoint introspection)" | member active) == true ]] || break
  sleep 0.5
done
introspected
[[ $(member active < "$work/answer") == false ]] || surprise "it is active 40 seconds later"
