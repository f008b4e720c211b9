import { Client } from '../src/client';
import type { TaskModel } from '../src/model';
import type { Subscribe, TaskState } from '../src/protocol';
import { TaskStore } from '../src/store';
import { EPOCH, FakeServer, LOG, snapshot, subscribed, TASK_ID, TIMING, UPDATE, until } from './server';

const OTHER = '01KC0000000000000000000001';
const ABOUT = { task_id: TASK_ID, session: 'nb:one', at: '2026-01-01T00:00:02.000000Z' };
const PAUSED = { ...ABOUT, type: 'task_paused', by: 'ada' };
const RESUMED = { ...ABOUT, type: 'task_resumed', by: 'ada' };
const CREATED = {
  ...{ type: 'task_created', task_id: OTHER, session: 's', seq: 1, at: '2026-01-02T00:00:00.000000Z' },
  ...{ name: 'new', agent: 'a', phases: ['one'], inputs: {}, labels: {}, key: null }
};

describe('the store of tasks', () => {
  let server: FakeServer;
  let client: Client;
  let store: TaskStore;
  let frames: (() => void)[];
  let task: TaskState;
  let queued: TaskState[]; // with their places

  const paint = () => {
    for (const frame of frames.splice(0)) {
      frame();
    }
  };
  const subscriptions = () => server.heard.filter((command): command is Subscribe => command.type === 'subscribe');
  const follow = async (taskId = TASK_ID): Promise<TaskModel> => {
    const model = store.follow(taskId);
    await until(() => model.live);
    return model;
  };

  beforeEach(async () => {
    server = await FakeServer.start();
    task = snapshot();
    queued = [];
    server.answer = (command, say) => {
      if (command.type === 'subscribe') {
        const recovered = command.epoch === server.epoch && (command.after_seq ?? 0) > 0;
        say(subscribed(server, command, task, recovered));
      } else if (command.type === 'subscribe_feed') {
        say({ type: 'feed', tasks: [task], cursor: 'cursor-1', next: null });
      } else if (command.type === 'unsubscribe') {
        say({ type: 'ok' });
      } else if (command.type === 'list' && command.state === 'queued') {
        say({ type: 'tasks', tasks: queued, next: null });
      } else if (command.type === 'list') {
        say({ type: 'tasks', tasks: [snapshot({ task_id: OTHER, state: 'completed' })], next: OTHER });
      }
    };
    client = new Client({ settings: server.settings, timing: TIMING });
    frames = [];
    store = new TaskStore(client, frame => frames.push(frame));
  });

  afterEach(async () => {
    store.dispose();
    client.dispose();
    await server.stop();
  });

  it('shows a saved snapshot at once, and the truth when the server has told it', async () => {
    const model = store.follow(TASK_ID, { snapshot: snapshot({ seq: 1, state: 'queued' }), at: new Date() });
    expect([model.state?.state, model.live]).toEqual(['queued', false]);
    await until(() => model.live);
    expect(model.state).toEqual(task);
    expect(subscriptions()).toMatchObject([{ after_seq: 1, epoch: '' }]);
  });

  it('tells a model once a frame, however much was heard, and not when nothing is different', async () => {
    const model = await follow();
    await until(() => frames.length === 1);
    paint();
    let told = 0;
    model.changed.connect(() => (told += 1));
    for (let percent = 21; percent < 60; percent++) {
      server.say({ ...UPDATE, percent });
    }
    await until(() => model.state?.phases[0]?.percent === 59);
    expect([told, frames.length]).toEqual([0, 1]);
    paint();
    expect(told).toBe(1);
    server.say({ ...UPDATE, percent: 59 });
    server.say({ ...PAUSED, seq: 2 }); // known already
    server.say(LOG);
    server.say({ ...UPDATE, task_id: OTHER, percent: 99 });
    await client.request({ type: 'unsubscribe', feed: true });
    expect(frames).toEqual([]);
  });

  it('asks for what is missing behind a gap, once, and goes on from there', async () => {
    const model = await follow();
    server.say({ ...RESUMED, seq: 4 });
    server.say({ ...PAUSED, seq: 5 });
    await until(() => subscriptions().length === 2);
    expect(subscriptions()[1]).toMatchObject({ after_seq: 2, epoch: EPOCH });
    server.say({ ...PAUSED, seq: 3 });
    server.say({ ...RESUMED, seq: 4 });
    await until(() => model.seq === 4);
    expect(model.state?.recent.slice(-2)).toEqual(['3 task_paused', '4 task_resumed']);
    expect(subscriptions().length).toBe(2);
  });

  it('asks for a snapshot where an event is newer than this page', async () => {
    const model = await follow();
    task = snapshot({ seq: 3, message: 'of tomorrow' });
    server.say({ ...ABOUT, type: 'phase_pondered', seq: 3 });
    await until(() => model.seq === 3);
    expect(subscriptions()[1]).toMatchObject({ epoch: '' });
    expect(model.state?.message).toBe('of tomorrow');
    server.say({ ...PAUSED, seq: 4 });
    await until(() => model.state?.state === 'paused');
  });

  it('subscribes again after a lost connection, after the last event that it saw', async () => {
    const model = await follow();
    server.say({ ...PAUSED, seq: 3 });
    await until(() => model.seq === 3);
    server.cut();
    await until(() => !model.live);
    expect(model.state?.state).toBe('paused'); // still what was last known
    await until(() => model.live);
    expect(subscriptions()[1]).toMatchObject({ after_seq: 3, epoch: EPOCH });
  });

  it('takes a snapshot of another store for what it is', async () => {
    const model = await follow();
    server.epoch = 'epoch-2';
    task = snapshot({ seq: 1, state: 'queued' });
    server.cut();
    await until(() => model.state?.state === 'queued');
    expect(model.seq).toBe(1);
  });

  it('knows a task that the server does not know, and does not ask for it over and over', async () => {
    const refusal = { type: 'error', code: 'unknown_task', message: 'there is no task', details: {} };
    server.answer = (command, say) => command.type === 'subscribe' && say(refusal);
    const model = store.follow(TASK_ID, { snapshot: task, at: new Date() });
    await until(() => model.problem !== null);
    expect([model.problem?.code, model.live, model.state?.seq]).toEqual(['unknown_task', false, 2]);
    expect(subscriptions().length).toBe(1);
  });

  it('asks again for what a server in trouble could not tell, task and feed', async () => {
    const answer = server.answer;
    let refusals = 2;
    server.answer = (command, say) => {
      const asks = command.type === 'subscribe' || command.type === 'subscribe_feed';
      if (asks && refusals-- > 0) {
        const code = command.type === 'subscribe' ? 'store_unavailable' : 'internal';
        say({ type: 'error', code, message: 'the disk is away', details: {} });
      } else {
        answer(command, say);
      }
    };
    const model = store.follow(TASK_ID);
    store.openFeed('user');
    await until(() => model.problem !== null);
    expect([model.problem?.code, model.live]).toEqual(['store_unavailable', false]);
    await until(() => model.live && store.complete);
    expect(model.problem).toBeNull();
    expect(server.connections).toBe(1);
  });

  it('has every line of the log in its place, though new ones come before the stored ones', async () => {
    const line = (number: number, at: string, attempt = 2) => ({
      ...{ phase: 'research', attempt, line: number, stream: 'stdout', at, text: `${attempt}.${number}` }
    });
    const log = (first_line: number, times: string[]) => ({
      ...{ type: 'phase_log', task_id: TASK_ID, phase: 'research', attempt: 2, first_line, dropped: 0 },
      lines: times.map((at, index) => ({ stream: 'stdout', at, text: `2.${first_line + index}` }))
    });
    const stored = [line(9, 't1', 1), line(1, 't2'), line(2, 't3'), line(3, 't4'), line(4, 't5'), line(5, 't6')];
    const model = await follow();
    server.say(log(1, ['t2']));
    await until(() => model.tail.length === 1);
    server.cut();
    let asked = false;
    server.http = () => {
      asked = true;
      return [200, { lines: model.tail.length === 2 ? stored : [] }];
    };
    const answer = server.answer;
    server.answer = (command, say) => {
      answer(command, say);
      if (command.type === 'subscribe') {
        say({ ...log(5, ['t6']), reply_to: undefined });
      }
    };
    await until(() => asked && model.tail.length > 2);
    expect(model.tail.map(each => each.text)).toEqual(['1.9', '2.1', '2.2', '2.3', '2.4', '2.5']);
  });

  it('has lines of the log once, stored ones and new ones together', async () => {
    const line = (text: string, number: number) => ({
      phase: 'research',
      attempt: 1,
      line: number,
      stream: 'stdout',
      at: '',
      text
    });
    server.http = path => {
      expect(path).toBe(`tasks/${TASK_ID}/logs?last=200`);
      return [200, { lines: [line('one', 1), line('two', 2), line('three', 3)], next: null }];
    };
    const model = store.follow(TASK_ID);
    await until(() => model.live);
    const lines = ['three', 'four'].map(text => ({ stream: 'stdout', text, at: '' }));
    server.say({
      type: 'phase_log',
      task_id: TASK_ID,
      phase: 'research',
      attempt: 1,
      first_line: 3,
      dropped: 2,
      lines
    });
    await until(() => model.tail.length === 4);
    expect(model.tail.map(each => each.text)).toEqual(['one', 'two', 'three', 'four']);
    expect(model.dropped).toBe(2);
  });

  it('asks again for the place in the queue of a task that waits and is shown, when something happened', async () => {
    task = snapshot({ state: 'queued', seq: 1 });
    store.openFeed('user');
    const model = await follow();
    task = { ...task, queue: { position: 2, reason: 'Both workers are busy' } };
    queued = [task];
    server.say(CREATED);
    await until(() => model.state?.queue?.position === 2);
  });

  it('asks for the place of what is shown after its event, and of rows that come into sight', async () => {
    task = snapshot({ state: 'queued', seq: 1 });
    store.openFeed('user');
    await until(() => store.complete);
    queued = [{ ...task, queue: { position: 2, reason: 'Both workers are busy' } }];
    const model = await follow(); // from where the feed was: no snapshot comes
    await until(() => model.state?.queue?.position === 2);
    store.release(TASK_ID);
    queued = [{ ...task, queue: { position: 1, reason: 'Both workers are busy' } }];
    store.setInSight([model]);
    store.setInSight([model]);
    await until(() => model.state?.queue?.position === 1);
    const asked = server.heard.filter(command => command.type === 'list');
    expect(asked).toMatchObject([{ state: 'queued' }, { state: 'queued' }]);
    store.setInSight([]);
    expect(model.state?.seq).toBe(1);
  });

  it('leaves a task when nobody shows it any more', async () => {
    await follow();
    store.follow(TASK_ID);
    store.release(TASK_ID);
    expect(store.tasks.has(TASK_ID)).toBe(true);
    store.release(TASK_ID);
    expect(store.tasks.has(TASK_ID)).toBe(false);
    await until(() => server.heard.some(command => command.type === 'unsubscribe'));
  });

  it('knows all tasks of the feed, and hears of new ones and of each event at once', async () => {
    const happened: string[] = [];
    store.happened.connect((_, { model, event }) => happened.push(`${model.taskId} ${event.type}`));
    store.openFeed('user');
    await until(() => store.complete);
    expect([...store.tasks.keys()]).toEqual([TASK_ID]);
    server.say(CREATED);
    server.say({ ...PAUSED, seq: 3 });
    await until(() => happened.length === 2);
    expect(happened).toEqual([`${OTHER} task_created`, `${TASK_ID} task_paused`]);
    expect(store.tasks.get(OTHER)?.state?.name).toBe('new');

    server.cut();
    await until(() => server.heard.filter(command => command.type === 'subscribe_feed').length === 2);
    expect(server.heard.filter(command => command.type === 'subscribe_feed')[1]).toMatchObject({ after: 'cursor-1' });
  });

  it('keeps no output of a task that nobody shows, and has it again with whoever does', async () => {
    const line = { phase: 'research', attempt: 1, line: 1, stream: 'stdout', at: 't', text: 'one' };
    server.http = () => [200, { lines: [line] }];
    store.openFeed('user');
    const model = await follow();
    await until(() => model.tail.length === 1);
    store.release(TASK_ID);
    expect([store.tasks.get(TASK_ID), model.tail]).toEqual([model, []]);
    store.follow(TASK_ID);
    await until(() => model.tail.length === 1);
  });

  it('asks for a task that had ended before the feed and goes on now', async () => {
    store.openFeed('user');
    await until(() => store.complete);
    task = snapshot({ task_id: OTHER, seq: 9, state: 'queued' });
    const about = { task_id: OTHER, session: 'nb:one', at: '2026-01-01T00:00:02.000000Z' };
    server.say({ ...about, type: 'phase_update', phase: 'research', attempt: 1, percent: 5 }); // of nothing that is known
    server.say({ ...about, type: 'task_retried', seq: 9, from_phase: 'research', new_code: false, by: 'ada' });
    await until(() => store.tasks.get(OTHER)?.live === true);
    expect(store.tasks.get(OTHER)?.state).toEqual(task);
    expect(subscriptions()).toMatchObject([{ task_id: OTHER, after_seq: 0, epoch: '' }]);
    const left = () => server.heard.filter(command => command.type === 'unsubscribe');
    await until(() => left().length === 1); // of its output nobody wants to hear
    expect(left()).toMatchObject([{ task_id: OTHER }]);
  });

  it('follows notebooks that are moved or deleted, and takes their place from a list', async () => {
    task = snapshot({ notebook: '/work/sub/one.ipynb' });
    const model = await follow();
    store.moved('/work/su', '/elsewhere');
    expect(model.state?.notebook).toBe('/work/sub/one.ipynb');
    store.moved('/work/sub', '/work/archive');
    expect(model.state?.notebook).toBe('/work/archive/one.ipynb');
    store.moved('/work/archive/one.ipynb', null);
    expect(model.state?.notebook).toBeNull();
    server.answer = (_, say) => say({ type: 'tasks', tasks: [{ ...task, notebook: '/work/two.ipynb' }], next: null });
    await store.loadPast();
    expect(model.state?.notebook).toBe('/work/two.ipynb');
  });

  it('loads tasks of the past a page at a time', async () => {
    await follow();
    expect(await store.loadPast(1)).toBe(OTHER);
    expect(store.tasks.get(OTHER)?.state?.state).toBe('completed');
  });
});
