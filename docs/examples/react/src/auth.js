import { createClient } from 'http://localhost:8000/authserver.js';

export const auth = createClient('http://localhost:8000');
