// Gives the page's functions what they would find in a browser, calls makeAPIRequest once and reports what happened.
// Reads { code, tokens, endpoint, options } as JSON from stdin.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

const { code, tokens, endpoint, options } = JSON.parse(readFileSync(0, "utf8"));
const seen = { requests: [], logged: [], redirects: 0 };

globalThis.window = globalThis;
globalThis.authTokens = tokens;
globalThis.redirectToLogin = () => {
  seen.redirects += 1;
};
console.log = console.error = (...words) => seen.logged.push(words.join(" "));

const send = globalThis.fetch;
globalThis.fetch = async (url, init) => {
  const response = await send(url, init);
  seen.requests.push(`${init.method ?? "GET"} ${new URL(url).pathname} ${response.status}`);
  return response;
};

runInThisContext(code);
const response = await makeAPIRequest(endpoint, options);
const answer = { status: response.status, body: await response.json() };
process.stdout.write(JSON.stringify({ ...seen, ...answer, tokens: window.authTokens }));
