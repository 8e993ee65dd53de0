// A frontend that signs in and links by redirect. ../frontend.py writes what it imports: the docs' block, as it stands,
// and where the server is.
import { begin, finish } from './redirect.js';
import { server } from './server.js';

const next = location.origin + location.pathname;

async function call(method, path, access, body) {
  const headers = { ...(body && { 'Content-Type': 'application/json' }), ...(access && { Authorization: `Bearer ${access}` }) };
  const response = await fetch(`${server}${path}`, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

async function signIn(loginUrl) {
  location.href = await begin(loginUrl, next);
}

// The access token outlives the redirect in this tab, for the exchange needs it.
async function link(name, loginUrl, access) {
  const asked = Object.fromEntries(new URL(await begin(loginUrl, next)).searchParams);
  const { body } = await call('POST', `/api/identities/${name}/login/`, access, asked);
  sessionStorage.setItem('access', access);
  location.href = body.url;
}

async function linked(access) {
  const { verifier, state } = JSON.parse(sessionStorage.getItem('sign-in'));
  sessionStorage.clear();
  const came = new URLSearchParams(location.search);
  if (came.get('state') !== state) throw new Error('This link was not begun here.');
  const exchange = { code: came.get('code'), code_verifier: verifier };
  const { status, body } = await call('POST', '/api/auth/exchange/', access, exchange);
  const identities = await call('GET', '/api/identities/', access);
  return { status, linked: body, identities: identities.body };
}

async function signedIn() {
  const { access, refresh, user } = await finish(server, location.search);
  const me = await call('GET', '/api/me/', access);
  showButtons('Link', (one) => link(one.name, one.login_url, access));
  return { access, refresh, user, me: me.body };
}

async function showButtons(verb, act) {
  const providers = await call('GET', '/api/auth/');
  for (const one of providers.body) {
    const button = document.createElement('button');
    button.textContent = `${verb} ${one.name}`;
    button.onclick = () => act(one);
    document.getElementById('buttons').append(button);
  }
}

async function comeBack() {
  const access = sessionStorage.getItem('access');
  try {
    return await (access ? linked(access) : signedIn());
  } catch (error) {
    return { failed: error.message };
  } finally {
    history.replaceState({}, '', location.pathname);
  }
}

showButtons('Sign in with', (one) => signIn(one.login_url));
if (location.search) document.getElementById('outcome').textContent = JSON.stringify(await comeBack());
