import type { View } from "../../src/backend.ts";
import type { WebGPUBackend } from "../../src/backends/webgpu/backend.ts";
import { type Kernel, kernel } from "../../src/backends/webgpu/kernel.ts";
import type { Tensor } from "../../src/index.ts";
import { filled } from "../../src/making.ts";

/** Kernels for tests alone: two that are right, and one for each way to fail. All work on 64 whole numbers. */

export const SIZE = 64;
export const MODULUS = 1009;

type Unary = Kernel<object, string, string>;

/** A kernel of one thread for each number that computes `y` from `a` and `b`. */
function perNumber(name: string, formula: string, rest: { a?: string; y?: string; inputs?: number } = {}): Unary {
  const inputs = Array.from({ length: rest.inputs ?? 2 }, (_, i) => [String.fromCharCode(97 + i), "u32"]);
  return kernel(name, () => ({
    inputs: Object.fromEntries(inputs),
    outputs: { y: rest.y ?? "u32" },
    uniforms: { salt: "u32" },
    workgroupSize: SIZE,
    source: `
@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) i: u32) { ${formula} }`,
  }));
}

const kernels = {
  mix: perNumber("mix", `y[i] = (a[i] * 3u + b[i] * 7u + u.salt) % ${MODULUS}u;`),
  inPlace: perNumber("in-place", `y[i] = (y[i] * 5u + a[i] + u.salt) % ${MODULUS}u;`, { inputs: 1 }),
  misspelt: perNumber("misspelt", "y[i] = a[i] + nothing;"),
  crowded: perNumber("crowded", "y[i] = a[i];", { inputs: 20 }),
  // An element of 16 KiB: that this is too much is only seen when it is bound to something smaller.
  greedy: perNumber("greedy", "y[0][i] = a[i] + b[i] + u.salt;", { y: "array<u32, 4096>" }),
};

function run(kernel: Unary, x: Tensor, operands: Record<string, View>, workgroups = 1): void {
  const { gpu } = x.device.backend as WebGPUBackend;
  kernel.run(gpu, { template: {}, operands, uniforms: { salt: 1 }, workgroups: [workgroups] });
}

const filledBy = (x: Tensor, label: string, fill: (y: View) => void): Tensor =>
  filled(x.device, [SIZE], "u32", label, fill);

/** `(3 a + 7 b + 1) mod 1009` */
export function mix(a: Tensor, b: Tensor, label = "mix"): Tensor {
  return filledBy(a, label, (y) => run(kernels.mix, a, { a: a.view(), b: b.view(), y }));
}

/** `y ← (5 y + a + 1) mod 1009` */
export function mixInPlace(y: Tensor, a: Tensor): void {
  run(kernels.inPlace, y, { a: a.view(), y: y.view() });
}

/** What gives a tensor that nobody can compute. */
export interface Failing {
  readonly name: string;
  /** What the error says of the kernel. */
  readonly says: RegExp;
  /** False where only the driver finds out. */
  readonly foreseen: boolean;
  run(a: Tensor, b: Tensor, label: string): Tensor;
}

export const failing: readonly Failing[] = [
  {
    name: "does not compile",
    says: /^kernel misspelt does not compile on .+: .*:\d+:\d+ error: unresolved value 'nothing'$/,
    foreseen: true,
    run: (a, b, label) => filledBy(a, label, (y) => run(kernels.misspelt, a, { a: a.view(), b: b.view(), y })),
  },
  {
    name: "has too many operands",
    says: /^kernel crowded does not compile on .+: .*21 operands/,
    foreseen: true,
    run: (a, b, label) =>
      filledBy(a, label, (y) => {
        const inputs = Array.from({ length: 20 }, (_, i) => [String.fromCharCode(97 + i), (i === 1 ? b : a).view()]);
        run(kernels.crowded, a, { ...Object.fromEntries(inputs), y });
      }),
  },
  {
    name: "is launched over too many workgroups",
    says: /^kernel mix is launched over 65536 x 1 x 1 workgroups, and .+ takes 65535 in each direction$/,
    foreseen: true,
    run: (a, b, label) => filledBy(a, label, (y) => run(kernels.mix, a, { a: a.view(), b: b.view(), y }, 65536)),
  },
  {
    name: "is launched over what is no number",
    says: /^kernel mix is launched over NaN x 1 x 1 workgroups/,
    foreseen: true,
    run: (a, b, label) => filledBy(a, label, (y) => run(kernels.mix, a, { a: a.view(), b: b.view(), y }, Number.NaN)),
  },
  {
    name: "reads what it writes",
    says: /^kernel mix has one buffer for b and y, of which it writes the latter$/,
    foreseen: true,
    run: (a, _, label) => filledBy(a, label, (y) => run(kernels.mix, a, { a: a.view(), b: y, y })),
  },
  {
    name: "has a buffer that is too small",
    says: /^kernel greedy is not valid on .+: .*16384/,
    foreseen: false,
    run: (a, b, label) => filledBy(a, label, (y) => run(kernels.greedy, a, { a: a.view(), b: b.view(), y })),
  },
];
