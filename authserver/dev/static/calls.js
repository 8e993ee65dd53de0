// Sends a request and shows it, as curl, with its answer.

const log = document.getElementById('log');
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl(method, path, headers, body) {
  const parts = [`curl -i ${location.origin}${path}`];
  if (method !== (body === undefined ? 'GET' : 'POST')) parts[0] += ` -X ${method}`;
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`-d ${quoted(body)}`);
  return parts.join(' \\\n  ');
}

function asText(response, raw) {
  const told = ['retry-after', 'www-authenticate'].filter((name) => response.headers.has(name));
  const headers = told.map((name) => `\n${name}: ${response.headers.get(name)}`).join('');
  let body = raw;
  try {
    body = JSON.stringify(JSON.parse(raw), null, 2);
  } catch {
    // Not JSON: as it is.
  }
  return `HTTP ${response.status} ${response.statusText}${headers}${body && `\n\n${body}`}`;
}

/** What is shown from here on was one click: what was before is folded. */
export function fold() {
  for (const details of log.querySelectorAll('details[open]')) details.open = false;
}

function show(title, curl) {
  document.getElementById('no-calls').hidden = true;
  const call = document.getElementById('call').content.cloneNode(true).firstElementChild;
  call.querySelector('summary').textContent = title;
  call.querySelector('.curl').textContent = curl;
  log.prepend(call);
  return (answer, status) => {
    call.querySelector('summary').textContent = `${title} ${status || 'no answer'}`;
    call.querySelector('.answer').textContent = answer;
    call.classList.add(status >= 200 && status < 300 ? 'good' : 'bad');
  };
}

/** Answers `{status, body}`; a status of 0 says that nothing was answered at all. `own`: it is taken from here alone. */
export async function call(method, path, { body, bearer, own = false } = {}) {
  const headers = {};
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const text = body === undefined ? undefined : JSON.stringify(body);
  const shown = own ? { ...headers, Origin: location.origin } : headers;
  const answered = show(`${method} ${path}`, asCurl(method, path, shown, text));
  let response;
  try {
    response = await fetch(path, { method, headers, body: text, credentials: 'omit' });
  } catch {
    answered('No answer: is the server still running?', 0);
    return { status: 0, body: { detail: 'The server does not answer.' } };
  }
  const raw = await response.text();
  answered(asText(response, raw), response.status);
  return { status: response.status, body: raw ? JSON.parse(raw) : null };
}
