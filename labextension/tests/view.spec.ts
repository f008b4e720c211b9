import { nullTranslator } from '@jupyterlab/translation';
import { Client } from '../src/client';
import { exactText } from '../src/exact';
import type { Approval, Command, Json, Phase, PhaseResult, TaskState } from '../src/protocol';
import { TaskStore } from '../src/store';
import { TICKER } from '../src/ticker';
import { TaskView } from '../src/view';
import { document, type } from './page';
import { FakeServer, snapshot, TASK_ID, until } from './server';

const ERROR = {
  type: 'ValueError',
  message: 'no penguins',
  traceback: [
    'Traceback (most recent call last):',
    '  File "/x/site-packages/phasenb/a.py", line 3, in run',
    '    return f()',
    '  File "/home/me/helpers.py", line 7, in explore',
    '    raise ValueError("no penguins")',
    'ValueError: no penguins'
  ].join('\n'),
  retryable: true,
  bases: [],
  retry_after_s: null
};

function phase(change: Partial<Phase>): Phase {
  return { ...(snapshot().phases[0] as Phase), ...change };
}

describe('the view of a task', () => {
  let server: FakeServer;
  let client: Client;
  let store: TaskStore;
  let view: TaskView;
  let task: TaskState;

  const text = (selector: string) => view.node.querySelector(selector)?.textContent ?? null;
  const shown = (selector: string) => {
    const element = view.node.querySelector<HTMLElement>(selector);
    return element !== null && element.closest('[hidden]') === null;
  };
  const buttons = () =>
    [...view.node.querySelectorAll<HTMLButtonElement>('button')]
      .filter(button => button.closest('[hidden]') === null)
      .map(button => button.textContent);
  const press = (label: string) =>
    [...view.node.querySelectorAll<HTMLButtonElement>('button')]
      .find(button => button.textContent === label && button.closest('[hidden]') === null)
      ?.click();
  const asked = (kind: Command['type']) => server.heard.filter(command => command.type === kind);

  /** The view of a task that the server tells of. */
  const open = async (change: Partial<TaskState> = {}) => {
    task = snapshot(change);
    view = new TaskView({ store, taskId: TASK_ID, trans: nullTranslator.load('phasenb') });
    document.body.append(view.node);
    await until(() => view.model.live);
    view.paint();
  };

  beforeEach(async () => {
    server = await FakeServer.start();
    server.answer = (command, say) => {
      if (command.type === 'subscribe') {
        say({
          type: 'subscribed',
          task_id: TASK_ID,
          epoch: server.epoch,
          seq: task.seq,
          recovered: false,
          snapshot: task
        });
      } else if (command.type !== 'hello') {
        say({ type: 'ok' });
      }
    };
    const timing = { firstDelay: 0.01, longestDelay: 0.02, silence: 30, patience: 10 };
    client = new Client({ settings: server.settings, timing });
    store = new TaskStore(client, frame => setImmediate(frame));
  });

  afterEach(async () => {
    view.dispose();
    store.dispose();
    client.dispose();
    await server.stop();
    document.body.replaceChildren();
  });

  it('shows the phases as steps that can be read without colours', async () => {
    await open({ message: 'fold 3 of 5', eta_s: 65 });
    expect(text('.phasenb-name')).toBe('penguins');
    expect(text('.phasenb-state')).toBe('running');
    expect(text('.phasenb-facts')).toMatch(/^10 % · .* so far · about 1 min 5 s left in research$/);
    expect(text('.phasenb-says')).toBe('fold 3 of 5');
    const steps = [...view.node.querySelectorAll('.phasenb-step')];
    expect(steps.map(step => step.textContent)).toEqual(['●research, running20 %', '○planning, not started']);
    expect(view.node.querySelector('[role=progressbar]')?.outerHTML).toMatch(/aria-valuenow="20"/);
    expect(view.node.querySelector<HTMLElement>('.phasenb-fill')?.style.transform).toBe('scaleX(0.2)');
  });

  it('shows what a task says as text, never as part of the page', async () => {
    await open({ name: '<img src=x onerror=alert(1)>', message: '<b>bold</b>\x1b[31m red' });
    expect(view.node.querySelector('img, b')).toBeNull();
    expect(text('.phasenb-says')).toBe('<b>bold</b> red');
  });

  it('touches nothing when nothing is different', async () => {
    await open();
    const changes: MutationRecord[] = [];
    const { MutationObserver } = document.defaultView as unknown as typeof globalThis;
    const observer = new MutationObserver(records => changes.push(...records));
    observer.observe(view.node, { subtree: true, childList: true, attributes: true, characterData: true });
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now);
    view.paint();
    view.paint();
    expect(observer.takeRecords().concat(changes)).toEqual([]);
    observer.disconnect();
    clock.mockRestore();
  });

  it('keeps the focus when what had it goes, so that the keyboard goes on from there', async () => {
    await open();
    view.node.querySelector<HTMLButtonElement>('button[title^=Start]')?.focus();
    press('Pause');
    server.say({ task_id: TASK_ID, session: 's', at: snapshot().updated_at, type: 'task_paused', by: 'a', seq: 3 });
    await until(() => text('.phasenb-state') === 'paused' && document.activeElement === view.node);
  });

  it('leaves progress to the second hand while it is out of sight, and events to nobody', async () => {
    let see: (inSight: boolean) => void = () => undefined;
    globalThis.IntersectionObserver = class {
      constructor(tell: (entries: { isIntersecting: boolean }[]) => void) {
        see = isIntersecting => tell([{ isIntersecting }]);
      }
      observe() {}
      disconnect() {}
    } as unknown as typeof IntersectionObserver;
    const tick = jest.spyOn(TICKER, 'add');
    try {
      await open();
      const about = { task_id: TASK_ID, phase: 'research', attempt: 1, done: null, total: null, metrics: {} };
      const tell = async (percent: number) => {
        server.say({ ...about, type: 'phase_update', percent, message: `${percent} eggs`, eta_s: null });
        await until(() => view.model.state?.message === `${percent} eggs`);
        await new Promise(resolve => setImmediate(resolve));
      };
      see(false);
      await tell(30);
      expect(text('.phasenb-says')).toBe('');
      tick.mock.calls[0]?.[0]();
      expect(text('.phasenb-says')).toBe('30 eggs');
      await tell(40);
      expect(text('.phasenb-says')).toBe('30 eggs');
      see(true);
      expect(text('.phasenb-says')).toBe('40 eggs');
      see(false);
      server.say({ task_id: TASK_ID, session: 's', at: snapshot().updated_at, type: 'task_paused', by: 'a', seq: 3 });
      await until(() => text('.phasenb-state') === 'paused');
    } finally {
      Reflect.deleteProperty(globalThis, 'IntersectionObserver');
      tick.mockRestore();
    }
  });

  it('drops a failure that was overcome while the task goes on', async () => {
    const error = { phase: 'research', attempt: 1, error: ERROR };
    const phases = [
      phase({ status: 'running', attempt: 2 }),
      phase({ name: 'planning', status: 'pending', attempt: 0 })
    ];
    await open({ error, phases });
    expect(shown('.phasenb-error')).toBe(true);
    expect(text('.phasenb-step .phasenb-sub')).toBe('attempt 2');
    const over = { output: null, artifacts: [] };
    const about = { task_id: TASK_ID, session: 's', at: task.updated_at, attempt: 2, kind: 'phase' };
    server.say({ ...about, type: 'phase_complete', phase: 'research', result: over, seq: 3 });
    await until(() => view.model.seq === 3);
    view.paint();
    expect(shown('.phasenb-error')).toBe(false);
  });

  it('counts attempts, and down to the next one', async () => {
    const retry_at = new Date(Date.now() + 90_500).toISOString();
    const phases = [phase({ status: 'retrying', attempt: 1, maximum_attempts: 3 })];
    await open({ state: 'retrying', retry_at, phases, actions: ['cancel', 'pause'] });
    expect(text('.phasenb-says')).toMatch(/^attempt 2 of 3, next in 1 min 3[01] s$/);
    expect(shown('.phasenb-step .phasenb-sub')).toBe(false);
  });

  it("shows a failure with the person's own line first", async () => {
    const error = { phase: 'research', attempt: 1, error: ERROR };
    await open({
      state: 'failed',
      error,
      phases: [phase({ status: 'failed' })],
      actions: ['retry'],
      ended_at: task.updated_at
    });
    expect(text('.phasenb-error > p')).toBe('ValueError in research: no penguins');
    expect(text('.phasenb-where')).toBe('helpers.py, line 7, in explore');
    expect(text('.phasenb-error > pre')).toBe('raise ValueError("no penguins")');
    expect(text('details')).toContain('site-packages');
    expect(buttons()).toEqual(['Retry']);
    press('Retry');
    await until(() => asked('retry').length === 1);
    expect(asked('retry')[0]).toMatchObject({ task_id: TASK_ID, if_seq: 2 });
  });

  it('offers what the state allows, asks the server, and rests until it has answered', async () => {
    await open();
    expect(buttons()).toEqual(['Pause', 'Cancel']);
    press('Cancel');
    expect(
      [...view.node.querySelectorAll('.phasenb-buttons button')].every(b => (b as HTMLButtonElement).disabled)
    ).toBe(true);
    await until(() => asked('cancel').length === 1);
    const event = { type: 'cancel_requested', task_id: TASK_ID, session: 's', seq: 3, at: task.updated_at, by: 'ada' };
    server.say(event);
    await until(() => text('.phasenb-state') === 'cancelling');
    expect(buttons()).toEqual([]);
    expect(asked('cancel').length).toBe(1);
  });

  it('says why something was not done', async () => {
    await open();
    const answer = server.answer;
    server.answer = (command, say) =>
      command.type === 'pause'
        ? say({ type: 'error', code: 'illegal_transition', message: 'it is over', details: {} })
        : answer(command, say);
    press('Pause');
    await until(() => shown('.phasenb-refusal'));
    expect(text('.phasenb-refusal[role=alert]:not([hidden])')).toBe('The task is past that already.');
    expect(buttons()).toEqual(['Pause', 'Cancel']);
  });

  describe('at a gate', () => {
    const approval: Approval = { phase: 'planning', revision: 1, seq: 2, output: { model: 'tree', folds: 5 } };
    const gate: Partial<TaskState> = {
      ...{ state: 'awaiting_approval', approval, actions: ['cancel', 'pause', 'approve', 'deny'] },
      phases: [phase({ status: 'complete', percent: 100 }), phase({ name: 'planning', status: 'pending', attempt: 0 })]
    };
    const editor = () => view.node.querySelector<HTMLTextAreaElement>('.phasenb-gate > textarea');

    it('shows the plan and approves it as it is', async () => {
      await open(gate);
      expect(text('.phasenb-gate pre')).toBe('{\n  "model": "tree",\n  "folds": 5\n}');
      expect(buttons()).toEqual(['Approve', 'Edit', 'Deny…', 'Pause', 'Cancel']);
      press('Approve');
      await until(() => asked('approve').length === 1);
      expect(asked('approve')[0]).toEqual({ id: '3', type: 'approve', task_id: TASK_ID, phase: 'planning', if_seq: 2 });
    });

    it('approves an edited plan, and no plan that is not JSON', async () => {
      await open(gate);
      press('Edit');
      type(editor(), '{"model": "forest"');
      press('Approve');
      expect(editor()?.getAttribute('aria-invalid')).toBe('true');
      expect(text('.phasenb-gate .phasenb-refusal')).toMatch(/^This is not JSON: /);
      type(editor(), '{"model": "forest"}');
      press('Approve');
      await until(() => asked('approve').length === 1);
      expect(asked('approve')[0]).toMatchObject({ edit: { model: 'forest' } });
      expect(shown('.phasenb-gate .phasenb-refusal')).toBe(false);
    });

    describe('whose numbers JavaScript can not hold', () => {
      const PLAN = '{"folds":5.0,"10":1,"2":[1.0,1e400],"id":12345678901234567,"turned":"\u202ex"}';
      const shownPlan = PLAN.replace('\u202e', '\\u202e');
      const packed = (json: string | null | undefined) => json?.replace(/\s/g, '');
      const exact = { ...gate, approval: { ...approval, output: 'PLAN' } };

      beforeEach(() => {
        server.write = message => JSON.stringify(message).replace('"PLAN"', PLAN);
      });

      it('shows and sends them as they were written', async () => {
        await open(exact);
        expect(packed(text('.phasenb-gate pre'))).toBe(shownPlan);
        press('Edit');
        expect(packed(editor()?.value)).toBe(shownPlan);
        const edited = (editor()?.value ?? '').replace('"folds": 5.0', '"folds": 6.0');
        type(editor(), edited);
        press('Approve');
        await until(() => asked('approve').length === 1);
        expect(server.frames.at(-1)).toContain(`,"edit":${edited}}`);
      });

      it('does so when the gate came as an event, and in the feed', async () => {
        await open({ phases: [phase({ status: 'complete' }), phase({ name: 'planning', status: 'pending' })] });
        const about = { task_id: TASK_ID, session: 's', at: task.updated_at, type: 'approval_requested', kind: 'gate' };
        const { phase: name, revision, output } = exact.approval;
        server.say({ ...about, phase: name, revision, output, seq: 3 });
        server.say({ ...about, type: 'task_paused', by: 'ada', seq: 4 });
        server.say({ ...about, type: 'task_resumed', by: 'ada', seq: 5 });
        await until(() => view.model.seq === 5);
        view.paint();
        expect(packed(text('.phasenb-gate pre'))).toBe(shownPlan);

        const answer = server.answer;
        server.answer = (command, say) =>
          command.type === 'subscribe_feed'
            ? say({ type: 'feed', tasks: [snapshot(), snapshot({ ...exact, seq: 9 })], cursor: 'c', next: null })
            : answer(command, say);
        store.openFeed('user');
        await until(() => store.complete);
        const { approval: told } = view.model.state as TaskState;
        expect(packed(exactText(told as Approval))).toBe(shownPlan);
      });

      it('has no editor for what only a notebook has kept, until the server has told', async () => {
        task = snapshot(exact);
        const saved = {
          snapshot: snapshot({ ...gate, approval: { ...approval, output: { folds: 5 } } }),
          at: new Date()
        };
        view = new TaskView({ store, taskId: TASK_ID, saved, trans: nullTranslator.load('phasenb') });
        document.body.append(view.node);
        expect(text('.phasenb-gate pre')).toBe('{\n  "folds": 5\n}');
        expect(buttons()).not.toContain('Edit');
        await until(() => view.model.live);
        view.paint();
        expect(packed(text('.phasenb-gate pre'))).toBe(shownPlan);
        expect(buttons()).toContain('Edit');
      });
    });

    it('shows all of a long plan', async () => {
      const output = 'yes '.repeat(2000);
      await open({ ...gate, approval: { ...approval, output } });
      expect(text('.phasenb-gate pre')).toBe(JSON.stringify(output));
    });

    it('keeps what somebody writes while the task is told of', async () => {
      await open(gate);
      press('Edit');
      type(editor(), 'half wri');
      const before = editor();
      server.cut();
      await until(() => !view.model.live);
      await until(() => view.model.live);
      view.paint();
      expect(editor()).toBe(before);
      expect(editor()?.value).toBe('half wri');
    });

    it('denies with a reason, and has a phase run again', async () => {
      await open(gate);
      press('Deny…');
      type(view.node.querySelector('form textarea'), 'too slow');
      const redo = view.node.querySelector<HTMLSelectElement>('form select');
      expect([...(redo?.options ?? [])].map(option => option.textContent)).toEqual([
        'end the task',
        'run research again'
      ]);
      (redo as HTMLSelectElement).value = 'research';
      press('Deny');
      await until(() => asked('deny').length === 1);
      expect(asked('deny')[0]).toMatchObject({ phase: 'planning', if_seq: 2, reason: 'too slow', redo: 'research' });
    });
  });

  describe('that has ended', () => {
    const ended: Partial<TaskState> = {
      ...{ state: 'completed', percent: 100, ended_at: '2026-01-01T00:00:13.500000Z', actions: [] },
      phases: [phase({ name: 'fit', status: 'complete', percent: 100, output_preview: '[{"a":1}]' })]
    };
    const result = (change: Partial<PhaseResult>) => ({
      ...{ phase: 'fit', attempt: 1, kind: 'phase', revision: 1, status: 'complete', output: null, artifacts: [] },
      ...change
    });

    it('shows rows as a table', async () => {
      const output: Json = [
        { species: 'Adelie', n: 152 },
        { species: '<i>Gentoo</i>', n: 124, extra: null }
      ];
      server.http = path => [200, path.endsWith('/results') ? { results: [result({ output })] } : { lines: [] }];
      await open(ended);
      await until(() => shown('table'));
      const cells = [...view.node.querySelectorAll('tr')].map(row => [...row.children].map(cell => cell.textContent));
      expect(cells).toEqual([
        ['species', 'n', 'extra'],
        ['Adelie', '152', ''],
        ['<i>Gentoo</i>', '124', 'null']
      ]);
      expect(text('.phasenb-facts')).toMatch(/^12 s · \d{4}-\d\d-\d\d at \d\d:\d\d:\d\d$/);
      expect(buttons()).toEqual([]);
    });

    it('shows all of a long text', async () => {
      const output = { text: 'long '.repeat(5000) };
      server.http = path => [200, path.endsWith('/results') ? { results: [result({ output })] } : { lines: [] }];
      await open(ended);
      await until(() => (text('.phasenb-output pre')?.length ?? 0) > 25_000);
      expect(text('.phasenb-output pre')).toBe(JSON.stringify(output, null, 2));
    });

    it('shows figures as images, and other artifacts as something to save', async () => {
      const png = {
        $object: `sha256:${'a'.repeat(64)}`,
        codec: 'png',
        type: 'Figure',
        bytes: 9,
        shape: null,
        preview: ''
      };
      const artifacts = [
        { ...png, name: 'fit.png' },
        { ...png, codec: 'pickle', type: 'Model', name: 'model' }
      ];
      const paths: string[] = [];
      server.http = path => {
        paths.push(path);
        return [200, path.endsWith('/results') ? { results: [result({ output: png, artifacts })] } : { lines: [] }];
      };
      await open(ended);
      await until(() => view.node.querySelectorAll('img').length === 2);
      expect(paths).toEqual(
        expect.arrayContaining([`objects/${'a'.repeat(64)}`, `tasks/${TASK_ID}/artifacts/fit/1/fit.png`])
      );
      expect([...view.node.querySelectorAll('img')].map(image => image.alt)).toEqual(['Figure', 'fit.png']);
      expect(text('.phasenb-artifact')).toBe('model Model · 9 bytes');
    });

    it('makes no page of what people write, whatever type it claims, and shows what can be had', async () => {
      const png = {
        $object: `sha256:${'a'.repeat(64)}`,
        codec: 'png',
        type: 'Figure',
        bytes: 9,
        shape: null,
        preview: ''
      };
      const artifacts = ['../../../logout', 'gone'].map(name => ({ ...png, name }));
      const paths: string[] = [];
      server.http = path => {
        paths.push(path);
        const body = path.endsWith('/results') ? { results: [result({ artifacts })] } : { lines: [] };
        return path.endsWith('gone') ? [404, { message: 'it was collected' }] : [200, body];
      };
      const blobs: Blob[] = [];
      const make = jest.spyOn(URL, 'createObjectURL').mockImplementation(blob => `blob:${blobs.push(blob as Blob)}`);
      await open(ended);
      await until(() => shown('figure'));
      make.mockRestore();
      expect(blobs.map(blob => blob.type)).toEqual(['image/png']);
      expect(paths).toContain(`tasks/${TASK_ID}/artifacts/fit/1/..%2F..%2F..%2Flogout`);
      expect(text('.phasenb-output > p')).toBe('gone can not be shown: it was collected');
    });

    it('has the line that the snapshot has, until the server has told more', async () => {
      server.http = () => [503, { code: 'store_unavailable', message: 'gone', details: {} }];
      const warn = jest.spyOn(console, 'warn').mockImplementation();
      await open(ended);
      await until(() => warn.mock.calls.length === 1);
      warn.mockRestore();
      expect(text('.phasenb-output pre')).toBe('[{"a":1}]');
    });
  });

  describe('that the server does not tell of', () => {
    const saved = () => ({ snapshot: snapshot(), at: new Date() });
    const openSaved = () => {
      view = new TaskView({ store, taskId: TASK_ID, saved: saved(), trans: nullTranslator.load('phasenb') });
    };

    it.each([
      [404, {}, /^This server does not have the phasenb extension/],
      [403, {}, /^This server does not let you see its tasks/]
    ])('says of which time it speaks, and why: %i', async (status, body, sentence) => {
      server.refuse = status;
      server.http = () => [status, body];
      openSaved();
      await until(() => !['idle', 'connecting'].includes(client.connection.kind));
      view.paint();
      expect(text('.phasenb-state')).toMatch(/^as of \d\d:\d\d:\d\d: running, 10 %$/);
      expect(text('.phasenb-connection span')).toMatch(sentence);
      expect(text('.phasenb-facts')).toBe('');
      expect(buttons()).toEqual(['Try again', 'Pause', 'Cancel']);
      expect([...view.node.querySelectorAll<HTMLButtonElement>('.phasenb-buttons button')].some(b => !b.disabled)).toBe(
        false
      );
      task = snapshot({ seq: 5, percent: 60 });
      server.refuse = null;
      press('Try again');
      await until(() => view.model.live);
      view.paint();
      expect(text('.phasenb-state')).toBe('running');
    });

    it('knows a task of somebody else or of a store that is gone', async () => {
      const refusal = { type: 'error', code: 'unknown_task', message: 'there is no task', details: {} };
      server.answer = (command, say) => command.type === 'subscribe' && say(refusal);
      openSaved();
      await until(() => view.model.problem !== null);
      view.paint();
      expect(text('.phasenb-connection span')).toMatch(/^This server does not show you this task/);
    });

    it('never calls a task stopped because the connection is lost', async () => {
      await open();
      const port = server.port;
      await server.stop();
      await until(() => client.connection.kind === 'reconnecting');
      view.paint();
      expect(text('.phasenb-connection span')).toBe(
        'The connection to the server is lost; the task goes on. Reconnecting…'
      );
      expect(text('.phasenb-state')).toMatch(/^as of .*: running, 10 %$/);
      await server.listen(port);
      await until(() => view.model.live);
      view.paint();
      expect(shown('.phasenb-connection')).toBe(false);
    });
  });

  it('shows few lines of the log, and all when asked', async () => {
    await open();
    const lines = Array.from({ length: 9 }, (_, index) => ({ stream: 'stdout', text: `line ${index}`, at: '' }));
    server.say({
      type: 'phase_log',
      task_id: TASK_ID,
      phase: 'research',
      attempt: 1,
      first_line: 1,
      dropped: 4,
      lines
    });
    await until(() => shown('.phasenb-log'));
    expect(text('.phasenb-log pre')?.split('\n').length).toBe(6);
    expect(text('.phasenb-log .phasenb-sub')).toBe('4 lines were dropped');
    press('All lines');
    expect(text('.phasenb-log pre')?.split('\n')[0]).toBe('line 0');
  });
});
