import { ANNOUNCER, PAUSE_MS } from '../src/announcer';
import { document } from './page';

describe('the live region', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => {
    jest.runAllTimers();
    jest.useRealTimers();
  });

  const spoken = () => document.querySelector('[aria-live=polite]')?.textContent;

  it('speaks at once, then at most once in 5 seconds, and says what is newest of each task', () => {
    ANNOUNCER.say('a', 'a: research');
    expect(spoken()).toBe('a: research');
    ANNOUNCER.say('a', 'a: planning');
    ANNOUNCER.say('b', 'b: failed');
    ANNOUNCER.say('a', 'a: completed');
    jest.advanceTimersByTime(PAUSE_MS - 1);
    expect(spoken()).toBe('a: research');
    jest.advanceTimersByTime(1);
    expect(spoken()).toBe('a: completed; b: failed');
    ANNOUNCER.say('c', 'c: paused');
    ANNOUNCER.say('d', 'd: paused');
    ANNOUNCER.forget('c');
    jest.advanceTimersByTime(PAUSE_MS);
    expect(spoken()).toBe('d: paused');
    expect(document.querySelectorAll('[aria-live=polite]').length).toBe(1);
  });
});
