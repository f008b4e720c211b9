// One WebSocket to the server's tasks: commands with their answers, and what the server tells unasked.
//
// Rules: it connects when it is first asked for something; a connection that was lost comes back by itself, later and
// later, and each time at a random moment, so that a server that comes up again is not overrun; where trying again is of
// no use (no extension, no permission, another protocol) it says so and waits to be asked. A command is answered, or
// refused with what is wrong: never sent twice, never silently dropped.

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { type ISignal, Signal } from '@lumino/signaling';
import { ConnectionLost, inTrouble, ServerError } from './errors';
import { noteGates, spliced } from './exact';
import { PollingSocket } from './polling';
import {
  type Command,
  EVENT_TYPES,
  type Feed,
  type LiveMessage,
  PROTOCOL,
  type Reply,
  type TaskEvent,
  type Welcome
} from './protocol';

/** How things stand with the server.
 *
 * `connected`, `blocked`: by HTTP, as the socket is blocked on its way. `absent`: it has no phasenb; `forbidden`: this
 * user may not; `expired`: it does not know this page's user any more; `outdated`: it speaks another version of the
 * protocol; `trouble`: it answers, and says why it can't serve tasks; `gateway`: a proxy answers in its place. `idle`:
 * nobody has asked for anything yet. A kernel that tells of a task (widget.ts) can be `busy`: it does what it is asked
 * later; and `silent`.
 */
export type Connection =
  | { kind: 'idle' | 'connecting' | 'reconnecting' | 'absent' | 'forbidden' | 'expired' | 'outdated' }
  | { kind: 'connected'; blocked?: boolean }
  | { kind: 'busy' | 'silent' }
  | { kind: 'gateway'; status: number }
  | { kind: 'trouble'; message: string };

/** A command without its `id`, which is the client's. */
export type Request = Command extends infer C ? (C extends Command ? Omit<C, 'id'> : never) : never;
export type Told = TaskEvent | LiveMessage;

/** Seconds; tests have shorter ones. */
export interface Timing {
  firstDelay: number;
  longestDelay: number;
  /** Of silence, before the server is asked whether it is still there. */
  silence: number;
  /** Until an answer to that counts as none. */
  patience: number;
}

export const TIMING: Timing = { firstDelay: 0.5, longestDelay: 15, silence: 30, patience: 10 };

/** The session of what is launched from this page. */
export const SESSION = 'jupyterlab';

const CLOSED_FOR = { outdated: 4002, forbidden: 4003 } as const;
const FORBIDDEN: ReadonlySet<string> = new Set(['forbidden', 'http_401', 'http_403']);
/** So many sockets that a server refused, although it answers, are no server that was just starting. */
const BLOCKED = 2;
const GATEWAYS: ReadonlySet<string> = new Set(['http_502', 'http_503', 'http_504']);
const OPEN = 1; // WebSocket.OPEN, which a settings' own WebSocket class need not have

const EVENTS: ReadonlySet<string> = new Set([...EVENT_TYPES, 'phase_update', 'phase_log']);

/** Fields whose JSON is sent as it stands, since JavaScript can't hold each value of it. */
export type Given = { [field: string]: string };

interface Pending {
  request: Request;
  given: Given;
  take: (reply: Reply) => void;
  resolve: () => void;
  reject: (error: Error) => void;
}

export namespace Client {
  export interface IOptions {
    settings?: ServerConnection.ISettings;
    /** The name space of what is launched here. */
    session?: string;
    timing?: Timing;
    /** 0..1, for the jitter. */
    random?: () => number;
  }
}

export class Client {
  readonly settings: ServerConnection.ISettings;

  constructor(options: Client.IOptions = {}) {
    this.settings = options.settings ?? ServerConnection.makeSettings();
    this._session = options.session ?? SESSION;
    this._timing = options.timing ?? TIMING;
    this._random = options.random ?? Math.random;
  }

  /** How things stand; `connectionChanged` tells when they change. */
  get connection(): Connection {
    return this._connection;
  }

  get connectionChanged(): ISignal<this, Connection> {
    return this._connectionChanged;
  }

  /** Emitted on each new connection, before anything else is heard on it: subscriptions are made anew. */
  get opened(): ISignal<this, Welcome> {
    return this._opened;
  }

  /** Events and live messages, in the order in which the server sent them. */
  get told(): ISignal<this, Told> {
    return this._told;
  }

  /** What the server said of itself; null before the first connection. */
  get welcome(): Welcome | null {
    return this._welcome;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._drop(false);
      Signal.clearData(this);
    }
  }

  /** Connect, if nothing is under way. After `absent`, `forbidden`, `expired` or `outdated`: try once more. */
  connect(): void {
    if (!this._isDisposed && this._socket === null && this._probing === null) {
      this._open();
    }
  }

  /** Milliseconds until it is tried again after `tries` times: twice as late each time, at a random moment of the second
   * half of that time.
   */
  delay(tries: number): number {
    const longest = Math.min(this._timing.firstDelay * 2 ** tries, this._timing.longestDelay);
    return longest * (0.5 + this._random() / 2) * 1000;
  }

  /** Send a command; `take` is called with each of its answers before anything that the server says after them.
   *
   * Resolves with the last answer (a feed has several). Rejects with ServerError or ConnectionLost, and with SyntaxError
   * where what is `given` is not JSON.
   */
  request<R extends Reply = Reply>(request: Request, take?: (reply: R) => void, given: Given = {}): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this._connection.kind !== 'connected') {
        this.connect();
        reject(new ConnectionLost(false));
        return;
      }
      let last: R;
      this._send({
        request,
        given,
        take: reply => {
          last = reply as R;
          take?.(last);
        },
        resolve: () => resolve(last),
        reject
      });
    });
  }

  /** A body of the HTTP interface: `path` is below `phasenb/api`. Rejects with ServerError or ConnectionLost. */
  get(path: string): Promise<Response> {
    return this._http(path, {});
  }

  private async _http(path: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(this._url('phasenb/api', path), init, this.settings);
    } catch {
      throw new ConnectionLost(false);
    }
    if (!response.ok) {
      const said = await response.json().catch(() => ({}));
      throw new ServerError(said.code ?? `http_${response.status}`, said.message ?? response.statusText, said.details);
    }
    return response;
  }

  // --- the socket ------------------------------------------------------------------------------------------------

  private _open(): void {
    clearTimeout(this._retry);
    this._become({ kind: this._tries > 0 ? 'reconnecting' : 'connecting' });
    const blocked = this._unopened >= BLOCKED;
    const socket = blocked
      ? new PollingSocket((path, body) => this._http(path, { method: 'POST', body }))
      : this._made();
    this._socket = socket;
    let greeted = false;
    socket.onopen = () => {
      greeted = true;
      this._greet(blocked);
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (this._socket === socket) {
        this._take(String(event.data));
      }
    };
    socket.onclose = (event: { code: number }) => {
      if (this._socket === socket) {
        this._drop(true);
        this._closed(greeted, event.code);
      }
    };
  }

  private _made(): WebSocket {
    const { wsUrl, token, appendToken, WebSocket } = this.settings;
    const query = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    return new WebSocket(`${URLExt.join(wsUrl, 'phasenb/ws')}${query}`);
  }

  private _greet(blocked: boolean): void {
    this._listen();
    const hello: Request = { type: 'hello', protocol: PROTOCOL, session: this._session, client: 'phasenb-jupyterlab' };
    this._send({
      request: hello,
      given: {},
      take: reply => {
        this._tries = this._unopened = 0;
        this._welcome = reply as Welcome;
        this._become(blocked ? { kind: 'connected', blocked } : { kind: 'connected' });
        this._opened.emit(this._welcome);
      },
      resolve: () => undefined,
      reject: error => {
        if (error instanceof ServerError) {
          this._drop(true);
          this._refused(error, false); // who it is was known: the handshake came through
        }
      }
    });
  }

  /** Forget the socket; what waits for an answer hears that none will come. */
  private _drop(tell: boolean): void {
    clearTimeout(this._retry);
    clearTimeout(this._silence);
    const socket = this._socket;
    this._socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const waiting = [...this._pending.values()];
    this._pending.clear();
    if (tell) {
      for (const pending of waiting) {
        pending.reject(new ConnectionLost(true));
      }
    }
  }

  private _closed(greeted: boolean, code: number): void {
    if (code === CLOSED_FOR.outdated) {
      this._become({ kind: 'outdated' });
    } else if (code === CLOSED_FOR.forbidden) {
      this._become({ kind: 'forbidden' });
    } else if (greeted && code < 4000) {
      this._again();
    } else {
      // A browser tells nothing about a refused handshake: ask by HTTP what is wrong.
      this._probing = this._probe().finally(() => {
        this._probing = null;
      });
    }
  }

  private async _probe(): Promise<void> {
    let refusal: unknown = null;
    try {
      await this.get('health');
    } catch (error) {
      refusal = error;
    }
    if (this._isDisposed) {
      return;
    }
    if (refusal instanceof ServerError) {
      this._refused(refusal, this._welcome !== null);
    } else {
      this._unopened = refusal === null ? this._unopened + 1 : 0;
      this._again();
    }
  }

  /** `worked`: before. A login has its time, and a hub that is started again forgets those of its pages. Where it is the
   * permission that was taken away, the page says so after the reload.
   */
  private _refused(error: ServerError, worked: boolean): void {
    if (FORBIDDEN.has(error.code)) {
      this._become({ kind: worked ? 'expired' : 'forbidden' });
    } else if (error.code === 'unsupported_protocol') {
      this._become({ kind: 'outdated' });
    } else if (inTrouble(error)) {
      this._again({ kind: 'trouble', message: error.message });
    } else if (error.code === 'not_found' || error.code === 'http_404') {
      this._become({ kind: 'absent' });
    } else if (GATEWAYS.has(error.code)) {
      this._again({ kind: 'gateway', status: Number(error.code.replace('http_', '')) });
    } else {
      this._again();
    }
  }

  private _again(meanwhile: Connection = { kind: 'reconnecting' }): void {
    this._become(meanwhile);
    this._retry = setTimeout(() => this._open(), this.delay(this._tries));
    this._tries += 1;
  }

  /** A connection that died without a word looks open: after a silence, ask. */
  private _listen(): void {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => {
      this.request({ type: 'ping' }).catch(() => undefined); // a refusal is an answer too
      this._silence = setTimeout(() => {
        this._drop(true);
        this._again();
      }, this._timing.patience * 1000);
    }, this._timing.silence * 1000);
  }

  // --- messages --------------------------------------------------------------------------------------------------

  private _send(pending: Pending): void {
    if (this._socket === null || this._socket.readyState !== OPEN) {
      pending.reject(new ConnectionLost(false));
      return;
    }
    const id = String(++this._ids);
    const frame = spliced({ ...pending.request, id }, pending.given);
    this._pending.set(id, pending);
    this._socket.send(frame);
  }

  private _take(text: string): void {
    this._listen();
    const message = JSON.parse(text);
    noteGates(message, text);
    if (message.type === 'error') {
      this._takeError(message);
    } else if (typeof message.reply_to === 'string') {
      const pending = this._pending.get(message.reply_to);
      if (pending !== undefined) {
        const more = message.type === 'feed' && (message as Feed).next !== null;
        if (!more) {
          this._pending.delete(message.reply_to);
        }
        pending.take(message);
        if (!more) {
          pending.resolve();
        }
      }
    } else if (EVENTS.has(message.type) || typeof message.seq === 'number') {
      this._told.emit(message);
    }
  }

  private _takeError(message: Extract<Reply, { type: 'error' }>): void {
    const pending = this._pending.get(message.reply_to ?? '');
    if (pending === undefined) {
      console.warn(`phasenb: ${message.code}: ${message.message}`);
      return;
    }
    this._pending.delete(message.reply_to ?? '');
    if (message.code === 'rate_limited') {
      // Many views opened at once: it was not done, so asking again is no repetition.
      const wait = Number(message.details.retry_after_s ?? 1) * (1 + this._random());
      const socket = this._socket;
      setTimeout(() => {
        if (this._socket === socket) {
          this._send(pending);
        } else {
          pending.reject(new ConnectionLost(false)); // on another connection it may not be asked before its hello
        }
      }, wait * 1000);
    } else {
      pending.reject(new ServerError(message.code, message.message, message.details));
    }
  }

  private _become(connection: Connection): void {
    const before = JSON.stringify(this._connection);
    this._connection = connection;
    if (!this._isDisposed && JSON.stringify(connection) !== before) {
      this._connectionChanged.emit(connection);
    }
  }

  private _url(...parts: string[]): string {
    return URLExt.join(this.settings.baseUrl, ...parts);
  }

  private _connection: Connection = { kind: 'idle' };
  private _connectionChanged = new Signal<this, Connection>(this);
  private _opened = new Signal<this, Welcome>(this);
  private _told = new Signal<this, Told>(this);
  private _welcome: Welcome | null = null;
  private _pending = new Map<string, Pending>();
  private _socket: WebSocket | PollingSocket | null = null;
  private _probing: Promise<void> | null = null;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _silence: ReturnType<typeof setTimeout> | undefined;
  private _ids = 0;
  private _tries = 0;
  private _unopened = 0; // sockets in a row that did not open although the server answers
  private _isDisposed = false;
  private _session: string;
  private _timing: Timing;
  private _random: () => number;
}
