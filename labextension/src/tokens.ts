import { Token } from '@lumino/coreutils';
import type { TaskStore } from './store';

/** The page's one store of tasks, over its one connection to the server. */
export const ITasks = new Token<TaskStore>('phasenb:ITasks', 'The tasks of phasenb that this page knows.');

export const TASK_MIME = 'application/vnd.phasenb.task+json';
export const DOMAIN = 'phasenb';
