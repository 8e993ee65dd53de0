// Sign-in by redirect, as in docs/endpoints.md: the code that comes back is worth nothing without the verifier.

import { call } from './calls.js';

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

export async function begin(loginUrl, label) {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const state = base64url(crypto.getRandomValues(new Uint8Array(16)));
  sessionStorage.setItem('sign-in', JSON.stringify({ verifier, state, label }));
  const query = { next: `${location.origin}/`, code_challenge: base64url(new Uint8Array(digest)), state };
  location.assign(`${loginUrl}?${new URLSearchParams(query)}`);
}

/** `{label, status, body}` of a sign-in that comes back with this page; null where none does. */
export async function finish() {
  const came = new URLSearchParams(location.search);
  if (!came.has('code') && !came.has('error')) return null;
  history.replaceState(null, '', location.pathname);
  const { verifier, state, label } = JSON.parse(sessionStorage.getItem('sign-in') ?? '{}');
  sessionStorage.removeItem('sign-in');
  if (!state || came.get('state') !== state) {
    return { label: 'The provider', status: 0, body: { detail: 'This sign-in was not begun here.' } };
  }
  if (came.has('error')) {
    return { label, status: 0, body: { code: came.get('error'), detail: came.get('error_description') } };
  }
  const exchanged = await call('POST', '/api/auth/exchange/', { body: { code: came.get('code'), code_verifier: verifier } });
  return { label, ...exchanged };
}
