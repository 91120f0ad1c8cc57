// Lets real issuers sign tokens: writes [{name, issuer, audience, key_set, tokens}], where the issuers are oidc-provider, as RFC 9068
// has access tokens, and oauth2-mock-server, once for each algorithm.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(process.argv[2] + '/'));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { OAuth2Server } = await load('oauth2-mock-server');
const { exportJWK, generateKeyPair } = await load('jose');
const audience = 'https://tillrace.example';
const get = async (address) => (await fetch(address)).json();

async function mocked(alg) {
  const server = new OAuth2Server();
  await server.issuer.keys.generate(alg);
  await server.start(0, '127.0.0.1');
  const issuer = server.issuer.url;
  server.service.on('beforeTokenSigning', (token) => {
    token.header.typ = 'at+jwt';
    Object.assign(token.payload, { aud: audience, sub: 'till-7', client_id: 'till-7', jti: 'a1' });
  });
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'events:write' });
  const answer = await fetch(`${issuer}/token`, { method: 'POST', body });
  const { access_token } = await answer.json();
  const { jwks_uri } = await get(`${issuer}/.well-known/openid-configuration`);
  const key_set = await get(jwks_uri);
  await server.stop();
  return { name: `oauth2-mock-server, ${alg}`, issuer, audience, key_set, token: access_token };
}

async function provided(alg) {
  const { default: Provider } = await load('oidc-provider');
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const server = createServer();
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'till-7', client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      ...(alg === 'RS256' ? {} : { id_token_signed_response_alg: alg }),
    }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          accessTokenFormat: 'jwt', audience, jwt: { sign: { alg } }, scope: 'events:write',
        }),
      },
    },
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg, kid: 'one', use: 'sig' }] },
    scopes: ['events:write'],
  });
  server.on('request', provider.callback());
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('till-7:secret')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience, scope: 'events:write' }),
  });
  const { access_token } = await answer.json();
  const { jwks_uri } = await get(`${issuer}/.well-known/openid-configuration`);
  const key_set = await get(jwks_uri);
  server.closeAllConnections();
  server.close();
  return { name: `oidc-provider, ${alg}`, issuer, audience, key_set, token: access_token };
}

// What a library says about itself does not belong to the answer.
console.info = console.warn = console.error;
const log = console.log;
console.log = console.error;
const all = [];
for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
  all.push(await mocked(alg), await provided(alg));
}
log(JSON.stringify(all));
process.exit(0);
