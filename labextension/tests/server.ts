// A server that speaks the protocol's first words over a real socket; a test says the rest.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServerConnection } from '@jupyterlab/services';
import { type WebSocket as Socket, WebSocketServer } from 'ws';
import type { Command, Subscribe, TaskState, Welcome } from '../src/protocol';

export const EPOCH = 'epoch-1';
/** Of a client that tries again at once. */
export const TIMING = { firstDelay: 0.01, longestDelay: 0.02, silence: 30, patience: 10 };

const TOKEN = { token: 's e', appendToken: true };

export type Answer = (command: Command, say: (message: object) => void) => void;

export class FakeServer {
  readonly heard: Command[] = [];
  /** What was heard, as it came. */
  readonly frames: string[] = [];
  /** How messages are written; Python writes numbers that JavaScript can't. */
  write: (message: object) => string = JSON.stringify;
  connections = 0;
  epoch = EPOCH;
  /** HTTP status and body of `phasenb/api/...`, by path. */
  http: (path: string) => [number, object] = () => [200, { status: 'ok', lines: [], results: [] }];
  /** Refuse the next handshakes with this status; null: take them. */
  refuse: number | null = null;
  answer: Answer = () => undefined;
  /** What `phasenb/api/connections/ID/send` answers instead of taking a frame. */
  refuseSent: [number, object] | null = null;

  static async start(port = 0): Promise<FakeServer> {
    const server = new FakeServer();
    await server.listen(port);
    return server;
  }

  get port(): number {
    const address = this._http?.address() as AddressInfo | undefined;
    return address?.port ?? 0;
  }

  get settings(): ServerConnection.ISettings {
    const baseUrl = `http://127.0.0.1:${this.port}/a%40b/`;
    return ServerConnection.makeSettings({ baseUrl, wsUrl: baseUrl.replace('http', 'ws'), WebSocket, ...TOKEN });
  }

  async listen(port: number): Promise<void> {
    const http = createServer((request, response) => {
      // Without the number with which Lab goes past caches.
      const path = (request.url ?? '').replace('/a%40b/phasenb/api/', '').replace(/[?&]\d+$/, '');
      if (path.startsWith('connections')) {
        void this._poll(path, request, response);
        return;
      }
      const [status, body] = this.http(path);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    const sockets = new WebSocketServer({ noServer: true });
    http.on('upgrade', (request, socket, head) => {
      this.urls.push(request.url ?? '');
      if (this.refuse !== null) {
        socket.end(`HTTP/1.1 ${this.refuse} Refused\r\n\r\n`);
        return;
      }
      sockets.handleUpgrade(request, socket, head, open => this._take(open));
    });
    await new Promise<void>(resolve => http.listen(port, '127.0.0.1', resolve));
    this._http = http;
  }

  /** To every client, or none if none is there. */
  say(message: object): void {
    for (const socket of this._sockets) {
      socket.send(this.write(message));
    }
    this._fetched(this.write(message));
  }

  /** Messages over HTTP, as the socket's. `cut` ends such a connection too. */
  private async _poll(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const end = (status: number, body = '') => response.writeHead(status).end(body);
    const gone = () => end(404, JSON.stringify({ code: 'connection_gone', message: 'gone', details: {} }));
    if (path === 'connections') {
      this.connections += 1;
      this._polled = { lines: [], wake: () => undefined };
      end(201, JSON.stringify({ connection: `c${this.connections}`, wait_s: 10 }));
      return;
    }
    const polled = this._polled;
    if (polled === null || path.split('/')[1] !== `c${this.connections}`) {
      gone();
    } else if (path.endsWith('/send')) {
      let frame = '';
      for await (const chunk of request) {
        frame += chunk;
      }
      if (this.refuseSent === null || !frame.includes('"launch"')) {
        this._hear(frame, line => this._fetched(line));
        end(204);
      } else {
        end(this.refuseSent[0], JSON.stringify(this.refuseSent[1]));
      }
    } else {
      if (polled.lines.length === 0) {
        await new Promise<void>(resolve => {
          polled.wake = resolve;
        });
      }
      if (this._polled === polled) {
        end(200, polled.lines.splice(0).join('\n'));
      } else {
        gone();
      }
    }
  }

  private _fetched(line: string): void {
    this._polled?.lines.push(line);
    this._polled?.wake();
  }

  cut(code?: number): void {
    const polled = this._polled;
    this._polled = null;
    polled?.wake();
    for (const socket of this._sockets) {
      if (code === undefined) {
        socket.terminate();
      } else {
        socket.close(code, 'the test says so');
      }
    }
    this._sockets.clear();
  }

  async stop(): Promise<void> {
    this.cut();
    this._http?.closeAllConnections();
    await new Promise(resolve => this._http?.close(resolve));
  }

  private _take(socket: Socket): void {
    this.connections += 1;
    this._sockets.add(socket);
    socket.on('close', () => this._sockets.delete(socket));
    socket.on('message', data => this._hear(String(data), line => socket.send(line)));
  }

  private _hear(frame: string, send: (line: string) => void): void {
    const command = JSON.parse(frame) as Command;
    this.frames.push(frame);
    this.heard.push(command);
    const say = (message: object) => send(this.write({ reply_to: command.id, ...message }));
    if (command.type === 'hello') {
      say(this.welcome(command.session ?? 'nb:one'));
    }
    this.answer(command, say);
  }

  welcome(session: string): Omit<Welcome, 'reply_to'> {
    const limits = {
      ...{ max_message_bytes: 4_000_000, max_frame_bytes: 16_000_000, commands_per_second: 50 },
      ...{ updates_per_second: 10, replay_max_events: 10_000 }
    };
    return {
      type: 'welcome',
      protocol: 1,
      epoch: this.epoch,
      server: 'phasenb/1',
      session,
      owner: 'ada',
      machine: null,
      agents: [],
      limits
    };
  }

  readonly urls: string[] = [];
  private _http: Server | null = null;
  private _sockets = new Set<Socket>();
  private _polled: { lines: string[]; wake: () => void } | null = null;
}

export const TASK_ID = '01KC0000000000000000000000';
/** Progress of its first phase, without a percent. */
export const UPDATE = {
  ...{ type: 'phase_update', task_id: TASK_ID, phase: 'research', attempt: 1 },
  ...{ message: null, eta_s: null, done: null, total: null, metrics: {} }
};
/** Lines of output of its first phase, from the first one. */
export const LOG = {
  ...{ type: 'phase_log', task_id: TASK_ID, phase: 'research', attempt: 1, first_line: 1, dropped: 0, lines: [] }
};

/** The answer to a subscription to `task`; `recovered`: its events follow, in the place of a snapshot. */
export function subscribed({ epoch }: FakeServer, command: Subscribe, task: TaskState, recovered = false): object {
  const told = { epoch, seq: task.seq, recovered, snapshot: recovered ? null : task };
  return { type: 'subscribed', task_id: command.task_id, ...told };
}

/** A running task in its first phase. */
export function snapshot(change: Partial<TaskState> = {}): TaskState {
  const phase = { maximum_attempts: null, ended_at: null, output_preview: null, fallback: null, set_aside: 0 };
  return {
    task_id: TASK_ID,
    session: 'nb:one',
    name: 'penguins',
    agent: 'workflow',
    state: 'running',
    phase: 'research',
    percent: 10,
    message: null,
    eta_s: null,
    done: null,
    total: null,
    bar: 0,
    line: null,
    phases: [
      {
        ...phase,
        name: 'research',
        status: 'running',
        attempt: 1,
        percent: 20,
        started_at: '2026-01-01T00:00:01.000000Z'
      },
      { ...phase, name: 'planning', status: 'pending', attempt: 0, percent: 0, started_at: null }
    ],
    seq: 2,
    created_at: '2026-01-01T00:00:00.000000Z',
    updated_at: '2026-01-01T00:00:01.000000Z',
    started_at: '2026-01-01T00:00:01.000000Z',
    ended_at: null,
    given_up: null,
    failures: null,
    inputs: {},
    labels: {},
    key: null,
    notebook: null,
    secrets: [],
    parent: null,
    code: null,
    retry_at: null,
    queue: null,
    approval: null,
    rolling_back: null,
    stopped: null,
    error: null,
    actions: ['cancel', 'pause'],
    by_host: 'host-1',
    recent: ['1 task_created', '2 phase_started'],
    ...change
  };
}

const PATIENCE_MS = 4000; // less than jest's, so that what was waited for is told

/** Resolves when `holds` does, looked at again after each turn of the loop. */
export async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > end) {
      throw new Error(`it never came: ${holds}`);
    }
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}
