import { checkFunction, checkTensor, wrongArgument } from "../arguments.ts";
import { capturing } from "../capturing.ts";
import { DTypeError, describe, refuseAsync, ShapeError } from "../errors.ts";
import { filled } from "../making.ts";
import { checkShape, numel, type Shape } from "../shape.ts";
import { naming, type Tensor } from "../tensor.ts";

/** What JavaScript makes of the numbers of a tensor. A device takes one of the two. */
export interface HostWork {
  /** Of a device that computes in the calling thread, as the CPU backend does: the numbers at once, if need be after standing still for them. */
  readonly now: (values: Float32Array) => Float32Array;
  /** Of one that runs a list of launches later: what is recorded behind waits for the promise, the calling thread does not. */
  readonly later: (values: Float32Array) => Promise<Float32Array>;
}

/**
 * Numbers that JavaScript makes of those of `x`, at this place among the launches: `x (…)` → `shape`, f32, neither of them empty. Recording goes on at once, on
 * WebGPU too, where what depends on an error of `work` fails with it in one line, and everything else goes on; on the CPU it is thrown here. The result has no
 * graph, and a function that is captured cannot have such a call, since JavaScript is not run again there.
 *
 * @throws ShapeError for empty tensors, and where `work` gives another number of values; DTypeError unless x is f32; Error inside of `Device.capture`
 */
export function hostCall(x: Tensor, shape: Shape, work: HostWork): Tensor {
  checkTensor("hostCall", "x", x);
  checkShape("hostCall", shape);
  if (typeof work !== "object" || work === null)
    throw wrongArgument("hostCall", "work", "an object of now, later", work);
  checkFunction("hostCall", "work.now", work.now);
  checkFunction("hostCall", "work.later", work.later);
  if (x.dtype !== "f32") throw new DTypeError(`hostCall: takes f32, got x ${describe(x)}`);
  const size = numel(shape);
  if (x.size === 0 || size === 0)
    throw new ShapeError(`hostCall: x ${describe(x)} or the result [${shape.join(", ")}] is empty`);
  if (capturing.watcher) {
    throw new Error(
      `capture: \`${naming.op ?? "hostCall"}\` has JavaScript look at numbers, which is not run again in a later call: leave it out, or do not capture`,
    );
  }
  const fitting = (values: Float32Array): Float32Array => {
    if (values instanceof Float32Array && values.length === size) return values;
    const got = values instanceof Float32Array ? `${values.length} values` : "no Float32Array";
    throw new ShapeError(`hostCall: work gives ${got} for ${describe({ dtype: "f32", shape })} (${size})`);
  };
  const { backend } = x.device;
  const input = x.dense("hostCall");
  return filled(x.device, shape, "f32", naming.op ?? "hostCall", (out) => {
    if (backend.hostCall) {
      backend.hostCall({ input, out, work: async (values) => fitting(await work.later(values)) });
      return;
    }
    const bytes = backend.downloadNow!(input.storage, 0, 4 * x.size);
    const { buffer, byteOffset, byteLength } = fitting(refuseAsync("hostCall", work.now(new Float32Array(bytes))));
    backend.upload(out.storage, new Uint8Array(buffer, byteOffset, byteLength));
  });
}
