// The tokens that somebody is signed in with, in memory alone, and how long they still count.

const byId = (id) => document.getElementById(id);
const KINDS = ['access', 'refresh'];
let held = null;
const lifetimes = {}; // in seconds
let serverIsAhead = 0; // milliseconds

export const tokens = () => held;
export const serverTime = () => Date.now() + serverIsAhead;

export function setTime({ now, offset }) {
  serverIsAhead = Date.parse(now) - Date.now();
  byId('moved').textContent = offset ? `, moved on by ${inWords(offset)}` : '';
  byId('back').disabled = !offset;
  tick();
}

/** Keeps these, or none for null. */
export function hold(received) {
  held = received && { ...held, ...received };
  byId('held').hidden = !held;
  for (const id of ['me', 'refresh', 'log-out']) byId(id).disabled = !held;
  if (!held) return;
  for (const kind of KINDS) {
    // The claim iat is in the real time, whatever the server's is.
    if (received[kind]) lifetimes[kind] = decoded(received[kind]).exp - serverTime() / 1000;
    byId(`${kind}-text`).value = held[kind];
    byId(`${kind}-claims`).textContent = JSON.stringify(decoded(held[kind]), null, 2);
  }
  tick();
}

export function decoded(token) {
  const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (one) => one.charCodeAt(0))));
}

function inWords(seconds) {
  const parts = [
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ];
  return parts.filter(([count]) => count > 0).slice(0, 2).map(([count, unit]) => `${count} ${unit}`).join(' ') || '0 s';
}

function tick() {
  byId('clock').textContent = new Date(serverTime()).toISOString().slice(0, 19).replace('T', ' ');
  if (!held) return;
  for (const kind of KINDS) {
    const left = decoded(held[kind]).exp - serverTime() / 1000;
    byId(`${kind}-left`).textContent = left > 0 ? `${inWords(left)} left` : `expired ${inWords(-left)} ago`;
    byId(`${kind}-left`).classList.toggle('wrong', left <= 0);
    byId(`${kind}-bar`).value = Math.max(left, 0) / lifetimes[kind];
  }
}

setInterval(tick, 1000);
