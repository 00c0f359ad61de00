import type { DType, Shape, Tensor } from "../../src/index.ts";
import type { Shadow } from "./shadow.ts";

/** A number by which a program names a value: `v7` in listings. */
export type Id = number;

/**
 * What the result of an op is to a write: a value of its own, a view of another tensor (which refuses to be written), or something that
 * is left open. A shadow that returns one of its arguments itself says that the op does so too.
 */
export type Ownership = "own" | "view" | "open";

/** One op with its options chosen: on tensors, and on their shadows. */
export interface Call {
  readonly text: (...args: string[]) => string;
  readonly run: (...args: Tensor[]) => Tensor | readonly Tensor[];
  readonly shadow: (...args: Shadow[]) => Shadow | readonly Shadow[];
  readonly ownership: Ownership;
}

export interface CallAction {
  readonly kind: "call";
  readonly call: Call;
  readonly args: readonly Id[];
  readonly results: readonly Id[];
  readonly noGrad: boolean;
}

/** What must be refused: use of a disposed tensor, a write to a view, operands of two devices. */
export type Misuse =
  | "disposed"
  | "disposedRead"
  | "disposedTarget"
  | "disposedValue"
  | "view"
  | "device"
  | "deviceValue";

export type Action =
  | {
      readonly kind: "input";
      readonly id: Id;
      readonly shape: Shape;
      readonly dtype: DType;
      readonly data: Float64Array;
      readonly leaf: boolean;
    }
  | CallAction
  | {
      readonly kind: "checkpoint";
      readonly args: readonly Id[];
      readonly body: readonly CallAction[];
      readonly from: Id;
      readonly result: Id;
    }
  | { readonly kind: "assign"; readonly target: Id; readonly value: Id }
  | {
      readonly kind: "adam";
      readonly param: Id;
      readonly grad: Id;
      readonly expAvg: Id;
      readonly expAvgSq: Id;
      readonly step: number;
    }
  | { readonly kind: "dispose" | "forget" | "keep" | "read"; readonly id: Id }
  | {
      readonly kind: "scope";
      readonly body: readonly Action[];
      readonly returns: readonly Id[];
      readonly throws: boolean;
    }
  | {
      readonly kind: "backward";
      readonly loss: Id;
      readonly retain: boolean;
      /** Whose gradients are looked at, and what they are called from then on. */
      readonly gradients: readonly (readonly [of: Id, gradient: Id])[];
      readonly wrt: boolean;
    }
  | { readonly kind: "misuse"; readonly how: Misuse; readonly id: Id }
  /** Await what is being read; the device; a turn of the event loop; a garbage collection. */
  | { readonly kind: "settle" | "sync" | "turn" | "collect" };

/** Tasks that run side by side, each on its device (a number into a list). */
export interface Program {
  readonly seed: number;
  readonly tasks: readonly { readonly device: number; readonly actions: readonly Action[] }[];
}

/** Adam's numbers in programs; eps is large, so that a gradient near 0 does not decide about the sign of a step. */
export const ADAM = { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 0.1, weightDecay: 0.01, decoupled: true } as const;

/** Options as they stand in a listing. */
export function show(options: unknown): string {
  return JSON.stringify(options).replaceAll('"', "").replaceAll(",", ", ");
}

const name = (id: Id): string => `v${id}`;

function line(action: Action): string {
  switch (action.kind) {
    case "input": {
      const { dtype, shape, data, leaf } = action;
      const values = [...data.slice(0, 12)].map((x) => (Number.isInteger(x) ? x : Math.fround(x))).join(", ");
      const tensor = `tensor([${values}${data.length > 12 ? ", …" : ""}], [${shape.join(", ")}], ${dtype})`;
      return `${name(action.id)} = ${leaf ? `requireGrad(${tensor})` : tensor}`;
    }
    case "call": {
      const call = action.call.text(...action.args.map(name));
      return `${action.results.map(name).join(", ")} = ${action.noGrad ? `noGrad(() => ${call})` : call}`;
    }
    case "checkpoint":
      return `${name(action.result)} = checkpoint((${action.args.map(name).join(", ")}) => { ${action.body.map(line).join("; ")}; return ${name(action.from)} })`;
    case "assign":
      return `assign(${name(action.target)}, ${name(action.value)})`;
    case "adam":
      return `adamStep({ param: ${name(action.param)}, grad: ${name(action.grad)}, expAvg: ${name(action.expAvg)}, expAvgSq: ${name(action.expAvgSq)}, step: ${action.step} })`;
    case "read":
      return `reads.push(${name(action.id)}.data())`;
    case "scope":
      return `scope(() => {`;
    case "backward": {
      const options = show({
        ...(action.retain ? { retainGraph: true } : {}),
        ...(action.wrt ? { wrt: action.gradients.map(([of]) => name(of)) } : {}),
      });
      const gradients = action.gradients.map(([of, gradient]) => `${name(gradient)} of ${name(of)}`).join(", ");
      return `backward(${name(action.loss)}, ${options})${gradients ? ` -> ${gradients}` : ""}`;
    }
    case "misuse":
      return `must throw: ${action.how} ${name(action.id)}`;
    case "settle":
      return "await Promise.all(reads.splice(0))";
    case "sync":
      return "await device.sync()";
    case "turn":
      return "await setImmediate()";
    case "collect":
      return "gc()";
    default:
      return `${action.kind}(${name(action.id)})`;
  }
}

/** One line for each action. */
export function listing(actions: readonly Action[], indent = "  "): string[] {
  return actions.flatMap((action) => {
    const first = `${indent}${line(action)}`;
    if (action.kind !== "scope") return [first];
    const end = action.throws ? "throw on purpose" : `return [${action.returns.map(name).join(", ")}]`;
    return [first, ...listing(action.body, `${indent}  `), `${indent}  ${end}`, `${indent}})`];
  });
}

/** The whole program, for messages. */
export function describeProgram({ tasks }: Program): string {
  return tasks
    .map(({ device, actions }, i) => `task ${i} on device ${device}:\n${listing(actions).join("\n")}`)
    .join("\n");
}
