// openid-client and jose as a client of the issuer; ../README.md says what is asked for and what is printed.
import { X509Certificate, createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';

import * as jose from 'jose';
import * as client from 'openid-client';
import { Agent, fetch } from 'undici';

const [directory, audience, method = 'tls_client_auth'] = process.argv.slice(2);
const read = (name) => readFileSync(`${directory}/${name}`, 'utf8');
const presents = existsSync(`${directory}/tls.crt`);
const credential = presents ? { cert: read('tls.crt'), key: read('tls.key') } : {};
const dispatcher = new Agent({ connect: { ca: read('ca.crt'), ...credential } });
const through = (url, options) => fetch(url, { ...options, dispatcher });

async function authentication() {
  if (method !== 'private_key_jwt') return client.TlsClientAuth();
  return client.PrivateKeyJwt(await jose.importPKCS8(read('assertion.key'), 'ES256'));
}

async function discovered() {
  const metadata = { use_mtls_endpoint_aliases: true };
  const options = { [client.customFetch]: through, algorithm: 'oauth2' };
  return client.discovery(new URL(read('issuer')), read('client-id'), metadata, await authentication(), options);
}

async function verified(config, token) {
  const { issuer, jwks_uri: uri } = config.serverMetadata();
  const keys = jose.createRemoteJWKSet(new URL(uri), { [jose.customFetch]: through });
  const { payload, protectedHeader } = await jose.jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'at+jwt',
    requiredClaims: ['exp', 'sub', 'client_id', 'iat', 'jti'],
  });
  return { header: protectedHeader, claims: payload };
}

function thumbprint() {
  return createHash('sha256').update(new X509Certificate(read('tls.crt')).raw).digest('base64url');
}

async function seen() {
  const config = await discovered();
  const options = {};
  let jkt;
  if (method === 'dpop') {
    const pair = await client.randomDPoPKeyPair();
    options.DPoP = client.getDPoPHandle(config, pair);
    jkt = await jose.calculateJwkThumbprint(await jose.exportJWK(pair.publicKey));
  }
  const answer = await client.clientCredentialsGrant(config, { scope: 'orders.read' }, options);
  const token = answer.access_token;
  const outcome = {
    endpoint: config.serverMetadata().mtls_endpoint_aliases.token_endpoint,
    type: answer.token_type,
    ...(await verified(config, token)),
    thumbprint: presents ? thumbprint() : null,
    jkt,
    introspection: await client.tokenIntrospection(config, token),
  };
  await client.tokenRevocation(config, token);
  return { ...outcome, revoked: await client.tokenIntrospection(config, token) };
}

async function problem(error) {
  if (error instanceof client.ResponseBodyError) return { refused: { status: error.status, error: error.error } };
  // What openid-client makes of a 401, which has a challenge (RFC 9110 section 15.5.2): the body is there to be read.
  if (error instanceof client.WWWAuthenticateChallengeError) {
    return { refused: { status: error.status, error: (await error.response.json()).error } };
  }
  return { failed: [error.message, error.cause?.message, error.cause?.cause?.message].join(': ') };
}

console.log(JSON.stringify(await seen().catch(problem)));
await dispatcher.close();
