import { Client, type Told } from '../src/client';
import { ConnectionLost, ServerError } from '../src/errors';
import { FakeServer, TASK_ID, until } from './server';

const TIMING = { firstDelay: 0.02, longestDelay: 0.05, silence: 30, patience: 10 };

describe('the client', () => {
  let server: FakeServer;
  let client: Client;

  beforeEach(async () => {
    server = await FakeServer.start();
    client = new Client({ settings: server.settings, session: 'lab', timing: TIMING });
  });

  afterEach(async () => {
    client.dispose();
    await server.stop();
  });

  const connected = async () => {
    client.connect();
    await until(() => client.connection.kind === 'connected');
  };

  it('connects when it is asked to, says hello first, and knows what the server said of itself', async () => {
    expect(client.connection.kind).toBe('idle');
    await connected();
    expect(server.heard).toEqual([
      { type: 'hello', id: '1', protocol: 1, session: 'lab', client: 'phasenb-jupyterlab' }
    ]);
    expect(server.urls).toEqual(['/a%40b/phasenb/ws?token=s%20e']);
    expect(client.welcome?.owner).toBe('ada');
  });

  it('gives each command its own answer', async () => {
    await connected();
    const held: (() => void)[] = [];
    server.answer = (command, say) => {
      held.push(() => say(command.type === 'ping' ? { type: 'pong' } : { type: 'ok' }));
      if (held.length === 2) {
        for (const answer of held.reverse()) {
          answer();
        }
      }
    };
    const answers = await Promise.all([
      client.request({ type: 'ping' }),
      client.request({ type: 'cancel', task_id: TASK_ID })
    ]);
    expect(answers.map(answer => answer.type)).toEqual(['pong', 'ok']);
  });

  it('sends what is given as JSON unchanged, and nothing that is not one value', async () => {
    await connected();
    server.answer = (_, say) => say({ type: 'ok' });
    const about = { type: 'approve', task_id: TASK_ID, phase: 'fit', if_seq: 2 } as const;
    const edit = '{"folds": 5.0,\n "id": 12345678901234567}';
    await client.request(about, undefined, { edit });
    expect(server.frames.at(-1)).toBe(`${JSON.stringify({ ...about, id: '2' }).slice(0, -1)},"edit":${edit}}`);
    const smuggled = client.request(about, undefined, { edit: '1,"note":"approved by ada"' });
    await expect(smuggled).rejects.toThrow(SyntaxError);
    expect(server.frames.length).toBe(2);
  });

  it('tells what the server refused, with its code and facts', async () => {
    await connected();
    server.answer = (_, say) => say({ type: 'error', code: 'conflict', message: 'moved on', details: { seq: 7 } });
    const refusal = await client.request({ type: 'resume', task_id: TASK_ID }).catch(error => error);
    expect(refusal).toBeInstanceOf(ServerError);
    expect([refusal.code, refusal.message, refusal.details]).toEqual(['conflict', 'moved on', { seq: 7 }]);
  });

  it('asks again, later, what was too much at once', async () => {
    await connected();
    let refused = 0;
    server.answer = (_, say) =>
      refused++ < 2
        ? say({ type: 'error', code: 'rate_limited', message: 'slower', details: { retry_after_s: 0.001 } })
        : say({ type: 'ok' });
    expect((await client.request({ type: 'pause', task_id: TASK_ID })).type).toBe('ok');
    expect(server.heard.map(command => command.type)).toEqual(['hello', 'pause', 'pause', 'pause']);
  });

  it('gives all pages of a feed before what is told after them', async () => {
    await connected();
    server.answer = (_, say) => {
      say({ type: 'feed', tasks: [], cursor: 'a', next: 'a' });
      say({ type: 'feed', tasks: [], cursor: 'b', next: null });
      server.say({ type: 'task_paused', task_id: TASK_ID, session: 's', seq: 3, at: '', by: 'ada' });
    };
    const order: string[] = [];
    client.told.connect((_, told) => order.push(told.type));
    const last = await client.request({ type: 'subscribe_feed' }, page =>
      order.push((page as { cursor: string }).cursor)
    );
    await until(() => order.length === 3);
    expect(order).toEqual(['a', 'b', 'task_paused']);
    expect(last).toMatchObject({ cursor: 'b' });
  });

  it('passes on events and live messages, and newer events that it does not know', async () => {
    await connected();
    const told: Told[] = [];
    client.told.connect((_, message) => told.push(message));
    server.say({ type: 'phase_update', task_id: TASK_ID, phase: 'research', attempt: 1, percent: 5 });
    server.say({ type: 'phase_pondered', task_id: TASK_ID, seq: 9 });
    server.say({ type: 'weather', sunny: true });
    server.say({ type: 'task_resumed', task_id: TASK_ID, seq: 10, session: 's', at: '', by: 'ada' });
    await until(() => told.length === 3);
    expect(told.map(message => message.type)).toEqual(['phase_update', 'phase_pondered', 'task_resumed']);
  });

  it('comes back by itself, and says meanwhile that it is reconnecting', async () => {
    const seen: string[] = [];
    client.connectionChanged.connect((_, connection) => seen.push(connection.kind));
    await connected();
    server.cut();
    await until(() => server.connections === 2 && client.connection.kind === 'connected');
    expect(seen).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
  });

  it('says of a command without an answer whether it was sent', async () => {
    const unsent = await client.request({ type: 'ping' }).catch(error => error);
    expect(unsent).toEqual(new ConnectionLost(false));
    await until(() => client.connection.kind === 'connected');
    server.answer = command => command.type === 'cancel' && server.cut();
    const lost: ConnectionLost = await client.request({ type: 'cancel', task_id: TASK_ID }).catch(error => error);
    expect([lost.name, lost.sent]).toEqual(['ConnectionLost', true]);
  });

  it('outlasts a server that is away: it tries again, later and later, never all at the same moment', async () => {
    const delays: number[] = [];
    const timer = jest.spyOn(globalThis, 'setTimeout');
    await connected();
    const port = server.port;
    await server.stop();
    timer.mockClear();
    await until(() => {
      delays.length = 0;
      delays.push(...timer.mock.calls.map(([, delay]) => delay ?? 0).filter(delay => delay >= 10 && delay <= 50));
      return delays.length >= 4;
    });
    timer.mockRestore();
    expect(client.connection.kind).toBe('reconnecting');
    const tops = [20, 40, 50, 50];
    delays.slice(0, 4).forEach((delay, index) => {
      expect(delay).toBeGreaterThanOrEqual((tops[index] ?? 0) / 2);
      expect(delay).toBeLessThanOrEqual(tops[index] ?? 0);
    });
    await server.listen(port);
    await until(() => client.connection.kind === 'connected');
  });

  it.each([
    [404, [404, {}], { kind: 'absent' }],
    [403, [403, { message: 'Forbidden' }], { kind: 'forbidden' }],
    [403, [403, { code: 'forbidden', message: 'no' }], { kind: 'forbidden' }]
  ] as const)('stops where trying again is of no use: %i', async (status, health, connection) => {
    server.refuse = status;
    server.http = () => [...health];
    client.connect();
    await until(() => !['idle', 'connecting'].includes(client.connection.kind));
    expect(client.connection).toEqual(connection);
    server.refuse = null;
    server.http = () => [200, {}];
    expect(server.urls.length).toBe(1);
    await connected(); // a person asks again
  });

  it.each([
    [undefined], // a hub that was started again
    [4001] // a login whose time is over
  ])('knows an expired login from a permission that was never there: %s', async code => {
    await connected();
    server.refuse = 403;
    server.http = () => [403, { code: 'forbidden', message: 'Forbidden' }];
    server.cut(code);
    await until(() => !['connected', 'reconnecting'].includes(client.connection.kind));
    expect(client.connection.kind).toBe('expired');
    server.refuse = null;
    await connected(); // signed in again, in another tab
  });

  it('knows a permission that was taken away from an expired login', async () => {
    await connected();
    server.cut(4003);
    await until(() => client.connection.kind !== 'connected');
    expect(client.connection.kind).toBe('forbidden');
  });

  it('says what troubles the server, and recovers with it', async () => {
    server.refuse = 503;
    server.http = () => [503, { code: 'store_unavailable', message: 'the store is gone', details: {} }];
    client.connect();
    await until(() => client.connection.kind === 'trouble');
    expect(client.connection).toEqual({ kind: 'trouble', message: 'the store is gone' });
    server.refuse = null;
    await until(() => client.connection.kind === 'connected');
  });

  it('hears of trouble in the answer to hello as well', async () => {
    const welcome = server.welcome.bind(server);
    server.welcome = () => ({ type: 'error', code: 'store_unavailable', message: 'no file', details: {} }) as never;
    client.connect();
    await until(() => client.connection.kind === 'trouble');
    server.welcome = welcome;
    await until(() => client.connection.kind === 'connected');
  });

  it('knows a server of another protocol, and leaves it alone', async () => {
    server.welcome = () => ({ type: 'error', code: 'unsupported_protocol', message: '2', details: {} }) as never;
    client.connect();
    await until(() => client.connection.kind === 'outdated');
    expect(server.connections).toBe(1);
  });

  it('finds out that a connection died without a word', async () => {
    client.dispose();
    client = new Client({ settings: server.settings, timing: { ...TIMING, silence: 0.02, patience: 0.02 } });
    await connected();
    await until(() => server.heard.filter(command => command.type === 'ping').length > 0);
    await until(() => server.connections >= 2);
    server.answer = (command, say) => command.type === 'ping' && say({ type: 'pong' });
    await until(() => client.connection.kind === 'connected');
    const { connections } = server;
    const pings = server.heard.length;
    await until(() => server.heard.length > pings + 3);
    expect(server.connections).toBe(connections);
  });

  it('does nothing any more when it is disposed of', async () => {
    await connected();
    client.dispose();
    client.connect();
    expect(client.isDisposed).toBe(true);
    await until(() => server.connections === 1);
    expect(server.urls.length).toBe(1);
  });

  describe('where a proxy lets no socket through', () => {
    const BLOCKED = { kind: 'connected', blocked: true };

    beforeEach(async () => {
      server.refuse = 400;
      client.connect();
      await until(() => client.connection.kind === 'connected');
    });

    it('does the same by HTTP, and says so', async () => {
      expect(client.connection).toEqual(BLOCKED);
      expect(server.urls.length).toBe(2); // no server that was just starting
      server.answer = (command, say) => say(command.type === 'ping' ? { type: 'pong' } : { type: 'ok' });
      const answers = await Promise.all([
        client.request({ type: 'ping' }),
        client.request({ type: 'cancel', task_id: TASK_ID })
      ]);
      expect(answers.map(answer => answer.type)).toEqual(['pong', 'ok']);
      const told: Told[] = [];
      client.told.connect((_, message) => told.push(message));
      server.say({ type: 'task_paused', task_id: TASK_ID, session: 's', seq: 3, at: '', by: 'ada' });
      await until(() => told.length === 1);
    });

    it('comes back after a break, by the socket where that works now', async () => {
      server.refuse = null;
      server.cut();
      await until(() => server.urls.length === 3 && client.connection.kind === 'connected');
      expect(client.connection).toEqual({ kind: 'connected' });
    });

    it('tells what is too large for the proxy, and goes on', async () => {
      server.refuseSent = [413, {}];
      const launch = client.request({ type: 'launch', agent: 'a' } as never);
      const refusal = await launch.catch(error => error);
      expect([refusal.name, refusal.code]).toEqual(['ServerError', 'http_413']);
      server.answer = (_, say) => say({ type: 'pong' });
      expect((await client.request({ type: 'ping' })).type).toBe('pong');
    });
  });

  it('names a proxy that answers in place of the server', async () => {
    server.refuse = 502;
    server.http = () => [502, {}];
    client.connect();
    await until(() => client.connection.kind === 'gateway');
    expect(client.connection).toEqual({ kind: 'gateway', status: 502 });
    server.http = () => [200, {}];
    server.refuse = null;
    await until(() => client.connection.kind === 'connected');
  });
});
