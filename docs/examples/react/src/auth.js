import { createClient } from 'authserver-client';

export const auth = createClient('http://localhost:8000');
