// OpenID providers on loopback, with the login and consent pages that oidc-provider has for development.
// PROVIDERS is a list of { port, clients, jwks, ... }, of whose settings those that are not read here are its own.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const claims = { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name'] };

// Whoever signs in as "ada" is Ada, with any password.
async function findAccount(ctx, id) {
  const name = id[0].toUpperCase() + id.slice(1);
  const email = { email: `${id}@example.com`, email_verified: true };
  return { accountId: id, claims: () => ({ sub: id, ...email, name: `${name} Example`, given_name: name, family_name: 'Example' }) };
}

for (const { port, ...settings } of JSON.parse(process.env.PROVIDERS)) {
  const provider = new Provider(`http://127.0.0.1:${port}`, { claims, findAccount, ...settings });
  await new Promise((listening) => createServer(provider.callback()).listen(port, '127.0.0.1', listening));
}
