// When the page is painted: in the next frame, but not in every frame.
//
// Rule: what comes first is painted at once; what follows waits until the interval is over, so that fifty tasks which
// get on at different moments cost one layout of the page and not fifty.

export const INTERVAL_MS = 100;

/** A TaskStore's frame: at most one painting an interval. */
export function calmFrames(
  interval = INTERVAL_MS,
  frame: (paint: () => void) => unknown = paint => requestAnimationFrame(paint),
  now: () => number = () => performance.now()
): (paint: () => void) => void {
  let next = 0;
  return paint => {
    const inFrame = () =>
      frame(() => {
        next = now() + interval;
        paint();
      });
    const wait = next - now();
    if (wait > 0) {
      setTimeout(inFrame, wait);
    } else {
      inFrame();
    }
  };
}
