// What pages do for people whose browser runs scripts. Each page works without this.
'use strict';

// Takes the token of a mail's link out of the address, where it would stay in the history, and puts it into its field.
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token !== null) history.replaceState(null, '', location.pathname + location.search);
  const field = document.getElementById('token') ?? document.getElementById('invitation') ?? (token && addInvitation());
  if (!field) return;
  if (token) field.value = token;
  // A code that is there and not wrong need not be looked at.
  if (field.value) field.closest('.field').hidden = Boolean(token) || !field.hasAttribute('aria-invalid');
  if (token) document.querySelector('.field:not([hidden]) input')?.focus(); // Chromium leaves `autofocus` alone then
}

// Where nobody needs an invitation, the page has no field for it; who followed the link of one has it all the same.
function addInvitation() {
  const form = document.querySelector('form[data-takes=invitation]');
  if (!form) return null;
  const place = form.appendChild(document.createElement('div'));
  place.className = 'field';
  const field = place.appendChild(document.createElement('input'));
  field.id = field.name = 'invitation';
  return field;
}

takeToken();
addEventListener('hashchange', takeToken); // another link, opened in the same tab

// Shows what is typed as a password, of the whole form, until it is sent: browsers keep no text field's content then.
for (const button of document.querySelectorAll('button.show')) {
  const passwords = button.form.querySelectorAll('[type=password]');
  const show = (shown) => {
    button.setAttribute('aria-pressed', shown);
    for (const field of passwords) field.type = shown ? 'text' : 'password';
  };
  button.addEventListener('click', () => show(button.getAttribute('aria-pressed') === 'false'));
  button.form.addEventListener('submit', () => show(false));
  button.hidden = false;
}

// A double click sends a form once: the answer to the second would tell of what the first did.
let sent = -Infinity;
addEventListener('submit', (event) => {
  if (event.timeStamp - sent < 1000) event.preventDefault();
  else sent = event.timeStamp;
});

for (const time of document.querySelectorAll('time'))
  time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' });
