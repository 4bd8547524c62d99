#!/usr/bin/env bash
# curl and openssl as a client of the issuer; ../README.md says what is asked for and what is printed. ES256 alone.
set -euo pipefail
directory=$1 audience=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

member() { python3 -c 'import json, sys; value = json.load(sys.stdin)
for name in sys.argv[1:]: value = value[int(name) if name.isdigit() else name]
print(value if isinstance(value, str) else json.dumps(value))' "$@"; }
base64url() { basenc --base64url -w0 | tr -d =; }
unbase64url() { local text; text=$(cat); while ((${#text} % 4)); do text+==; done; basenc --base64url -d <<< "$text"; }
hex() { basenc --base16 -w0; }

credential=()
[[ -e $directory/tls.crt ]] && credential=(--cert "$directory/tls.crt" --key "$directory/tls.key")
issuer() { curl -sS --cacert "$directory/ca.crt" ${credential[@]+"${credential[@]}"} "$@"; }
failed() { python3 -c 'import json, sys; print(json.dumps({"failed": sys.stdin.read()}))' < "$work/problem"; exit; }

client=$(cat "$directory/client-id")
issuer "$(cat "$directory/issuer")/.well-known/oauth-authorization-server" > "$work/metadata"
endpoint() { member mtls_endpoint_aliases "$1_endpoint" < "$work/metadata"; }

status=$(issuer -o "$work/answer" -w '%{http_code}' -d grant_type=client_credentials -d "client_id=$client" \
  -d scope=orders.read "$(endpoint token)" 2> "$work/problem") || failed
if ((status != 200)); then
  echo "{\"refused\": {\"status\": $status, \"error\": \"$(member error < "$work/answer")\"}}"
  exit
fi
token=$(member access_token < "$work/answer")
IFS=. read -r head payload signature <<< "$token"

# The key by its kid: a SubjectPublicKeyInfo of P-256 (RFC 5480 section 2) and the point. The signature is two numbers
# (RFC 7518 section 3.4), which openssl wants as DER.
issuer "$(member jwks_uri < "$work/metadata")" > "$work/jwks"
kid=$(unbase64url <<< "$head" | member kid)
python3 -c 'import json, sys
[key] = [key for key in json.load(sys.stdin)["keys"] if key["kid"] == sys.argv[1]]
print(key["x"], key["y"])' "$kid" < "$work/jwks" > "$work/point"
read -r x y < "$work/point"
{ printf 3059301306072A8648CE3D020106082A8648CE3D03010703420004; unbase64url <<< "$x" | hex; unbase64url <<< "$y" | hex
} | basenc --base16 -d > "$work/key.der"
numbers=$(unbase64url <<< "$signature" | hex)
printf 'asn1=SEQUENCE:both\n[both]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "${numbers:0:64}" "${numbers:64}" > "$work/both"
openssl asn1parse -genconf "$work/both" -noout -out "$work/signature.der"
printf %s "$head.$payload" |
  openssl dgst -sha256 -verify "$work/key.der" -keyform DER -signature "$work/signature.der" > "$work/verified"
[[ $(unbase64url <<< "$payload" | member aud) == "$audience" ]]

introspect() { issuer -d "client_id=$client" -d "token=$token" "$(endpoint introspection)"; }
thumbprint=$(openssl x509 -in "$directory/tls.crt" -outform der | openssl dgst -sha256 -binary | base64url)
introspection=$(introspect)
[[ $(issuer -o "$work/revoked" -w '%{http_code}' -d "client_id=$client" -d "token=$token" "$(endpoint revocation)") == 200 ]]
printf '{"endpoint": "%s", "type": "%s", "header": %s, "claims": %s, "thumbprint": "%s", ' \
  "$(endpoint token)" "$(member token_type < "$work/answer")" \
  "$(unbase64url <<< "$head")" "$(unbase64url <<< "$payload")" "$thumbprint"
printf '"introspection": %s, "revoked": %s}\n' "$introspection" "$(introspect)"
