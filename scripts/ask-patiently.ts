/**
 * Dawn's binding asks for news once per turn of Node's event loop for as long as something is pending: half of all that tests compute where
 * the adapter is software, and has the same cores. With this it asks a few times at once, and then every millisecond.
 */

/** Times that news are asked for at once: reads and launches are mostly over by then, kernels that are compiled are not. */
const AT_ONCE = 20;
const NATIVE = /\{\s*\[native code\]\s*\}$/;
const immediately = globalThis.setImmediate;
let asks = 0;
let asking = false;

function setImmediate(callback: (...args: unknown[]) => void, ...args: unknown[]): NodeJS.Immediate | NodeJS.Timeout {
  if (!NATIVE.test(Function.prototype.toString.call(callback))) return immediately(callback, ...args);
  // Asked for while asking: it still waits for the same.
  asks = asking ? asks + 1 : 0;
  const ask = (): void => {
    asking = true;
    try {
      callback(...args);
    } finally {
      asking = false;
    }
  };
  return asks < AT_ONCE ? immediately(ask) : setTimeout(ask, 1);
}

// Once, though it is set up for every file of tests. The cast: what `util.promisify` finds on the original comes along.
if (!("patient" in immediately)) {
  globalThis.setImmediate = Object.assign(setImmediate, immediately, {
    patient: true,
  }) as unknown as typeof immediately;
}
