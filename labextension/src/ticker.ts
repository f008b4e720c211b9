// One second hand for all views: times that go on are shown in whole seconds, and only on a page that is seen.

const SECOND_MS = 1000;

export class Ticker {
  add(tick: () => void): void {
    this._ticks.add(tick);
    this._timer ??= setInterval(() => this._tick(), SECOND_MS);
  }

  remove(tick: () => void): void {
    this._ticks.delete(tick);
    if (this._ticks.size === 0) {
      clearInterval(this._timer);
      this._timer = undefined;
    }
  }

  private _tick(): void {
    if (document.visibilityState === 'visible') {
      for (const tick of this._ticks) {
        tick();
      }
    }
  }

  private _ticks = new Set<() => void>();
  private _timer: ReturnType<typeof setInterval> | undefined;
}

export const TICKER = new Ticker();
