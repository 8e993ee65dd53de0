import { useEffect, useState } from 'react';
import { auth } from './auth.js';
import { useError, useUser } from './useUser.js';

export function App() {
  const user = useUser();
  const error = useError();
  return (
    <>
      {error && <p role="alert">{error.message}</p>}
      {user && <Profile user={user} />}
      {user === null && <SignIn />}
      {user === undefined && (error ? <button onClick={auth.reload}>Try again</button> : <p>One moment …</p>)}
    </>
  );
}

function Profile({ user }) {
  const [sessions, setSessions] = useState([]);
  const load = async () => setSessions(await (await auth.fetch('/api/sessions/')).json());
  return (
    <>
      <h1>Welcome, {user.first_name || user.email}!</h1>
      <button onClick={load}>Where am I signed in?</button>
      <button onClick={auth.logout}>Log out</button>
      <ul>
        {sessions.map((session) => (
          <li key={session.id}>{session.current ? 'Here' : session.user_agent}</li>
        ))}
      </ul>
    </>
  );
}

function SignIn() {
  const [providers, setProviders] = useState([]);
  const [refused, setRefused] = useState(null);

  useEffect(() => void auth.providers().then(setProviders, setRefused), []);

  const submit = async (event) => {
    event.preventDefault();
    const enter = event.nativeEvent.submitter.value === 'signup' ? auth.signup : auth.login;
    setRefused(null);
    try {
      await enter(Object.fromEntries(new FormData(event.target)));
    } catch (problem) {
      setRefused(problem);
    }
  };

  return (
    <form onSubmit={submit}>
      <h1>Sign in</h1>
      {refused && <p role="alert">{Object.values(refused.errors ?? {})[0]?.[0] ?? refused.message}</p>}
      <label>
        E-mail <input name="email" type="email" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button value="login">Log in</button>
      <button value="signup">Sign up</button>
      {providers
        .filter((provider) => provider.login_url)
        .map((provider) => (
          <button key={provider.name} type="button" onClick={() => auth.signInWith(provider.name).catch(setRefused)}>
            Continue with {provider.label}
          </button>
        ))}
    </form>
  );
}
