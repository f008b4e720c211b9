import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { ServerError } from '../src/errors';
import { TaskModel } from '../src/model';
import { formSchema, launchInputs, type Schema } from '../src/panel/form';
import { ROW_HEIGHT, TaskList } from '../src/panel/list';
import { Census, counted, EVERYTHING, type Known, launchedBefore, listed, statusText } from '../src/panel/listing';
import { originOf, pathBelow, pathOf } from '../src/panel/notebook';
import { type Notice, Notices } from '../src/panel/notices';
import { rowSays } from '../src/panel/row';
import { bars, Timeline } from '../src/panel/timeline';
import type { PhaseResult, TaskState } from '../src/protocol';
import { seen } from '../src/sight';
import type { TaskStore } from '../src/store';
import { document } from './page';
import { snapshot } from './server';

const trans = nullTranslator.load('phasenb');

function known(number: number, change: Partial<TaskState> = {}): Known {
  const taskId = `01KC${String(number).padStart(22, '0')}`;
  const model = new TaskModel(taskId, () => undefined);
  model.reset(snapshot({ task_id: taskId, name: `task ${number}`, ...change }));
  model.setLive(true);
  return model as Known;
}

const ENDED = { state: 'completed', ended_at: '2026-01-01T00:00:09.000000Z', percent: 100 } as const;

describe('the listing', () => {
  const models = [
    known(1, { state: 'failed', labels: { team: 'Birds' } }),
    known(2),
    known(3, { ...ENDED, notebook: '/nb/a.ipynb' }),
    known(4, { state: 'awaiting_approval', session: 'nightly', inputs: { path: 'penguins.csv', alpha: 0.25 } })
  ];
  const names = (query: Partial<typeof EVERYTHING>) =>
    listed(models, { ...EVERYTHING, ...query }).map(model => model.state.name);

  it('has what waits for a person first, then what is at work, what waits, and what ended', () => {
    expect(names({})).toEqual(['task 4', 'task 2', 'task 3', 'task 1']);
    const more = [...models, known(5), known(6, ENDED), known(7, { state: 'queued' })];
    const order = listed(more, EVERYTHING).map(model => model.state.name);
    expect(order).toEqual(['task 4', 'task 5', 'task 2', 'task 7', 'task 6', 'task 3', 'task 1']);
  });

  it('finds by state, notebook, and all of the words', () => {
    expect(names({ filter: 'live' })).toEqual(['task 4', 'task 2']);
    expect(names({ filter: 'approval' })).toEqual(['task 4']);
    expect(names({ filter: 'failed' })).toEqual(['task 1']);
    expect(names({ notebook: '/nb/a.ipynb' })).toEqual(['task 3']);
    expect(names({ text: 'TEAM bird' })).toEqual(['task 1']);
    expect(names({ text: 'nightly task' })).toEqual(['task 4']);
    expect(names({ text: 'nightly task 2 birds' })).toEqual([]);
    expect(names({ text: 'alpha=0.25 penguins.csv' })).toEqual(['task 4']);
  });

  it('has the newest task of each agent and notebook as launched before', () => {
    const more = [...models, known(5, { agent: 'weather' }), known(6, { agent: 'weather', session: 'other' })];
    const before = launchedBefore(more).map(task => task.name);
    expect(before).toEqual(['task 6', 'task 5', 'task 4', 'task 3', 'task 2']);
    expect(launchedBefore(more, 1).length).toBe(1);
  });

  it('leaves out what nothing is known of, and what only a notebook told', () => {
    const saved = new TaskModel('x', () => undefined);
    expect(listed([saved], EVERYTHING)).toEqual([]);
    saved.reset(snapshot());
    expect(listed([saved], EVERYTHING)).toEqual([]);
    expect(counted([saved]).live).toBe(0);
    saved.setLive(true);
    expect(listed([saved], EVERYTHING)).toEqual([saved]);
    saved.fail(new ServerError('unknown_task', 'it is of another user'));
    expect(listed([saved], EVERYTHING)).toEqual([]);
  });

  it('counts who is at work and who waits', () => {
    const counts = counted([...models, known(5, { state: 'queued' }), known(6, { state: 'retrying' })]);
    expect(counts).toEqual({ running: 2, queued: 1, approval: 1, paused: 0, live: 4 });
    expect(statusText(counts, trans)).toBe('2 tasks running · 1 queued · 1 to approve');
    const none = counted([]);
    expect(statusText(none, trans)).toBe('');
    expect(statusText(counted([known(7, { state: 'paused' })]), trans)).toBe('1 task paused');
    expect(statusText({ ...none, running: 1, paused: 2 }, trans)).toBe('1 task running · 2 paused');
    expect(statusText({ ...none, queued: 2, approval: 1 }, trans)).toBe('2 tasks queued · 1 to approve');
  });

  it('tells events from progress', () => {
    const tasks = new Map(models.map(model => [model.taskId, model]));
    const census = new Census();
    expect(census.moved(tasks)).toBe(true);
    expect(census.moved(tasks)).toBe(false);
    models[1]?.reset({ ...(models[1].state as TaskState), percent: 50 });
    expect(census.moved(tasks)).toBe(false);
    models[1]?.reset({ ...(models[1].state as TaskState), seq: 3 });
    expect(census.moved(tasks)).toBe(true);
    tasks.delete(models[0]?.taskId ?? '');
    expect(census.moved(tasks)).toBe(true);
    expect(census.moved(tasks)).toBe(false);
  });
});

describe('the list', () => {
  const select = jest.fn();
  const nearEnd = jest.fn();
  const shown = jest.fn();
  let list: TaskList;
  const rows = () => [...list.node.querySelectorAll<HTMLElement>('.phasenb-row')];
  const press = (key: string) => {
    const { KeyboardEvent } = document.defaultView as unknown as typeof globalThis;
    list.node.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  };

  beforeEach(() => {
    select.mockReset();
    nearEnd.mockReset();
    list = new TaskList({ select, nearEnd, shown }, trans);
    document.body.append(list.node);
  });

  afterEach(() => {
    list.dispose();
    list.node.remove();
  });

  it('has only the rows in sight on the page, and says how many there are', () => {
    list.setItems(Array.from({ length: 5000 }, (_, index) => known(index, ENDED)));
    expect(rows().length).toBeGreaterThan(10);
    expect(rows().length).toBeLessThan(20);
    expect(rows()[0]?.getAttribute('aria-setsize')).toBe('5000');
    expect(nearEnd).not.toHaveBeenCalled();
    list.scrollTo(5000 * ROW_HEIGHT - 600);
    list.paint();
    expect(rows().map(row => row.getAttribute('aria-posinset'))).toContain('5000');
    expect(rows().length).toBeLessThan(20);
    expect(nearEnd).toHaveBeenCalled();
  });

  it('tells which tasks have a row, for what is only asked about those in sight', () => {
    const items = Array.from({ length: 50 }, (_, index) => known(index));
    list.setItems(items);
    const told = shown.mock.lastCall?.[0];
    expect(told).toEqual(items.slice(0, rows().length));
  });

  it('is walked with the keyboard', () => {
    list.setItems([known(1), known(2), known(3)]);
    press('ArrowDown');
    press('ArrowDown');
    expect(list.node.getAttribute('aria-activedescendant')).toBe(rows()[1]?.id);
    press('End');
    press('Enter');
    expect(select).toHaveBeenCalledWith(known(3).taskId);
    list.setSelected(known(3).taskId);
    expect(rows().map(row => row.getAttribute('aria-selected'))).toEqual(['false', 'false', 'true']);
  });

  it('says the place of what is queued, first', () => {
    const task = known(1, { state: 'queued', queue: { position: 4, reason: 'Both workers are busy' } }).state;
    expect(rowSays(task, null, trans)).toBe('4th in line · Both workers are busy');
    expect(rowSays({ ...task, queue: null }, null, trans)).toBe('queued');
  });

  it('says of what it heard last today only the time, and all of it in the tooltip', () => {
    const model = known(1);
    const at = new Date();
    at.setHours(17, 24, 21, 0);
    model.setLive(false);
    model.asOf = at;
    list.setItems([model]);
    const says = rows()[0]?.querySelector<HTMLElement>('.phasenb-row-says');
    expect(says?.textContent).toBe('as of 17:24: running, 10 %');
    expect(says?.title).toMatch(/^as of \d{4}-\d\d-\d\d 17:24:21: running, 10 %$/);
  });

  it('says of a retry what failed, which attempt comes, and when', () => {
    const snapped = known(1).state;
    const [first, ...others] = snapped?.phases ?? [];
    const phases = [
      { ...first, status: 'retrying', attempt: 1, maximum_attempts: 5 },
      ...others
    ] as TaskState['phases'];
    const due = new Date(2026, 0, 1, 14, 3, 22);
    const waits = { ...snapped, state: 'retrying', phases, retry_at: due.toISOString() } as TaskState;
    expect(rowSays(waits, null, trans)).toBe('research · attempt 2 of 5, next at 14:03:22');
    const error = { phase: 'research', attempt: 1, error: { type: 'ConnectionError', message: 'no route' } };
    const told = rowSays({ ...waits, error } as TaskState, null, trans);
    expect(told).toBe('ConnectionError: no route · attempt 2 of 5, next at 14:03:22');
  });

  it('shows the time by which it is ordered, as all times are written', () => {
    const created_at = new Date(2026, 0, 1, 15, 4).toISOString();
    const today = new Date();
    today.setHours(14, 3, 12, 0);
    const slow = known(1, { ...ENDED, created_at, ended_at: today.toISOString() });
    const quick = known(2, { ...ENDED, created_at, ended_at: new Date(2026, 0, 3, 16, 5).toISOString() });
    list.setItems(listed([quick, slow], EVERYTHING));
    const shown = rows().map(row => row.querySelector('.phasenb-row-first')?.textContent);
    expect(shown).toEqual(['✓task 114:03', '✓task 22026-01-03']);
    expect(rows()[1]?.title).toContain('\nlaunched 2026-01-01 15:04:00\n');
  });

  it('touches nothing when nothing is different', () => {
    const { MutationObserver } = document.defaultView as unknown as typeof globalThis;
    const items = [known(1), known(2, ENDED)];
    list.setItems(items);
    const observer = new MutationObserver(() => undefined);
    observer.observe(list.node, { subtree: true, childList: true, attributes: true, characterData: true });
    list.paint();
    list.setItems([...items]);
    expect(observer.takeRecords()).toEqual([]);
    items[0]?.reset({ ...items[0].state, percent: 40, message: 'fold 2' });
    list.paint();
    const changed = observer.takeRecords().map(record => (record.target as Element).className ?? '');
    expect(changed.length).toBeGreaterThan(0);
    expect(rows()[0]?.textContent).toContain('40 %');
    observer.disconnect();
  });
});

describe('the status', () => {
  it('says no number that nobody knows: the connection is lost', async () => {
    const { TaskStatus } = await import('../src/panel/status'); // Lumino looks at the page when it is loaded
    const owner = {};
    const changed = new Signal<unknown, void>(owner);
    const connectionChanged = new Signal<unknown, void>(owner);
    const client = { connection: { kind: 'connected' }, connectionChanged };
    const tasks = new Map([known(1), known(2, { state: 'paused' })].map(model => [model.taskId, model]));
    const store = { tasks, changed, client } as unknown as TaskStore;
    const status = new TaskStatus(store, () => undefined, trans);
    changed.emit();
    expect(status.node.textContent).toBe('1 task running · 1 paused');
    client.connection.kind = 'reconnecting';
    connectionChanged.emit();
    expect(status.node.textContent).toBe('Tasks: connection lost');
    client.connection.kind = 'connected';
    connectionChanged.emit();
    expect([status.node.textContent, status.isActive]).toEqual(['1 task running · 1 paused', true]);
    status.dispose();
  });
});

describe('the timeline', () => {
  const at = (second: number) => `2026-01-01T00:00:0${second}.000000Z`;
  const result = (change: Partial<PhaseResult>): PhaseResult =>
    ({
      ...{ phase: 'research', attempt: 1, kind: 'phase', revision: 1, status: 'failed', duration_s: 1 },
      ...{ started_at: at(0), ended_at: at(1), output: null, error: null, worker: null, metrics: {}, artifacts: [] },
      ...change
    }) as PhaseResult;

  it('has a bar for each attempt, and for the one that runs', () => {
    const [research, planning] = snapshot().phases;
    const phases = [{ ...research, attempt: 3, started_at: at(4) }, planning] as TaskState['phases'];
    const again = result({ attempt: 2, status: 'lost', started_at: at(2), ended_at: at(3) });
    const found = bars(snapshot({ phases }), [again, result({}), result({ revision: 2 })]);
    expect(found.map(bar => [bar.attempt, bar.status, bar.end === null])).toEqual([
      [1, 'failed', false],
      [2, 'lost', false],
      [3, 'running', true]
    ]);
  });

  it('is drawn to scale, and told in words', () => {
    const timeline = new Timeline(trans);
    const results = [
      result({ status: 'complete', ended_at: at(2) }),
      result({ phase: 'planning', status: 'failed', started_at: at(2), ended_at: at(8) })
    ];
    timeline.update(
      snapshot({ ...ENDED, phases: snapshot().phases.map(each => ({ ...each, status: 'complete' })) }),
      results,
      0
    );
    const drawn = [...timeline.node.querySelectorAll<HTMLElement>('.phasenb-timeline-bar')];
    expect(drawn.map(bar => [bar.style.left, bar.style.width, bar.dataset.tone])).toEqual([
      ['0%', '25%', 'good'],
      ['25%', '75%', 'bad']
    ]);
    const about = timeline.node.getAttribute('aria-description');
    expect(about).toBe('research, attempt 1: complete, 2.0 s; planning, attempt 1: failed, 6.0 s');
    expect(timeline.node.querySelector('.phasenb-timeline-foot')?.lastChild?.textContent).toBe('8.0 s');
    expect(timeline.node.getAttribute('role')).toBe('img');
  });
});

describe('the notices', () => {
  const told: Notice[] = [];
  const takenBack: string[] = [];
  let tasks: Map<string, TaskModel>;
  let store: TaskStore;
  let notices: Notices;

  /** The server tells how a task is now, as a feed's page or, `event`, as an event. */
  const hear = (change: Partial<TaskState>, event = true, number = 1, wait = 1000) => {
    const model = tasks.get(known(number).taskId) ?? known(number);
    tasks.set(model.taskId, model);
    model.reset(snapshot({ ...(model.state as TaskState), seq: model.seq + 1, ...change }));
    const signals = store as unknown as { happened: Signal<unknown, unknown>; changed: Signal<unknown, void> };
    if (event) {
      signals.happened.emit({ model });
    } else {
      signals.changed.emit();
    }
    jest.advanceTimersByTime(wait); // its card may be about to stand on the page
  };
  const gate = (seq: number): Partial<TaskState> => ({
    state: 'awaiting_approval',
    approval: { phase: 'planning', revision: 1, seq, output: null }
  });

  beforeEach(() => {
    jest.useFakeTimers({ now: 0 });
    told.length = takenBack.length = 0;
    tasks = new Map();
    const owner = {};
    store = { tasks, happened: new Signal(owner), changed: new Signal(owner) } as unknown as TaskStore;
    const tell = (notice: Notice) => {
      told.push(notice);
      const update = (message: string) => {
        notice.message = message;
      };
      return { update, takeBack: () => takenBack.push(notice.message) };
    };
    notices = new Notices(store, tell, trans);
  });

  afterEach(() => jest.useRealTimers());

  it('tell of an end once, however it was heard of', () => {
    hear({ state: 'running' }, false);
    hear({ ...ENDED, started_at: '2026-01-01T00:00:01.000000Z' });
    hear({}, false);
    expect(told.map(notice => notice.message)).toEqual(['task 1 is complete, after 8.0 s.']);
    hear({ state: 'running' }, false, 2);
    hear({ state: 'failed', error: null }, false, 2); // while the connection was lost
    expect(told.map(notice => notice.kind)).toEqual(['completed', 'failed']);
  });

  it('say nothing of what is on the screen, or took under five seconds, however long it waited for a worker', () => {
    const { taskId } = known(1);
    seen(taskId, true);
    hear({ state: 'running' });
    hear(gate(5));
    hear(ENDED);
    seen(taskId, false);
    hear({ state: 'running', ended_at: null }, true, 2);
    hear({ ...ENDED, started_at: '2026-01-01T00:00:08.200000Z' }, true, 2);
    expect(told).toEqual([]);
  });

  it('wait for a card that is about to be seen, and go when somebody sees the task', () => {
    const { taskId } = known(1);
    hear(gate(5), true, 1, 300);
    seen(taskId, true);
    jest.advanceTimersByTime(5000);
    expect(told).toEqual([]);
    seen(taskId, false);
    hear(gate(9));
    expect(told.length).toBe(1);
    seen(taskId, true);
    expect(takenBack.length).toBe(1);
    seen(taskId, false);
  });

  it('say nothing of what had ended before', () => {
    hear(ENDED, false);
    hear({ labels: { a: 'b' } }, false);
    expect(told).toEqual([]);
    hear({ state: 'queued' });
    hear(ENDED);
    expect(told.length).toBe(1);
  });

  it('tell of each gate, also of one that waited, and take it back when it is answered', () => {
    hear(gate(5), false);
    expect(told.map(notice => notice.message)).toEqual(['task 1 waits for your approval before planning.']);
    hear({ state: 'running', approval: null });
    expect(takenBack.length).toBe(1);
    hear(gate(9));
    expect(told.length).toBe(2);
  });

  it('take a failure back when it is tried again, so that a second one does not stand beside it', () => {
    hear({ state: 'running' });
    hear({ state: 'failed', error: null });
    hear({ state: 'queued' });
    expect(takenBack).toEqual(told.map(notice => notice.message));
    hear({ state: 'failed', error: null });
    expect([told.length, takenBack.length]).toEqual([2, 1]);
  });

  it('count the others of many in one, until there was a pause', () => {
    const many = [1, 2, 3, 4, 5, 6];
    for (const number of many) {
      hear({ state: 'running' }, false, number);
      hear({ state: 'failed', error: null }, true, number);
    }
    expect(told.map(({ message, taskId }) => [message, taskId !== null])).toEqual([
      ['task 1 failed: ', true],
      ['task 2 failed: ', true],
      ['task 3 failed: ', true],
      ['3 more tasks failed.', false]
    ]);
    hear({ state: 'queued' }, true, 5);
    expect(told.at(-1)?.message).toBe('2 more tasks failed.');
    hear({ state: 'queued' }, true, 4);
    hear({ state: 'queued' }, true, 6);
    expect(takenBack).toHaveLength(1);
    jest.advanceTimersByTime(6000);
    hear({ state: 'failed', error: null }, true, 5);
    expect(told.at(-1)?.message).toBe('task 5 failed: ');
  });

  it('say nothing of a gate that only a notebook told', () => {
    const saved = new TaskModel('x', () => undefined);
    saved.reset(snapshot(gate(5)));
    tasks.set('x', saved);
    (store.changed as Signal<TaskStore, void>).emit();
    expect(told).toEqual([]);
  });

  it('can be switched off', () => {
    notices.wanted = { completed: false, failed: true, approval: false };
    hear({ state: 'running' });
    hear(gate(5));
    hear(ENDED);
    expect(told).toEqual([]);
  });
});

describe('the launch form', () => {
  const inputs: Schema = {
    type: 'object',
    properties: {
      path: { title: 'path', type: 'string' },
      folds: { title: 'folds', anyOf: [{ type: 'integer', minimum: 2 }, { type: 'null' }], default: null },
      kind: { title: 'kind', anyOf: [{ type: 'integer' }, { type: 'string' }, { type: 'null' }], default: 'a' },
      note: { title: 'note', default: { seen: 1 } }
    },
    required: ['path'],
    additionalProperties: false
  };

  it('shows what may be left out as its type, and what has no type as text', () => {
    expect(formSchema(inputs, 'free').properties).toEqual({
      path: { title: 'path', type: 'string' },
      folds: { title: 'folds', type: 'integer', minimum: 2 },
      kind: { title: 'kind', anyOf: [{ type: 'integer' }, { type: 'string' }], default: 'a' },
      note: { title: 'note', type: 'string', description: 'free', default: '{"seen":1}' }
    });
    expect(formSchema({ ...inputs, additionalProperties: true }, 'free').additionalProperties).toEqual({
      type: 'string',
      description: 'free'
    });
  });

  it('launches with what was filled in, JSON where it is', () => {
    const filled = { path: '[1]', folds: 3, note: '{"seen": 2}', more: 'as text' };
    expect(launchInputs(inputs, filled)).toBe('{"path":"[1]","folds":3,"note":{"seen": 2},"more":"as text"}');
    expect(launchInputs(inputs, { path: 'x', note: '' })).toBe('{"path":"x"}');
    expect(launchInputs(inputs, { note: '[1.0, 12345678901234567]' })).toBe('{"note":[1.0, 12345678901234567]}');
    expect(launchInputs(inputs, {})).toBe('{}');
  });
});

describe('the notebook that launched a task', () => {
  const origin = (change: Partial<TaskState>) => originOf(snapshot(change), '/home/ada/work', 'jupyterlab', trans);

  it('is found below the folder of the server', () => {
    expect(origin({ notebook: '/home/ada/work/birds/a.ipynb' }).path).toBe('birds/a.ipynb');
    expect(pathBelow('/', '/a.ipynb')).toBe('a.ipynb');
    expect(pathBelow('', '/a.ipynb')).toBeNull();
    expect(pathBelow('/home/ada', '/home/ada/../eve/a.ipynb')).toBeNull();
    expect(pathOf('/home/ada/work/', 'a.ipynb')).toBe('/home/ada/work/a.ipynb');
  });

  it('is said not to be known where it is not', () => {
    const elsewhere = origin({ notebook: '/home/ada/workshop/a.ipynb' });
    expect(elsewhere.path).toBeNull();
    expect(elsewhere.sentence).toMatch(/not below the folder/);
    expect(origin({ session: 'jupyterlab' }).sentence).toMatch(/from this panel/);
    expect(origin({ session: 'py:train-1' }).sentence).toMatch(/a script/);
    expect(origin({ session: 'nightly' }).sentence).toMatch(/not known/);
  });
});
