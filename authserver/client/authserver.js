/** Sign-in with authserver, for browsers and for Node 20 and later. How to use it: docs/frontend.md. */

const browser = typeof document === 'object';
const developing = browser && /(^|\.)localhost$|^127(\.\d+){3}$|^\[::1\]$/.test(location.hostname);

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const random = (length) => base64url(crypto.getRandomValues(new Uint8Array(length)));
const claims = (token) => JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));

/** Reads, or with a value writes; an empty one removes. A browser may forbid storage. */
function stored(storage, key, value) {
  try {
    if (value === undefined) return globalThis[storage].getItem(key);
    if (value) globalThis[storage].setItem(key, value);
    else globalThis[storage].removeItem(key);
  } catch {
    return null;
  }
}

/** The channel to other tabs; null in a browser that blocks cookies, which refuses storage, channels and locks too. */
function openChannel(key) {
  try {
    localStorage.getItem(key);
    return new BroadcastChannel(key);
  } catch {
    return null;
  }
}

/** Null for what is no JSON; a network that fails meanwhile is an error still. */
const noJson = (failure) => (failure.name === 'SyntaxError' ? null : Promise.reject(failure));

const origin = (url) => new URL(url, browser ? location.href : undefined).origin;

/** The origin of a server. `new URL` takes `localhost:8000` for a scheme, '' and `undefined` for pages of this host. */
function serverOrigin(address) {
  try {
    const found = origin(address);
    if (found.startsWith('http') && (!developing || /^(https?:\/\/[^/?#]+\/?|\/)$/i.test(address))) return found;
  } catch {
    // is said below
  }
  const expected = "such as 'http://localhost:8000', without a path, or '/' for this page's own host";
  throw new TypeError(`createClient needs the address of a server, ${expected}, and not ${JSON.stringify(address)}.`);
}

/** A refusal: `code` is a stable word, `message` a sentence for a person, `errors` what is wrong with which field. */
export class AuthError extends Error {
  constructor(message, code, status, more) {
    super(message);
    Object.assign(this, { name: 'AuthError', code, status, ...more });
  }
}

const blocked = () => {
  const effect = 'You stay signed in until you leave the page, and signing in on another page does not work.';
  return new AuthError(`This browser blocks cookies and storage for this page. ${effect}`, 'storage_blocked', 0);
};

export function createClient(server, { apis = [], pages = server, shared = false } = {}) {
  const home = serverOrigin(server);
  const hosted = serverOrigin(pages);
  const trusted = new Set([home, ...apis.map(serverOrigin)]);
  const warned = new Set();
  const key = `authserver ${home}`;
  const channel = browser && openChannel(key); // without one, as in Node, everything is in memory
  const locks = channel && navigator.locks; // none on plain http by address
  const listeners = new Set();
  let access; // here and in other tabs of this origin, never in storage
  let refreshToken; // where everything is in memory: elsewhere it is in a cookie that no script can read
  let user; // undefined until it is known, null for nobody
  let error = null;
  let queue = Promise.resolve();
  let refreshing;
  let hear = () => {};

  const notify = () => {
    for (const listener of listeners) queueMicrotask(() => listener(user));
  };

  const become = (token, person) => {
    [access, error] = [token, null];
    if (browser) stored('localStorage', key, person ? 'signed in' : '');
    if (JSON.stringify(person) === JSON.stringify(user)) return;
    user = person;
    notify();
  };

  const tell = () => channel && channel.postMessage({ access, user });

  const hearOtherTab = ({ data }) => {
    const mine = !refreshing && access && data?.user?.id === user?.id ? claims(access) : {};
    // Its token is new, but ours may be fresh still, as sensitive changes need it and a refreshed one is not.
    if (data && !(Math.min(mine.fresh, mine.exp) > Date.now() / 1000)) become(data.access, data.user);
    hear();
  };
  if (channel) channel.onmessage = hearOtherTab;

  /** Sign-in, exchange, refresh and logout: one at a time, across tabs where there are Web Locks. */
  const inTurn = async (work) => {
    if (!locks) return (queue = queue.then(() => work(), () => work()));
    const done = (waited) => work(waited).finally(() => channel.postMessage(null));
    const first = await locks.request(key, { ifAvailable: true }, async (lock) => lock && [await done()]);
    return first ? first[0] : locks.request(key, () => done(true));
  };

  const call = async (path, body, bearer) => {
    const response = await fetch(home + path, {
      method: body ? 'POST' : 'GET',
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(body && channel && { 'X-Auth-Transport': 'cookie' }),
        ...(bearer && { Authorization: `Bearer ${bearer}` }),
      },
      body: body && JSON.stringify(body),
      credentials: channel ? 'include' : 'omit',
      redirect: 'error',
      signal: AbortSignal.timeout(30_000), // or one that hangs would keep the other tabs waiting
    });
    const { ok, status } = response;
    const answer = status === 204 ? {} : await response.json().catch(noJson);
    if (ok && answer) return answer;
    if (!answer?.code && (ok || [404, 405, 501].includes(status)))
      throw new AuthError(`${home} answers, but not as authserver does.`, 'not_authserver', status);
    const { detail = `The server answered ${status}.`, code = 'server_error', errors } = answer ?? {};
    const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
    throw new AuthError(detail, code, status, { errors, retryAfter });
  };

  const enter = (path, body) =>
    inTurn(async () => {
      const signedIn = await call(path, body);
      if (!signedIn.access) return null; // an address has to be confirmed first
      refreshToken = signedIn.refresh;
      become(signedIn.access, signedIn.user);
      tell();
      return user;
    });

  /** A new access token in place of the present one, asked for once by all who need it. Only a 401 signs out. */
  const refresh = () => (refreshing ??= renew(access).finally(() => (refreshing = null)));

  const renew = (used) => {
    const heard = new Promise((resolve) => (hear = resolve));
    return inTurn(async (waited) => {
      // What the tab before us told comes by another way than its lock, perhaps later.
      if (waited && access === used) await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 300))]);
      if (access !== used) return;
      try {
        const renewed = await call('/api/token/refresh/', { refresh: refreshToken });
        refreshToken = renewed.refresh ?? refreshToken;
        const same = claims(renewed.access).sub === user?.id;
        const person = same ? user : await call('/api/me/', undefined, renewed.access);
        if (access !== used) return; // without locks, another tab was quicker
        become(renewed.access, person);
        tell();
      } catch (failure) {
        if (failure.status !== 401) throw failure;
        if (access === used) become(null, null);
      }
    });
  };

  /** Away to sign in elsewhere; `arrive` does the rest on the page `next`. */
  const leave = async (address, next) => {
    if (!browser || !crypto.subtle)
      throw new AuthError('A sign-in by redirect needs a page on https or localhost.', 'insecure_context', 0);
    const [verifier, state] = [random(32), random(16)];
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
    if (stored('sessionStorage', key, JSON.stringify({ verifier, state })) === null) throw blocked();
    const query = { next: next ?? location.origin + location.pathname, state };
    const challenge = base64url(new Uint8Array(digest));
    location.assign(`${address}?${new URLSearchParams({ ...query, code_challenge: challenge })}`);
  };

  /** What a redirect brought, out of the address before anything else; none where its state is not ours. */
  const arrive = () => {
    const url = new URL(location.href);
    const came = Object.fromEntries(url.searchParams);
    if (!came.state || !(came.code || came.error)) return null;
    for (const name of ['code', 'state', 'error', 'error_description']) url.searchParams.delete(name);
    history.replaceState(history.state, '', url);
    const { verifier, state } = JSON.parse(stored('sessionStorage', key) || '{}');
    if (came.state !== state) return null;
    stored('sessionStorage', key, '');
    return { ...came, verifier };
  };

  const start = async (came) => {
    let failed = null;
    try {
      if (came?.error) throw new AuthError(came.error_description || came.error, came.error, 0);
      if (came) await enter('/api/auth/exchange/', { code: came.code, code_verifier: came.verifier });
    } catch (failure) {
      failed = failure;
    }
    try {
      const asks = channel && (shared || stored('localStorage', key));
      if (user === undefined) await (asks ? refresh() : become(null, null));
    } catch (failure) {
      failed ??= failure;
    }
    if (browser && !channel) failed ??= blocked();
    if (failed) {
      error = failed;
      notify();
    }
    return user;
  };

  const authorized = async (input, init) => {
    const target = input instanceof Request ? input : new URL(input, home);
    const to = origin(target.url ?? target);
    if (!trusted.has(to)) {
      if (developing && !warned.has(to))
        console.warn(`No access token was sent to ${to}. Is it your own API? createClient(…, { apis: ['${to}'] })`);
      warned.add(to);
      return fetch(target, init);
    }
    await ready;
    if (user === undefined) await refresh();
    const send = (token) => {
      const headers = new Headers(init?.headers ?? target.headers);
      if (token) headers.set('Authorization', `Bearer ${token}`);
      return fetch(target.clone?.() ?? target, { ...init, headers });
    };
    const used = access;
    const response = await send(used);
    if (response.status !== 401 || !used) return response;
    if (access === used) await refresh();
    // What one person wrote is not sent in another's name.
    if (!access || access === used || claims(access).sub !== claims(used).sub) return response;
    await response.body?.cancel();
    if (init?.body?.getReader || init?.body?.[Symbol.asyncIterator])
      throw new AuthError('The token is renewed, but a stream cannot be sent twice: send a new one.', 'stream', 401);
    return send(access);
  };

  const ready = start(browser ? arrive() : null);

  return {
    ready,
    get user() {
      return user;
    },
    get error() {
      return error;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    signup: (person) => enter('/api/signup/', { password_confirm: person.password, ...person }),
    login: ({ email, password }) => enter('/api/login/', { email, password }),
    providers: () => call('/api/auth/'),
    signIn: ({ next } = {}) => leave(`${hosted}/signin`, next),
    async signInWith(provider, { next, ...token } = {}) {
      if (Object.keys(token).length) return enter(`/api/auth/${encodeURIComponent(provider)}/`, token);
      const found = (await call('/api/auth/')).find(({ name }) => name === provider);
      if (found?.login_url) return leave(found.login_url, next);
      throw new AuthError(`There is no sign-in by redirect with ${provider} here.`, 'not_found', 404);
    },
    fetch: authorized,
    async reload() {
      const response = await authorized('/api/me/');
      if (response.ok) become(access, await response.json());
      return user;
    },
    logout: () =>
      inTurn(async () => {
        try {
          await call('/api/logout/', { refresh: refreshToken }, access);
        } catch (failure) {
          if (failure.status !== 400 && failure.status !== 401) throw failure; // these say that nobody was signed in
        }
        refreshToken = undefined;
        become(null, null);
        tell();
      }),
  };
}
