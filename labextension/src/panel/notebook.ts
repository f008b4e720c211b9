// Which notebook launched a task, and where JupyterLab has it.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { TaskState } from '../protocol';

/** `path`: as JupyterLab opens it; null where it can't, and `sentence` says why. */
export interface Origin {
  path: string | null;
  sentence: string;
}

/** The path below the server's folder; null where it is elsewhere, or the server does not tell its folder. A launch may
 * name any path: one that climbs is below nothing.
 */
export function pathBelow(root: string, path: string): string | null {
  const folder = root.endsWith('/') ? root : `${root}/`;
  return root !== '' && path.startsWith(folder) && !path.split('/').includes('..') ? path.slice(folder.length) : null;
}

/** The other way. */
export function pathOf(root: string, path: string): string | null {
  return root === '' ? null : `${root.replace(/\/$/, '')}/${path}`;
}

export function originOf(task: TaskState, root: string, own: string, trans: TranslationBundle): Origin {
  if (task.notebook !== null) {
    const path = pathBelow(root, task.notebook);
    const sentence =
      path === null ? trans.__('Launched by %1, which is not below the folder of this server.', task.notebook) : path;
    return { path, sentence };
  }
  if (task.session === own) {
    return { path: null, sentence: trans.__('Launched from this panel, not from a notebook.') };
  }
  if (task.session.startsWith('nb:')) {
    const gone = trans.__('Launched by a notebook (session %1) that was deleted, or that is not known.', task.session);
    return { path: null, sentence: gone };
  }
  return {
    path: null,
    sentence: task.session.startsWith('py:')
      ? trans.__('Launched by a script (session %1), not by a notebook.', task.session)
      : trans.__('Launched in the session %1; which notebook it was, if any, is not known.', task.session)
  };
}
