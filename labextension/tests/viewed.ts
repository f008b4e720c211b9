// A view of one task, before each test of a file that imports this: its server tells of `task`.

import { nullTranslator } from '@jupyterlab/translation';
import { Client } from '../src/client';
import type { Command, Phase, TaskState } from '../src/protocol';
import type { Saved } from '../src/source';
import { TaskStore } from '../src/store';
import { TaskView } from '../src/view';
import { document } from './page';
import { FakeServer, snapshot, subscribed, TASK_ID, TIMING, until } from './server';

export let server: FakeServer;
export let client: Client;
export let store: TaskStore;
export let view: TaskView;
export let task: TaskState;

export const text = (selector: string) => view.node.querySelector(selector)?.textContent ?? null;
export const shown = (selector: string) => {
  const element = view.node.querySelector<HTMLElement>(selector);
  return element !== null && element.closest('[hidden]') === null;
};
export const buttons = () =>
  [...view.node.querySelectorAll<HTMLButtonElement>('button:not(.phasenb-id)')]
    .filter(button => button.closest('[hidden]') === null)
    .map(button => button.textContent);
export const press = (label: string) =>
  [...view.node.querySelectorAll<HTMLButtonElement>('button')]
    .find(button => button.textContent === label && button.closest('[hidden]') === null)
    ?.click();
export const asked = (kind: Command['type']) => server.heard.filter(command => command.type === kind);

/** What the server has to tell from now on. */
export function tell(change: Partial<TaskState>): void {
  task = snapshot(change);
}

/** A view of what was saved, if anything; not on the page. */
export function openSaved(saved?: Saved): void {
  view = new TaskView({ store, taskId: TASK_ID, saved, trans: nullTranslator.load('phasenb') });
}

/** The view of a task that the server tells of, on the page. */
export const open = async (change: Partial<TaskState> = {}) => {
  tell(change);
  openSaved();
  document.body.append(view.node);
  await until(() => view.model.live);
  view.paint();
};

beforeEach(async () => {
  server = await FakeServer.start();
  server.answer = (command, say) => {
    if (command.type === 'subscribe') {
      say(subscribed(server, command, task));
    } else if (command.type !== 'hello') {
      say({ type: 'ok' });
    }
  };
  client = new Client({ settings: server.settings, timing: TIMING });
  store = new TaskStore(client, frame => setImmediate(frame));
});

afterEach(async () => {
  view.dispose();
  store.dispose();
  client.dispose();
  await server.stop();
  document.body.replaceChildren();
});

export function phase(change: Partial<Phase>): Phase {
  return { ...(snapshot().phases[0] as Phase), ...change };
}
