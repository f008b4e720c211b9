import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { ANNOUNCER, PAUSE_MS, sayConnection } from '../src/announcer';
import type { Connection } from '../src/client';
import type { TaskStore } from '../src/store';
import { document } from './page';
import { snapshot } from './server';

describe('the live region', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => {
    jest.runAllTimers();
    jest.useRealTimers();
  });

  const spoken = () => document.querySelector('[aria-live=polite]')?.textContent;

  it('speaks at once, then at most once in 5 seconds, and says what is newest of each task', () => {
    ANNOUNCER.say('a', 'a: research');
    expect(spoken()).toBe('a: research');
    ANNOUNCER.say('a', 'a: planning');
    ANNOUNCER.say('b', 'b: failed');
    ANNOUNCER.say('a', 'a: completed');
    jest.advanceTimersByTime(PAUSE_MS - 1);
    expect(spoken()).toBe('a: research');
    jest.advanceTimersByTime(1);
    expect(spoken()).toBe('a: completed; b: failed');
    ANNOUNCER.say('c', 'c: paused');
    ANNOUNCER.say('d', 'd: paused');
    ANNOUNCER.forget('c');
    jest.advanceTimersByTime(PAUSE_MS);
    expect(spoken()).toBe('d: paused');
    expect(document.querySelectorAll('[aria-live=polite]').length).toBe(1);
  });

  it('says that the connection is lost, and that it is back, while a task goes on', () => {
    const client = { connectionChanged: new Signal<object, Connection>({}) };
    const model = { state: snapshot() };
    const store = { client, tasks: new Map([['a', model]]) } as unknown as TaskStore;
    const become = (kind: 'connecting' | 'connected' | 'reconnecting') => {
      client.connectionChanged.emit({ kind });
      jest.advanceTimersByTime(PAUSE_MS);
      return spoken();
    };
    sayConnection(store, nullTranslator.load('phasenb'));
    const before = spoken();
    expect([become('connecting'), become('connected')]).toEqual([before, before]);
    expect(become('reconnecting')).toBe(
      'The server can’t be reached. If the task stopped with it, it goes on when the server is back. Reconnecting…'
    );
    expect(become('connected')).toBe('The connection to the server is back.');
    model.state = snapshot({ state: 'completed' });
    expect(become('reconnecting')).toBe('The connection to the server is back.');
  });
});
