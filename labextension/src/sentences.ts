// The truth about the connection, each case in a plain sentence of its own. Null where all is well.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { Connection } from './client';
import { ConnectionLost, inTrouble, ServerError } from './errors';

/** Where a person may try again, and nothing does by itself. */
export const UNREACHED: ReadonlySet<Connection['kind']> = new Set(['absent', 'forbidden', 'expired', 'outdated']);

/** How things stand with the server, for a person who looks at tasks of which `live` may be running. */
export function connectionSentence(connection: Connection, live: number, trans: TranslationBundle): string | null {
  switch (connection.kind) {
    case 'idle':
      return null;
    case 'connected':
      return connection.blocked
        ? trans.__('Live updates are blocked between this page and the server: shown by HTTP, a little later.')
        : null;
    case 'gateway':
      return trans.__(
        'A proxy between this page and the server answers %1: the server is down, starting or busy. Trying again…',
        connection.status
      );
    case 'connecting':
      return trans.__('Connecting to the server…');
    case 'reconnecting':
      return live > 0
        ? trans._n(
            'The server can’t be reached. If the task stopped with it, it goes on when the server is back. Reconnecting…',
            'The server can’t be reached. Tasks that stopped with it go on when the server is back. Reconnecting…',
            live
          )
        : trans.__('The connection to the server is lost. Reconnecting…');
    case 'absent':
      return trans.__('This server does not have the phasenb extension: what is shown was saved with the notebook.');
    case 'forbidden':
      return trans.__('This server does not let you see its tasks. Sign in again, or ask for permission.');
    case 'expired':
      return trans.__('Your login has expired: reload the page.');
    case 'outdated':
      return trans.__('This page and the server speak different versions of the protocol. Reload the page.');
    case 'busy':
      return trans.__('No answer yet: the kernel does this when it is free.');
    case 'silent':
      return trans.__('The kernel does not tell of this task any more: what is shown is the last that was heard.');
    case 'trouble':
      return trans.__('The server has no access to its tasks: %1. Trying again…', connection.message);
  }
}

/** Why nothing more is heard of one task. `elsewhere`: it was launched with another store than this server's. `owners`:
 * whose it is and who looks, where those are two.
 */
export function problemSentence(
  problem: ServerError,
  elsewhere: boolean,
  owners: readonly [string, string] | null,
  trans: TranslationBundle
): string {
  switch (problem.code) {
    case 'unknown_task':
      if (!elsewhere && owners !== null) {
        return trans.__(
          'This task is of the user %1, and you are %2 here. The kernels of a server that people share launch as its own user: c.PhaseNB.owner in its configuration makes all tasks everybody’s.',
          ...owners
        );
      }
      return elsewhere
        ? trans.__(
            'This server has another store than the one that this task was in: that is elsewhere, or was deleted.'
          )
        : trans.__('This server does not show you this task: it is of another user, or was deleted.');
    case 'store_unavailable':
      return trans.__('The server has no access to its tasks: %1. Trying again…', problem.message);
    default:
      if (inTrouble(problem)) {
        return trans.__('The server can not tell about this task: %1. Trying again…', problem.message);
      }
      return trans.__('The server does not tell about this task: %1.', problem.message);
  }
}

/** Why what somebody asked for was not done. */
export function refusalSentence(error: unknown, trans: TranslationBundle): string {
  if (error instanceof ConnectionLost) {
    return error.sent
      ? trans.__('The connection was lost before the server answered: see whether it was done.')
      : trans.__('There is no connection to the server: nothing was sent.');
  }
  if (error instanceof ServerError) {
    switch (error.code) {
      case 'conflict':
        return trans.__('The task has moved on meanwhile: look again, then decide.');
      case 'forbidden':
        return trans.__('You may not do this.');
      case 'http_413':
        return trans.__('Not done: a proxy between this page and the server takes no request as large as this.');
      case 'illegal_transition':
        return trans.__('The task is past that already.');
      default:
        return trans.__('Not done: %1', error.message);
    }
  }
  throw error;
}
