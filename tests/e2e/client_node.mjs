// Runs the code given with the client in `auth`, and what it asked in `requests`:
// { client, server, options, code, page }, where `page` makes the client believe that it runs on that page.
import { readFileSync } from "node:fs";

const { client, server, options, code, page } = JSON.parse(readFileSync(0, "utf8"));
const requests = [];
const send = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const response = await send(input, init);
  const headers = new Headers(init?.headers ?? input.headers);
  requests.push({
    call: `${init?.method ?? input.method ?? "GET"} ${new URL(input.url ?? input).pathname} ${response.status}`,
    bearer: headers.get("Authorization"),
    cookie: headers.get("Cookie") ?? headers.get("X-Auth-Transport"),
  });
  return response;
};

if (page) Object.assign(globalThis, { document: {}, location: new URL(page) });
const { createClient } = await import(client);
const auth = createClient(server, options);
const another = createClient(server, options);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const AsyncFunction = (async () => {}).constructor;
const given = { auth, another, createClient, requests, pause };
const seen = await new AsyncFunction(...Object.keys(given), code)(...Object.values(given));
process.stdout.write(JSON.stringify({ seen, requests }));
