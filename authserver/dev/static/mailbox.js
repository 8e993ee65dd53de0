// Puts new mails above the others, without a reload.

const PAUSE = 2000;
const mails = document.getElementById('mails');
const news = document.getElementById('news');
const title = document.title;
const AWAY = 'The server does not answer: is it still running?';
let unseen = 0;

async function look() {
  const after = mails.querySelector('[data-id]')?.dataset.id ?? '';
  const response = await fetch(`/mailbox/new?${new URLSearchParams({ after })}`);
  if (!response.ok) throw new Error(`the mailbox answered ${response.status}`);
  const came = document.createElement('template');
  came.innerHTML = await response.text(); // made by the server, which escapes what is in a mail
  const count = came.content.querySelectorAll('[data-id]').length;
  if (count === 0) return;
  for (const mail of came.content.querySelectorAll('[data-id]')) mail.classList.add('new');
  mails.prepend(came.content);
  news.textContent = count === 1 ? 'One new mail.' : `${count} new mails.`;
  unseen = document.hidden ? unseen + count : 0;
  document.title = unseen ? `(${unseen}) ${title}` : title;
}

async function keepLooking() {
  try {
    await look();
    if (news.textContent === AWAY) news.textContent = '';
  } catch {
    news.textContent = AWAY;
  }
  setTimeout(keepLooking, PAUSE);
}

document.addEventListener('visibilitychange', () => {
  unseen = 0;
  document.title = title;
});
setTimeout(keepLooking, PAUSE);
