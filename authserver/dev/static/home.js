// The development home: every button is one call of the API, shown with its answer.

import { call, fold } from './calls.js';
import { offerClientTokens } from './client_token.js';
import { begin, finish } from './redirect.js';
import { hold, setTime, tokens } from './tokens.js';

const byId = (id) => document.getElementById(id);
const every = (selector, then) => document.querySelectorAll(selector).forEach(then);
const say = (text) => { byId('said').textContent = text; };
const named = (user) => [user.first_name, user.last_name].join(' ').trim() || user.email || 'somebody without a name';

function signedIn({ status, body }, how) {
  if (status === 200 || status === 201) {
    hold({ access: body.access, refresh: body.refresh });
    say(`Signed in ${how} as ${named(body.user)}.`);
    byId('tokens').focus();
  } else if (status === 202) {
    say(`${body.detail} It is in the mailbox.`);
  } else {
    say(`Not signed in ${how}: ${sentences(body)}`);
    byId('tokens').focus();
  }
}

function sentences(body) {
  const fields = Object.entries(body.errors ?? {}).map(([field, said]) => `${field}: ${said.join(' ')}`);
  return fields.join(' ') || [body.detail, body.code && `(${body.code})`].filter(Boolean).join(' ');
}

async function refresh() {
  const { status, body } = await call('POST', '/api/token/refresh/', { body: { refresh: tokens().refresh } });
  if (status === 200) hold(body);
  else if (status === 401) hold(null);
  say(status === 200 ? 'Refreshed: a new access token.' : `Not refreshed: ${sentences(body)} Sign in again.`);
  return status === 200;
}

/** As a frontend does it: refreshes once when the token does not count any more, and asks again. */
async function me() {
  const ask = () => call('GET', '/api/me/', { bearer: tokens().access });
  let answer = await ask();
  const expired = answer.status === 401;
  if (expired && !(await refresh())) return;
  if (expired) answer = await ask();
  const said = answer.status === 200 ? `You are ${named(answer.body)}.` : sentences(answer.body);
  say(expired ? `The access token had expired: it was refreshed, and the question asked again. ${said}` : said);
}

async function letPass(seconds) {
  const { status, body } = await call('POST', '/dev/time', { body: { seconds }, own: true });
  if (status === 200) setTime(body);
  say(status === 200 ? `It is ${seconds === 3600 ? 'an hour' : 'a day'} later, for this server and its stand-ins.` : sentences(body));
}

async function backToNow() {
  const { status, body } = await call('DELETE', '/dev/time', { own: true });
  if (status === 200) setTime(body);
  say(status === 200 ? 'It is now again.' : sentences(body));
}

async function logOut() {
  const { status, body } = await call('POST', '/api/logout/', { body: { refresh: tokens().refresh } });
  if (status === 204 || status === 401) hold(null);
  say(status === 204 ? 'Logged out: both tokens are refused from now on.' : sentences(body));
  byId('tokens').focus();
}

/** One at a time: what a click begins has ended before the next one counts. */
let busy = false;
async function once(act) {
  if (busy) return;
  busy = true;
  fold();
  try {
    await act();
  } finally {
    busy = false;
  }
}
const onClick = (element, act) => element.addEventListener('click', () => once(act));
const onSubmit = (form, act) => form.addEventListener('submit', (event) => {
  event.preventDefault();
  once(() => act(Object.fromEntries(new FormData(form))));
});

onSubmit(byId('log-in'), async (body) => signedIn(await call('POST', '/api/login/', { body }), 'with a password'));
onSubmit(byId('sign-up'), async (body) => {
  const sent = { ...body, password_confirm: body.password };
  signedIn(await call('POST', '/api/signup/', { body: sent }), 'with a new account');
});
every('[data-email]', (button) => button.addEventListener('click', () => {
  byId('log-in-email').value = button.dataset.email;
  byId('log-in-password').value = button.dataset.password;
  byId('log-in').requestSubmit();
}));
every('[data-provider]', (button) => onClick(button, () => begin(button.dataset.loginUrl, button.dataset.label)));
every('[data-seconds]', (button) => onClick(button, () => letPass(Number(button.dataset.seconds))));
every('[data-copy]', (button) => button.addEventListener('click', async () => {
  byId(button.dataset.copy).select();
  await navigator.clipboard.writeText(byId(button.dataset.copy).value).catch(() => document.execCommand('copy'));
  say('Copied.');
}));
onClick(byId('back'), backToNow);
onClick(byId('me'), me);
onClick(byId('refresh'), refresh);
onClick(byId('log-out'), logOut);
if (byId('client-token')) offerClientTokens({ onSubmit, onClick, signedIn, say });

setTime({ now: byId('clock').dataset.now, offset: Number(byId('moved').dataset.offset) });
once(async () => {
  const came = await finish();
  if (came) signedIn(came, `by ${came.label}`);
});
