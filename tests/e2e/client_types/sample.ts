import { AuthError, createClient, type Client, type Provider, type User } from 'authserver-client';

const auth: Client = createClient('http://localhost:8000', { apis: ['http://localhost:3000'], shared: true });
export const whole = createClient('/', { pages: 'https://auth.example.com' });

export async function everything(): Promise<string> {
  const stop: () => void = auth.onChange((user) => console.log(user?.email));
  const started: User | null | undefined = await auth.ready;
  const signedUp: User | null = await auth.signup({ email: 'ada@example.com', password: 'lovelace 1815' });
  const user: User = await auth.login({ email: 'ada@example.com', password: 'lovelace 1815' });
  const names: string[] = (await auth.providers()).map((provider: Provider) => provider.label);
  await auth.signIn();
  await auth.signIn({ next: location.href });
  const gone: void = await auth.signInWith('google', { next: location.href });
  const known: User = await auth.signInWith('google', { id_token: 'token', nonce: 'nonce' });
  const response: Response = await auth.fetch('/api/me/', { method: 'PATCH', body: '{}' });
  await auth.fetch(new Request('http://localhost:3000/things'));
  const { logout } = auth; // no method needs its object
  await logout();
  stop();
  return [started?.email, signedUp?.id, user.first_name, names, gone, known.id, response.status].join();
}

try {
  await everything();
} catch (error) {
  if (error instanceof AuthError) console.log(error.code, error.status, error.errors?.email?.[0], error.retryAfter);
}

// @ts-expect-error Nobody sets the user.
auth.user = null;
// @ts-expect-error A password is needed.
void auth.login({ email: 'ada@example.com' });
// @ts-expect-error An API is an origin, not a test of one.
createClient('/', { apis: [/.*/] });
