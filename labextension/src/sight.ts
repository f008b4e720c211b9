// Which tasks somebody can see in full: what is on the screen needs no notice.

import { type ISignal, Signal } from '@lumino/signaling';

const CAME = new Signal<object, string>({});
const VIEWS = new Map<string, number>(); // by task, how many views of it are in sight

/** A view of the task came into sight, or went. */
export function seen(taskId: string, inSight: boolean): void {
  const views = (VIEWS.get(taskId) ?? 0) + (inSight ? 1 : -1);
  if (views > 0) {
    VIEWS.set(taskId, views);
    CAME.emit(taskId);
  } else {
    VIEWS.delete(taskId);
  }
}

/** The task that somebody can see now. */
export const cameIntoSight: ISignal<object, string> = CAME;

export function isOnScreen(taskId: string): boolean {
  return VIEWS.has(taskId) && document.visibilityState === 'visible';
}
