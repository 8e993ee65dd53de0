import { createClient, type User } from 'http://localhost:8000/authserver.js';

export const user: User | null | undefined = createClient('http://localhost:8000').user;
// @ts-expect-error Nobody sets the user: these are the client's types, not `any`.
createClient('/').user = null;
