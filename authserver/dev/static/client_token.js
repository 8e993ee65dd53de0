// Tokens of the offline providers, as their own SDKs give them to a frontend.

import { call } from './calls.js';

const byId = (id) => document.getElementById(id);

export function offerClientTokens({ onSubmit, onClick, signedIn, say }) {
  const form = byId('client-token');
  const providers = JSON.parse(form.dataset.providers);
  let made = null;

  function choose(select, options) {
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  }

  function offer() {
    const { kinds, people } = providers[form.elements.provider.value];
    choose(form.elements.kind, kinds.map((kind) => [kind, kind]));
    choose(form.elements.person, people.map((one) => [one.subject, [one.name, one.email, one.role].filter(Boolean).join(', ')]));
  }

  choose(form.elements.provider, Object.entries(providers).map(([name, { label }]) => [name, label]));
  offer();
  form.elements.provider.addEventListener('change', offer);
  onSubmit(form, async (body) => {
    const answer = await call('POST', '/dev/token', { body, own: true });
    if (answer.status !== 200) return say(answer.body.detail);
    made = { provider: body.provider, kind: body.kind, token: answer.body.token };
    byId('client-text').value = made.token;
    byId('client-made').hidden = false;
    say(`An ${made.kind} of ${providers[made.provider].label}'s stand-in.`);
  });
  onClick(byId('client-sign-in'), async () => {
    const { provider, kind, token } = made;
    signedIn(await call('POST', `/api/auth/${provider}/`, { body: { [kind]: token } }), `with ${providers[provider].label}'s ${kind}`);
  });
}
