// Judges tokens by jose: reads {key_set, issuer, audience, now, skew, tokens} and writes which tokens are taken.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(process.argv[2] + '/'));
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(require.resolve('jose')));
const given = JSON.parse(readFileSync(0, 'utf8'));
const keys = createLocalJWKSet(given.key_set);
const options = {
  algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  audience: given.audience,
  clockTolerance: given.skew,
  currentDate: new Date(given.now * 1000),
  issuer: given.issuer,
  requiredClaims: ['exp', 'sub', 'client_id', 'iat', 'jti'],
  typ: 'at+jwt',
};
const takes = (token) => jwtVerify(token, keys, options).then(() => true, () => false);
console.log(JSON.stringify(await Promise.all(given.tokens.map(takes))));
