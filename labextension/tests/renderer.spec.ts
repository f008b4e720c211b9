import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { nullTranslator } from '@jupyterlab/translation';
import { Client } from '../src/client';
import type { TaskRenderer } from '../src/renderer';
import { TaskStore } from '../src/store';
import { TASK_MIME } from '../src/tokens';
import './page';
import { FakeServer, snapshot, TASK_ID, until } from './server';

const OTHER = '01KC0000000000000000000001';

describe('the MIME renderer', () => {
  let server: FakeServer;
  let client: Client;
  let renderer: TaskRenderer;

  const output = (payload: object) =>
    ({ data: { [TASK_MIME]: payload }, trusted: false, metadata: {} }) as unknown as IRenderMime.IMimeModel;
  const text = (selector: string) => renderer.node.querySelector(selector)?.textContent;

  beforeEach(async () => {
    server = await FakeServer.start();
    const timing = { firstDelay: 0.01, longestDelay: 0.02, silence: 30, patience: 10 };
    client = new Client({ settings: server.settings, timing });
    const store = new TaskStore(client, frame => setImmediate(frame));
    const { rendererFactory } = await import('../src/renderer'); // Lumino looks at the page when it is loaded
    const factory = rendererFactory(store, nullTranslator.load('phasenb'));
    expect([factory.safe, factory.mimeTypes]).toEqual([true, [TASK_MIME]]);
    renderer = factory.createRenderer({} as IRenderMime.IRendererOptions) as TaskRenderer;
  });

  afterEach(async () => {
    renderer.dispose();
    client.dispose();
    await server.stop();
  });

  it('shows what the notebook kept, of its time, where the server has no phasenb', async () => {
    server.refuse = 404;
    server.http = () => [404, {}];
    await renderer.renderModel(output({ task_id: TASK_ID, snapshot: snapshot(), at: '2026-01-02T14:03:00Z' }));
    await until(() => /does not have the phasenb extension/.test(text('.phasenb-connection') ?? ''));
    const at = new Date('2026-01-02T14:03:00Z').toTimeString().slice(0, 5);
    expect(text('.phasenb-state')).toBe(`as of 2026-01-02 ${at}: running, 10 %`);
  });

  it('goes on with the server, and is not taken back by an older copy', async () => {
    server.answer = (command, say) => {
      if (command.type === 'subscribe') {
        const { task_id } = command;
        say({
          type: 'subscribed',
          task_id,
          epoch: 'e',
          seq: 9,
          recovered: false,
          snapshot: snapshot({ task_id, seq: 9 })
        });
      }
    };
    await renderer.renderModel(output({ task_id: TASK_ID, snapshot: snapshot() }));
    await until(() => text('.phasenb-state') === 'running');
    const view = renderer.node.firstElementChild;
    await renderer.renderModel(output({ task_id: TASK_ID, snapshot: snapshot({ seq: 3, state: 'queued' }) }));
    expect(renderer.node.firstElementChild).toBe(view);
    expect(text('.phasenb-state')).toBe('running');

    await renderer.renderModel(output({ task_id: OTHER }));
    await until(() => text('code') === OTHER.slice(-8));
    expect(renderer.node.childElementCount).toBe(1);
    await until(() => server.heard.some(command => command.type === 'unsubscribe'));
  });

  it.each([
    ['hub', /^This task is of the user hub, and you are ada here\. .*c\.PhaseNB\.owner/],
    ['ada', /is of another user, or was deleted/],
    [undefined, /is of another user, or was deleted/],
    [{ name: 'hub' }, /is of another user, or was deleted/]
  ])('says whose a task is that this user may not see: %j', async (owner, sentence) => {
    server.answer = (command, say) => {
      if (command.type === 'subscribe') {
        say({ type: 'error', code: 'unknown_task', message: 'no', details: {} });
      }
    };
    await renderer.renderModel(output({ task_id: TASK_ID, snapshot: snapshot(), epoch: server.epoch, owner }));
    await until(() => sentence.test(text('.phasenb-connection span') ?? ''));
    expect(text('.phasenb-state')).toMatch(/^as of/);
  });

  it('takes the widget out of the output, so that what is saved needs no kernel', async () => {
    const widget = 'application/vnd.jupyter.widget-view+json';
    const model = output({ task_id: TASK_ID, snapshot: snapshot() }) as { data: object; setData: unknown };
    model.data = { ...model.data, [widget]: { model_id: 'm' }, 'text/plain': 'penguins' };
    const setData = jest.fn();
    const rendering = renderer.renderModel({ ...model, setData } as unknown as IRenderMime.IMimeModel);
    expect(setData).not.toHaveBeenCalled(); // Lab has no place yet for what it is about to render
    await rendering;
    expect(setData.mock.calls.map(([{ data }]) => Object.keys(data))).toEqual([[TASK_MIME, 'text/plain']]);
  });

  it('shows what the launch had to say, until the output says it no more', async () => {
    await renderer.renderModel(output({ task_id: TASK_ID, snapshot: snapshot(), notes: ['another is live too', 7] }));
    expect(text('.phasenb-foot')).toBe(`${TASK_ID.slice(-8)}another is live too`);
    await renderer.renderModel(output({ task_id: TASK_ID, snapshot: snapshot(), notes: [] }));
    await until(() => text('.phasenb-foot') === TASK_ID.slice(-8));
  });

  it.each([
    [{}],
    [{ task_id: '../../../logout', snapshot: snapshot({ task_id: '../../../logout' }) }],
    [{ task_id: 7 }],
    [null]
  ])('asks for nothing in the name of a notebook that names no task: %j', async payload => {
    await renderer.renderModel(output(payload as object));
    expect(renderer.node.textContent).toBe('This output names no task.');
    await renderer.renderModel(output({ task_id: TASK_ID }));
    await until(() => server.heard.some(command => command.type === 'subscribe'));
    expect(server.heard.filter(command => command.type === 'subscribe')).toMatchObject([{ task_id: TASK_ID }]);
  });

  it.each([
    [{ snapshot: snapshot({ task_id: OTHER }) }],
    [{ snapshot: { task_id: TASK_ID, state: 'running' } }],
    [{ snapshot: snapshot({ state: 'dreaming' as never }) }],
    [{ snapshot: snapshot(), at: 'yesterday' }]
  ])('does not show a copy that is none: %#', async about => {
    await renderer.renderModel(output({ task_id: TASK_ID, ...about }));
    expect(text('.phasenb-body[hidden]')).toBeDefined();
    expect(text('.phasenb-name')).toBe('');
  });
});
