// Which tasks a list shows, in which order. Pure, but for Census, which remembers what it saw.
//
// Rule: those that wait for a person come first, then those at work, those that wait, each the newest first, and those that
// ended, the last to end first: so one that has just ended stays in sight; a task's place changes with its events, never with its progress.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { TaskModel } from '../model';
import type { State, TaskState } from '../protocol';
import { inputs, isTerminal } from '../words';

const LONGEST_SOUGHT = 2000; // characters of an input

export const FILTERS = ['all', 'live', 'approval', 'completed', 'failed', 'cancelled'] as const;
export type Filter = (typeof FILTERS)[number];

/** `text`: all of its words are looked for. `notebook`: only tasks that this one launched; null: all. */
export interface Query {
  text: string;
  filter: Filter;
  notebook: string | null;
}

export const EVERYTHING: Query = { text: '', filter: 'all', notebook: null };

/** A task that the server told of. */
export interface Known extends TaskModel {
  state: TaskState;
}

export function isKnown(model: TaskModel): model is Known {
  return model.told && model.state !== null;
}

export function listed(models: Iterable<TaskModel>, query: Query): Known[] {
  const sought = query.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found: Known[] = [];
  for (const model of models) {
    if (isKnown(model) && passes(model.state, query) && (sought.length === 0 || holds(model.state, sought))) {
      found.push(model);
    }
  }
  return found.sort(byNeedThenAge);
}

function passes(task: TaskState, { filter, notebook }: Query): boolean {
  if (notebook !== null && task.notebook !== notebook) {
    return false;
  }
  switch (filter) {
    case 'all':
      return true;
    case 'live':
      return !isTerminal(task.state);
    case 'approval':
      return task.state === 'awaiting_approval';
    default:
      return task.state === filter;
  }
}

function holds(task: TaskState, sought: string[]): boolean {
  const labels = Object.entries(task.labels).flat();
  const facts = [task.name, task.agent, task.session, task.task_id, task.key, task.notebook, task.state, ...labels];
  const given = inputs(task, LONGEST_SOUGHT);
  const text = [...facts, ...given, task.error?.error.type, task.error?.error.message].join('\n').toLowerCase();
  return sought.every(word => text.includes(word));
}

/** The newest task of each agent and notebook, the newest first, at most `most`. */
export function launchedBefore(models: Iterable<TaskModel>, most = 10): TaskState[] {
  const known = [...models].filter(isKnown).map(model => model.state);
  known.sort((one, other) => (one.task_id < other.task_id ? 1 : -1)); // ULIDs, which sort by time
  const newest = new Map<string, TaskState>();
  for (const task of known) {
    const origin = `${task.agent}\n${task.notebook ?? task.session}`;
    if (!newest.has(origin)) {
      newest.set(origin, task);
    }
  }
  return [...newest.values()].slice(0, most);
}

function byNeedThenAge({ state: one }: Known, { state: other }: Known): number {
  const need = RANKS[one.state] - RANKS[other.state];
  if (need !== 0 || one.task_id === other.task_id) {
    return need;
  }
  const [at, otherAt] = [orderedBy(one), orderedBy(other)];
  return at !== otherAt ? (at < otherAt ? 1 : -1) : one.task_id < other.task_id ? 1 : -1; // ULIDs, which sort by time
}

/** The time that gives a task its place, and stands in its row. */
export function orderedBy(task: TaskState): string {
  return isTerminal(task.state) ? (task.ended_at ?? task.updated_at) : task.created_at;
}

const RANKS: Record<State, number> = {
  awaiting_approval: 0,
  running: 1,
  retrying: 1,
  cancelling: 1,
  queued: 2,
  paused: 2,
  completed: 3,
  failed: 3,
  cancelled: 3
};

const AT_WORK: ReadonlySet<State> = new Set(['running', 'retrying', 'cancelling']);

/** How many are at work, wait for their turn, wait for an answer, are paused; `live`: all that have not ended. */
export interface Counts {
  running: number;
  queued: number;
  approval: number;
  paused: number;
  live: number;
}

export function counted(models: Iterable<TaskModel>): Counts {
  const counts = { running: 0, queued: 0, approval: 0, paused: 0, live: 0 };
  for (const model of models) {
    const task = isKnown(model) ? model.state : null;
    if (task !== null && !isTerminal(task.state)) {
      counts.live += 1;
      counts.running += Number(AT_WORK.has(task.state));
      counts.queued += Number(task.state === 'queued');
      counts.approval += Number(task.state === 'awaiting_approval');
      counts.paused += Number(task.state === 'paused');
    }
  }
  return counts;
}

/** `2 tasks running · 1 to approve`; empty where there is nothing to say. The first number says what is counted. */
export function statusText({ running, queued, approval, paused }: Counts, trans: TranslationBundle): string {
  const told = [
    { count: running, first: trans._n('%1 task running', '%1 tasks running', running), after: '' },
    {
      count: queued,
      first: trans._n('%1 task queued', '%1 tasks queued', queued),
      after: trans._n('%1 queued', '%1 queued', queued)
    },
    {
      count: approval,
      first: trans._n('%1 task to approve', '%1 tasks to approve', approval),
      after: trans._n('%1 to approve', '%1 to approve', approval)
    },
    {
      count: paused,
      first: trans._n('%1 task paused', '%1 tasks paused', paused),
      after: trans._n('%1 paused', '%1 paused', paused)
    }
  ].filter(({ count }) => count > 0);
  return told.map(({ first, after }, index) => (index === 0 ? first : after)).join(' · ');
}

/** Tells whether events came, or tasks, since the last look, at the cost of a comparison for each task. */
export class Census {
  moved(tasks: ReadonlyMap<string, TaskModel>): boolean {
    let moved = tasks.size !== this._seqs.length;
    let index = 0;
    for (const model of tasks.values()) {
      const seq = model.told ? model.seq : 0;
      if (this._seqs[index] !== seq) {
        this._seqs[index] = seq;
        moved = true;
      }
      index += 1;
    }
    this._seqs.length = index;
    return moved;
  }

  private _seqs: number[] = [];
}
