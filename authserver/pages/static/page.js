// Takes the token of a mail's link out of the address, where it would stay in the history, and puts it into its field.
'use strict';

function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token !== null) history.replaceState(null, '', location.pathname + location.search);
  const field = document.getElementById('token') ?? document.getElementById('invitation');
  if (!field) return;
  if (token) field.value = token;
  // A code that is there and not wrong need not be looked at.
  field.closest('.field').hidden = field.value !== '' && (Boolean(token) || !field.hasAttribute('aria-invalid'));
  if (!document.querySelector('[autofocus]')) document.querySelector('.field:not([hidden]) input')?.focus();
}

takeToken();
addEventListener('hashchange', takeToken); // another link, opened in the same tab

for (const time of document.querySelectorAll('time'))
  time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' });
