// oidc-provider as a token issuer like Mintls': client credentials over mutual TLS by a URI in the certificate
// (tls_client_auth_san_uri), ES256 JWTs that are bound to it. One process, everything in memory.
//
// node server.mjs PORT FOLDER: the folder has tls.crt, tls.key, ca.crt and registrations.json ([{id, uri}]).
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import Provider from 'oidc-provider';

const [port, folder] = process.argv.slice(2);
const read = (name) => readFileSync(`${folder}/${name}`, 'utf8');
const AUDIENCE = 'https://orders.shop.svc';
const SCOPE = 'orders.read orders.write';

// Parsed once for each connection, as Mintls does: the fairest for the peer.
const certificates = new WeakMap();
function certificateOf(socket) {
  let known = certificates.get(socket);
  if (!known) {
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return undefined;
    const uris = certificate.subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
    known = { certificate, uris: new Set(uris.map((name) => name.slice(4))) };
    certificates.set(socket, known);
  }
  return known;
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(`https://localhost:${port}`, {
  clients: JSON.parse(read('registrations.json')).map(({ id, uri }) => ({
    client_id: id,
    grant_types: ['client_credentials'],
    id_token_signed_response_alg: 'ES256',
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_uri: uri,
    tls_client_certificate_bound_access_tokens: true,
  })),
  clientAuthMethods: ['tls_client_auth'],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] },
  scopes: SCOPE.split(' '),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => certificateOf(ctx.socket)?.certificate,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_uri' && certificateOf(ctx.socket).uris.has(expected),
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        audience: AUDIENCE,
        jwt: { sign: { alg: 'ES256' } },
        scope: SCOPE,
      }),
    },
  },
});

const tls = { cert: read('tls.crt'), key: read('tls.key'), ca: read('ca.crt'), requestCert: true, rejectUnauthorized: false };
createServer({ ...tls, minVersion: 'TLSv1.2' }, provider.callback()).listen(Number(port), '127.0.0.1', 1024, () => {
  console.log('ready');
});
