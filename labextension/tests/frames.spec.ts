import { calmFrames } from '../src/frames';

describe('the frames of the page', () => {
  it('come at once after a pause, and else once an interval', () => {
    jest.useFakeTimers();
    const painted: number[] = [];
    const started = Date.now();
    const request = calmFrames(
      100,
      paint => paint(),
      () => Date.now()
    );
    const ask = () => request(() => painted.push(Date.now() - started));
    ask();
    jest.advanceTimersByTime(30);
    ask();
    jest.advanceTimersByTime(500);
    ask();
    expect(painted).toEqual([0, 100, 530]);
    jest.useRealTimers();
  });
});
