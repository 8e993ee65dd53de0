import { useEffect, useState } from 'react';
import { AuthError } from 'authserver-client';
import { auth } from './auth.js';
import { useError, useUser } from './useUser.js';

export function App() {
  const user = useUser();
  const error = useError();
  const again = () => auth.reload().catch(() => {}); // the alert stays
  return (
    <>
      {error && <Problem error={error} again={user === undefined && again} />}
      {user && <Profile user={user} />}
      {user === null && <SignIn />}
      {user === undefined && !error && <p>One moment …</p>}
    </>
  );
}

/** An `AuthError` speaks to a person; any other error is the network's. */
function Problem({ error, again }) {
  const [first] = Object.values(error.errors ?? {}).flat();
  return (
    <>
      <p role="alert">{error instanceof AuthError ? (first ?? error.message) : 'The server cannot be reached.'}</p>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </>
  );
}

/** The error of the last attempt, and the function that makes one. */
function useAttempt() {
  const [error, setError] = useState(null);
  const attempt = (work) => {
    setError(null);
    work().catch(setError);
  };
  return [error, attempt];
}

function Profile({ user }) {
  const [sessions, setSessions] = useState([]);
  const [error, attempt] = useAttempt();
  const load = async () => setSessions(await (await auth.fetch('/api/sessions/')).json());
  return (
    <>
      <h1>Welcome, {user.first_name || user.email}!</h1>
      {error && <Problem error={error} />}
      <button onClick={() => attempt(load)}>Where am I signed in?</button>
      <button onClick={() => attempt(auth.logout)}>Log out</button>
      <ul>
        {sessions.map((session) => (
          <li key={session.id}>{session.current ? 'Here' : session.user_agent}</li>
        ))}
      </ul>
    </>
  );
}

function SignIn() {
  const [providers, setProviders] = useState(null);
  const [error, attempt] = useAttempt();
  const load = () => attempt(async () => setProviders(await auth.providers()));

  useEffect(load, []);

  const submit = (event) => {
    event.preventDefault();
    const enter = event.nativeEvent.submitter.value === 'signup' ? auth.signup : auth.login;
    const person = Object.fromEntries(new FormData(event.target));
    attempt(() => enter(person));
  };

  return (
    <form onSubmit={submit}>
      <h1>Sign in</h1>
      {error && <Problem error={error} again={!providers && load} />}
      <label>
        E-mail <input name="email" type="email" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button value="login">Log in</button>
      <button value="signup">Sign up</button>
      {providers
        ?.filter((provider) => provider.login_url)
        .map((provider) => (
          <button key={provider.name} type="button" onClick={() => attempt(() => auth.signInWith(provider.name))}>
            Continue with {provider.label}
          </button>
        ))}
    </form>
  );
}
