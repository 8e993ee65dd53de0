import { useSyncExternalStore } from 'react';
import { auth } from './auth.js';

export const useUser = () => useSyncExternalStore(auth.onChange, () => auth.user);
export const useError = () => useSyncExternalStore(auth.onChange, () => auth.error);
