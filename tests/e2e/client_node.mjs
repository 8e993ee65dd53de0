// Runs the code given with the client in `auth`, and what it asked in `requests`: { client, server, options, code }.
import { readFileSync } from "node:fs";

const { client, server, options, code } = JSON.parse(readFileSync(0, "utf8"));
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

const { createClient } = await import(client);
const auth = createClient(server, options);
const another = createClient(server, options);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const AsyncFunction = (async () => {}).constructor;
const seen = await new AsyncFunction("auth", "another", "requests", "pause", code)(auth, another, requests, pause);
process.stdout.write(JSON.stringify({ seen, requests }));
