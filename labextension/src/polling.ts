// What the client uses of a WebSocket, over HTTP: for where a proxy lets no WebSocket through.
//
// Rules: frames are sent one after the other, as a later one may need an earlier one, and fetched as they come. Whatever
// fails ends the connection, but for a frame that is refused alone: its command is answered with that.

import { ServerError } from './errors';

/** POST to a path below `phasenb/api`. Rejects with ServerError or ConnectionLost. */
export type Post = (path: string, body?: string) => Promise<Response>;

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;
const ABNORMAL = 1006; // RFC 6455: it was closed without a word

export class PollingSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readyState = CONNECTING;

  constructor(private readonly _post: Post) {
    void this._run();
  }

  send(frame: string): void {
    this._sending = this._sending.then(() => this._send(frame));
  }

  close(): void {
    this.readyState = CLOSED;
  }

  private async _run(): Promise<void> {
    try {
      const opened = await (await this._post('connections')).json();
      this._path = `connections/${opened.connection}`;
      if (this.readyState === CONNECTING) {
        this.readyState = OPEN;
        this.onopen?.();
      }
      while (this.readyState === OPEN) {
        const text = await (await this._post(`${this._path}/receive`)).text();
        for (const line of text.split('\n')) {
          if (line !== '' && this.readyState === OPEN) {
            this.onmessage?.({ data: line });
          }
        }
      }
    } catch (error) {
      this._end(error);
    }
  }

  private async _send(frame: string): Promise<void> {
    if (this.readyState !== OPEN) {
      return;
    }
    try {
      await this._post(`${this._path}/send`, frame);
    } catch (error) {
      if (error instanceof ServerError && error.code === 'http_413') {
        const { code, message } = error;
        const refused = { type: 'error', reply_to: JSON.parse(frame).id, code, message, details: {} };
        this.onmessage?.({ data: JSON.stringify(refused) });
      } else {
        this._end(error);
      }
    }
  }

  private _end(error: unknown): void {
    if (this.readyState !== CLOSED) {
      this.readyState = CLOSED;
      const told = error instanceof ServerError ? error.details.close_code : undefined;
      this.onclose?.({ code: typeof told === 'number' ? told : ABNORMAL });
    }
  }

  private _path = '';
  private _sending: Promise<void> = Promise.resolve();
}
