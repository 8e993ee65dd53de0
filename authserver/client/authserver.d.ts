/** Sign-in with authserver, for browsers and for Node 20 and later. How to use it: docs/frontend.md. */

export interface User {
  id: string;
  /** Null for who came by a provider that gave none. */
  email: string | null;
  email_verified: boolean;
  first_name: string;
  last_name: string;
  /** RFC 3339, in UTC. */
  date_joined: string;
}

export interface Provider {
  name: string;
  label: string;
  /** Null for a provider that takes tokens only. */
  login_url: string | null;
}

export interface Options {
  /** Origins of your own APIs that take the access token. No other gets it; on localhost the console names each. */
  apis?: readonly string[];
  /** Where the hosted pages are, if the server's `/api/` is reached by a proxy. */
  pages?: string;
  /** Asks at the start whether another application has signed someone in, even where this one never has. */
  shared?: boolean;
}

export interface NewPerson {
  email: string;
  password: string;
  /** `password`, unless given. */
  password_confirm?: string;
  first_name?: string;
  last_name?: string;
  invitation?: string;
}

export interface RedirectOptions {
  /** The page to come back to, one of `AUTHSERVER_REDIRECT_URLS` to the letter; this page unless given. */
  next?: string;
}

/** What the frontend got from a provider's own SDK. */
export type ProviderToken =
  | { access_token: string }
  | { id_token: string; nonce?: string }
  | { code: string; redirect_uri: string; code_verifier?: string };

/** A refusal, by the server, the provider behind it or the browser. A failing network is the platform's own error. */
export declare class AuthError extends Error {
  /**
   * A stable word, as docs/endpoints.md lists them, or the client's own: `insecure_context`, `storage_blocked`,
   * `not_authserver`, `stream` and `access_denied`.
   */
  readonly code: string;
  /** The HTTP status, 0 where there was no answer to speak of. */
  readonly status: number;
  /** What is wrong with which field. */
  readonly errors?: Readonly<Record<string, readonly string[]>>;
  /** Seconds after which it is worth trying again. */
  readonly retryAfter?: number;
}

export interface Client {
  /** Whoever is signed in, null for nobody, undefined until it is known. */
  readonly user: User | null | undefined;
  /**
   * Why the start or a redirect's end failed; null once someone signs in or out. In a browser that blocks storage it is
   * a `storage_blocked` from the start on: there a sign-in ends with the page.
   */
  readonly error: Error | null;
  /** Settles, never by an error, when the start is over. */
  readonly ready: Promise<User | null | undefined>;
  /** Calls the listener after each change of `user` or `error`, until the function that it returns is called. */
  onChange(this: void, listener: (user: User | null | undefined) => void): () => void;
  /** Null where the address has to be confirmed before one can sign in. */
  signup(this: void, person: NewPerson): Promise<User | null>;
  login(this: void, person: { email: string; password: string }): Promise<User>;
  /** Leaves for the server's own page. */
  signIn(this: void, options?: RedirectOptions): Promise<void>;
  /** Leaves for the provider. */
  signInWith(this: void, provider: string, options?: RedirectOptions): Promise<void>;
  /** Signs in with what the provider's own SDK gave. */
  signInWith(this: void, provider: string, token: ProviderToken): Promise<User>;
  providers(this: void): Promise<Provider[]>;
  /**
   * As the platform's own, with the access token for the server and `apis`; an address without a host is the server's.
   * After a 401 the token is refreshed, once for all who need it, and the request sent again, unless its body is a
   * stream or someone else is signed in now. Rejects with an `AuthError` where the refresh fails otherwise than by 401.
   */
  fetch(this: void, input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Loads the user again, after a change of the profile or an `error`. */
  reload(this: void): Promise<User | null | undefined>;
  /** Rejects, and changes nothing, where the server cannot be reached. */
  logout(this: void): Promise<void>;
}

/**
 * `server` is the server's address without a path, such as `http://localhost:8000`, or `/` where the page's own host
 * serves `/api/` by a proxy. Throws a `TypeError` for what is no such address; where it could be read all the same
 * (a path, an empty text), on localhost only.
 */
export declare function createClient(server: string, options?: Options): Client;
