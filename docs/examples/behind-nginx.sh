#!/usr/bin/env bash
# A real nginx in front of a resource asks the issuer about each request: nginx/orders.conf, at addresses of this machine.
#
# Needs nginx, and what steps.sh needs; ends with status 69 where there is no nginx. The issuer runs with
# --proxy NAMESPACE/edge=escaped-pem.
nginx=$(PATH=$PATH:/usr/sbin:/usr/local/sbin type -P nginx) || {
  echo "nginx is not installed (Debian: apt-get install nginx-light), so this is left out"
  exit 69
}
. "$(dirname "$0")/steps.sh"

say "A client, the gateway's own client, and a stranger."
client billing '{scopes: [orders.read, orders.write], audiences: ["https://orders.shop.svc"]}'
client edge
client shipping

say "nginx with the configuration of the documents, and behind it something that says whom it was told of."
mv "$work/edge" "$work/gateway"
mkdir "$work/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/tls/tls.key" \
  -out "$work/tls/tls.crt" -days 1 -subj /CN=orders -addext subjectAltName=DNS:orders.shop.svc 2> "$work/openssl"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port) upstream=$(free_port)
address=$(endpoint token | sed -E 's|https://([^/]+)/.*|\1|')
[[ $address == *:* ]] || address=$address:443
sed -e "s|listen 443|listen 127.0.0.1:$port|" -e "s|mintls-issuer.mintls-system.svc:9443|$address|" \
  -e "s|proxy_ssl_name .*;|proxy_ssl_name ${address%:*};|" -e "s|127.0.0.1:8080|127.0.0.1:$upstream|" \
  -e "s|/etc/nginx|$work|" "$(dirname "$0")/nginx/orders.conf" > "$work/orders.conf"
cat > "$work/nginx.conf" << CONF
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    include $work/orders.conf;
    server {
        listen 127.0.0.1:$upstream;
        return 200 "client=\$http_x_token_client_id scope=\$http_x_token_scope\n";
    }
}
CONF
timeout 120 "$nginx" -e "$work/error.log" -c "$work/nginx.conf" & # it goes, too, where this script is killed
trap 'kill %1; wait; rm -rf "$work"' EXIT
for _ in {1..100}; do
  ! curl -s -o "$work/answer" "http://127.0.0.1:$upstream/" || break
  kill -0 %1 2> "$work/problem" || surprise "nginx has ended: $(cat "$work/error.log")"
  sleep 0.1
done
cat "$work/answer"

# Ask the resource: `orders STATUS CURL-ARGUMENT...`
orders() {
  local expected=$1 status
  shift
  status=$(curl -sS --cacert "$work/tls/tls.crt" --resolve "orders.shop.svc:$port:127.0.0.1" -o "$work/answer" \
    -D "$work/headers" -w '%{http_code}' "$@" "https://orders.shop.svc:$port/") || surprise "curl ended with status $?"
  if [[ $status == 200 ]]; then printf '200 %s\n' "$(cat "$work/answer")"; else
    printf '%s %s\n' "$status" "$(sed -n 's/^WWW-Authenticate: //p' "$work/headers" | tr -d '\r')"
  fi
  [[ $status == "$expected" ]] || surprise "expected $expected, got $status; $(cat "$work/error.log")"
}
as() { printf '%s\n' --cert "$work/$1/tls.crt" --key "$work/$1/tls.key"; }
mapfile -t as_billing < <(as billing)
mapfile -t as_shipping < <(as shipping)

say "Whoever holds the certificate of a token passes."
token "$work/billing" "$NAMESPACE:billing" -d scope=orders.read
bearer="Authorization: Bearer $(cat "$work/token")"
orders 200 "${as_billing[@]}" -H "$bearer"

say "A stolen token: with another certificate, with none, with the right one in a header; and no token."
orders 401 "${as_shipping[@]}" -H "$bearer"
orders 401 -H "$bearer"
orders 401 "${as_shipping[@]}" -H "$bearer" -H "ssl-client-cert: $(python3 -c \
  'import sys, urllib.parse; print(urllib.parse.quote(open(sys.argv[1]).read(), safe=""))' "$work/billing/tls.crt")"
orders 401 "${as_billing[@]}"

say "What a client says of itself does not get through."
orders 200 "${as_billing[@]}" -H "$bearer" -H "X-Token-Client-Id: $NAMESPACE:admin"
[[ $(cat "$work/answer") == "client=$NAMESPACE:billing "* ]] || surprise "the resource believes it"

say "A token without the scope is told which."
token "$work/billing" "$NAMESPACE:billing" -d scope=orders.write
orders 403 "${as_billing[@]}" -H "Authorization: Bearer $(cat "$work/token")"
