import { TICKER } from '../src/ticker';
import { document } from './page';
import { LOG, snapshot, TASK_ID, UPDATE, until } from './server';
import { asked, buttons, client, open, openSaved, phase, press, server, shown, task, tell, text, view } from './viewed';

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
  retry_after_s: null,
  http_status: null
};

describe('the view of a task', () => {
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

  it('shows the inputs on one line, those beyond three behind a button', async () => {
    await open({ inputs: { path: 'x.csv', alpha: 0.1, depth: 3, seed: 7, kind: 'forest' } });
    expect(text('.phasenb-inputs > span')).toBe('path=x.csv, alpha=0.1, depth=3');
    const more = view.node.querySelector<HTMLButtonElement>('.phasenb-inputs button');
    expect([more?.textContent, more?.getAttribute('aria-expanded')]).toEqual(['+2 more', 'false']);
    more?.click();
    expect(text('.phasenb-inputs > span')).toBe('path=x.csv\nalpha=0.1\ndepth=3\nseed=7\nkind=forest');
    expect(more?.getAttribute('aria-expanded')).toBe('true');
  });

  it('leaves the inputs to a gate before the first phase', async () => {
    const approval = { phase: 'research', revision: 1, seq: 2, output: null };
    await open({ inputs: { path: 'x.csv' }, state: 'awaiting_approval', approval });
    expect([shown('.phasenb-inputs'), text('.phasenb-gate pre')]).toEqual([false, 'path=x.csv']);
  });

  it('opens an input that the line cuts, to its end or 2,000 characters', async () => {
    await open({ inputs: { text: 'lorem '.repeat(30), n: 3, all: 'x'.repeat(5000) } });
    const more = view.node.querySelector<HTMLButtonElement>('.phasenb-inputs button');
    expect([shown('.phasenb-inputs button'), more?.textContent]).toEqual([true, 'More']);
    more?.click();
    const [first, second, third] = text('.phasenb-inputs > span')?.split('\n') ?? [];
    expect([first, second]).toEqual([`text=${'lorem '.repeat(30).trim()}`, 'n=3']);
    expect(third).toBe(`all=${'x'.repeat(1999)}…`);
    expect(more?.textContent).toBe('Less');
  });

  it('has no line of inputs where there are none, and no button where all are shown', async () => {
    await open({ inputs: {} });
    expect(shown('.phasenb-inputs')).toBe(false);
    view.dispose();
    await open({ inputs: { path: 'x.csv' } });
    expect(shown('.phasenb-inputs button')).toBe(false);
  });

  it('has the end of the id, and copies all of it at a click', async () => {
    const writeText = jest.fn(async () => undefined);
    Object.defineProperty(globalThis, 'navigator', { value: { clipboard: { writeText } }, configurable: true });
    await open();
    const id = view.node.querySelector<HTMLButtonElement>('.phasenb-id');
    expect([id?.textContent, id?.getAttribute('aria-label')]).toEqual([
      TASK_ID.slice(-8),
      `Copy the id ${TASK_ID.slice(-8)}`
    ]);
    id?.click();
    await until(() => id?.textContent === 'copied');
    expect(writeText).toHaveBeenCalledWith(TASK_ID);
  });

  it('says that the id was not copied where the browser refuses', async () => {
    Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
    await open();
    const id = view.node.querySelector<HTMLButtonElement>('.phasenb-id');
    id?.click();
    await until(() => /^not copied/.test(id?.textContent ?? ''));
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
      const tell = async (percent: number) => {
        server.say({ ...UPDATE, percent, message: `${percent} eggs` });
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

  it('says why there is another attempt where none failed: its server was lost', async () => {
    const phases = [phase({ status: 'running', attempt: 2 })];
    await open({ phases, recent: ['2 phase_started', '3 task_recovered', '4 phase_started'] });
    const lost = 'attempt 2, as the server or its machine stopped in attempt 1';
    expect(text('.phasenb-step .phasenb-sub')).toBe(lost);
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

  describe('that the server does not tell of', () => {
    const saved = () => ({ snapshot: snapshot(), at: new Date() });

    it.each([
      [404, {}, /^This server does not have the phasenb extension/],
      [403, {}, /^This server does not let you see its tasks/]
    ])('says of which time it speaks, and why: %i', async (status, body, sentence) => {
      server.refuse = status;
      server.http = () => [status, body];
      openSaved(saved());
      await until(() => !['idle', 'connecting'].includes(client.connection.kind));
      view.paint();
      expect(text('.phasenb-state')).toMatch(/^as of \d\d:\d\d: running, 10 %$/);
      expect(text('.phasenb-connection span')).toMatch(sentence);
      expect(text('.phasenb-facts')).toBe('');
      expect(buttons()).toEqual(['Try again', 'Pause', 'Cancel']);
      expect([...view.node.querySelectorAll<HTMLButtonElement>('.phasenb-buttons button')].some(b => !b.disabled)).toBe(
        false
      );
      tell({ seq: 5, percent: 60 });
      server.refuse = null;
      press('Try again');
      await until(() => view.model.live);
      view.paint();
      expect(text('.phasenb-state')).toBe('running');
    });

    it('knows a task of somebody else or of a store that is gone', async () => {
      const refusal = { type: 'error', code: 'unknown_task', message: 'there is no task', details: {} };
      server.answer = (command, say) => command.type === 'subscribe' && say(refusal);
      openSaved(saved());
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
        'The server can’t be reached. If the task stopped with it, it goes on when the server is back. Reconnecting…'
      );
      expect(text('.phasenb-state')).toMatch(/^as of .*: running, 10 %$/);
      await server.listen(port);
      await until(() => view.model.live);
      view.paint();
      expect(shown('.phasenb-connection')).toBe(false);
    });
  });

  it('counts where nobody knows of how many, and shows the line that is being written', async () => {
    await open();
    const bar = () => document.querySelector('[role=progressbar]');
    expect(bar()?.getAttribute('aria-valuenow')).toBe('20');
    server.say({ ...UPDATE, percent: 0, done: 1204, bar: 1, line: 'a: 10it\nb: 3it' });
    await until(() => text('.phasenb-took') === '1,204 so far');
    expect([bar()?.hasAttribute('data-counts'), bar()?.hasAttribute('aria-valuenow')]).toEqual([true, false]);
    expect(text('.phasenb-log pre')).toBe('a: 10it\nb: 3it');
    server.say({ ...UPDATE, percent: 50, done: 602, total: 1204, bar: 2, line: null });
    await until(() => text('.phasenb-took') === '50 %');
    expect([bar()?.hasAttribute('data-counts'), shown('.phasenb-log')]).toEqual([false, false]);
  });

  it('shows few lines of the log, and all when asked', async () => {
    await open();
    const lines = Array.from({ length: 9 }, (_, index) => ({ stream: 'stdout', text: `line ${index}`, at: '' }));
    server.say({ ...LOG, dropped: 4, skipped: 3, lines });
    await until(() => shown('.phasenb-log'));
    expect(text('.phasenb-log pre')?.split('\n').length).toBe(6);
    expect(text('.phasenb-log .phasenb-sub')).toBe(
      '4 lines were dropped · 3 lines are not shown here; task.logs() has them'
    );
    press('All lines');
    expect(text('.phasenb-log pre')?.split('\n')[0]).toBe('line 0');
  });
});
