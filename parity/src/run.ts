/** Runs the cases of fixtures on a device and reports them. */
import { type Device, detach, type StoredTensor, scope, type Tensor } from "@deplsr/tensor";
import { type Comparison, compareValues, type HostValues, largestMagnitude } from "./compare.ts";
import { counted } from "./counted.ts";
import { oneLine } from "./errors.ts";
import {
  type BrokenFixture,
  type Case,
  type Driver,
  expectedNames,
  type Fixture,
  type Outputs,
  stored,
} from "./fixture.ts";
import { formatNumber, formatRule, type Rule, ruleOf } from "./tolerance.ts";

/** The groups and their drivers, loaded when a fixture of theirs is met. A group without a driver fails. */
export const DRIVERS: Readonly<Record<string, () => Promise<{ readonly cases: Driver }>>> = {
  ops: () => import("./ops.ts"),
  optim: () => import("./optim.ts"),
  clip: () => import("./clip.ts"),
  srclip: () => import("./srclip.ts"),
  fusion: () => import("./fusion.ts"),
  dat: () => import("./dat.ts"),
  realdat: () => import("./realdat.ts"),
  degradation: () => import("./degradation.ts"),
  metrics: () => import("./metrics.ts"),
  metrics_learned: () => import("./metrics-learned.ts"),
  degradation2: () => import("./degradation2.ts"),
  checkpoints: () => import("./checkpoints.ts"),
};

/** The result of one case, or of a fixture that did not get as far as its cases. */
export interface Result {
  readonly path: string;
  readonly name: string;
  readonly pass: boolean;
  /** Largest absolute and relative error over the tensors of the case. */
  readonly absolute: number;
  readonly relative: number;
  /** The tensor nearest to its bound, or beyond it; absent when nothing was compared. */
  readonly worst?: { readonly tensor: string; readonly rule: Rule; readonly comparison: Comparison };
  /** How many tensors were compared. */
  readonly compared: number;
  /** What went wrong, when it did not pass. */
  readonly problem?: string;
}

/** Runs one fixture. Never rejects: what goes wrong is a result that did not pass. */
export async function* runFixture(fixture: Fixture | BrokenFixture, device: Device): AsyncGenerator<Result> {
  const { path } = fixture;
  if ("problem" in fixture) {
    yield failure(path, "", fixture.problem);
    return;
  }
  const missing = new Set(expectedNames(fixture));
  let broken = false;
  try {
    const load = Object.hasOwn(DRIVERS, fixture.group) ? DRIVERS[fixture.group] : undefined;
    if (!load) throw new Error(`the group "${fixture.group}" is not understood`);
    const { cases } = await load();
    const list = await cases(fixture, device);
    if (list.length === 0) throw new Error("there is nothing in it to run");
    for (const one of list) {
      const result = await runCase(fixture, one, missing);
      broken ||= !result.pass;
      yield result;
    }
  } catch (error) {
    broken = true;
    yield failure(path, "", oneLine(error));
  }
  // A case that failed has not answered its tensors either; that needs no second line.
  if (missing.size > 0 && !broken) {
    const names = [...missing];
    const problem = `${counted(names.length, "tensor")} not computed: ${names.slice(0, 4).join(", ")}${names.length > 4 ? ", ..." : ""}`;
    yield failure(path, "", problem);
  }
}

/** A result as a line: path, case, largest absolute and relative error, tolerance, pass or fail. */
export function formatResult(result: Result): string {
  const parts = [result.pass ? "pass" : "FAIL", result.name ? `${result.path} ${result.name}` : result.path];
  if (result.worst) {
    const { tensor, rule } = result.worst;
    const which = result.compared > 1 ? `${tensor}, nearest of ${result.compared}` : tensor;
    parts.push(`abs ${formatNumber(result.absolute)}`, `rel ${formatNumber(result.relative)}`);
    parts.push(`tolerance ${formatRule(rule)} (${which})`);
  } else if (result.pass) parts.push("as expected");
  if (result.problem) parts.push(result.problem);
  return parts.join("  ");
}

async function runCase(fixture: Fixture, one: Case, missing: Set<string>): Promise<Result> {
  const { path } = fixture;
  let outputs: Outputs = {};
  let worst: NonNullable<Result["worst"]> | undefined;
  let compared = 0;
  let absolute = 0;
  let relative = 0;
  try {
    outputs = scope(() => withoutGraph(one.run()));
    for (const [name, value] of Object.entries(outputs)) {
      const role = fixture.roles.get(name);
      if (role === undefined || role === "input") continue;
      missing.delete(name);
      const rule = ruleOf(name, role, fixture.tolerance);
      const comparison = compareValues(
        await onHost(value),
        stored(fixture, name),
        rule,
        largestGradient(fixture, name, rule),
      );
      compared++;
      absolute = Math.max(absolute, comparison.absolute);
      relative = Math.max(relative, comparison.relative);
      if (!worst || moreStrained(comparison, worst.comparison)) worst = { tensor: name, rule, comparison };
    }
  } catch (error) {
    return failure(path, one.name, oneLine(error));
  } finally {
    for (const value of new Set(Object.values(outputs))) if (isTensor(value)) value.dispose();
  }
  const { pass = true, problem } = worst?.comparison ?? {};
  return {
    path,
    name: one.name,
    pass,
    absolute,
    relative,
    compared,
    ...(worst && { worst }),
    ...(problem && { problem }),
  };
}

/** What leaves a scope carries no graph: a gradient has been taken by then, or is not wanted. */
function withoutGraph(outputs: Outputs): Outputs {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [name, isTensor(value) ? detach(value) : value]),
  );
}

function failure(path: string, name: string, problem: string): Result {
  return { path, name, pass: false, absolute: 0, relative: 0, compared: 0, problem };
}

/** A failure goes before a pass, however far a permitted share of the values strays. */
function moreStrained(a: Comparison, b: Comparison): boolean {
  return a.pass === b.pass ? a.strain > b.strain : !a.pass;
}

async function onHost(value: Tensor | HostValues): Promise<HostValues> {
  return isTensor(value) ? { shape: value.shape, data: await value.data() } : value;
}

function isTensor(value: Tensor | HostValues): value is Tensor {
  return "device" in value;
}

/** The rule's G: over all gradients of the file, or of the same case (the name up to the first dot). */
function largestGradient(fixture: Fixture, name: string, rule: Rule): number {
  if (!rule.floor) return 0;
  const caseOf = (tensor: string): string => tensor.split(".", 1)[0]!;
  let largest = 0;
  for (const [tensor, role] of fixture.roles) {
    if (role !== "gradient" || (rule.scope === "case" && caseOf(tensor) !== caseOf(name))) continue;
    largest = Math.max(largest, magnitude(stored(fixture, tensor)));
  }
  return largest;
}

const magnitudes = new WeakMap<StoredTensor, number>();

/** `largestMagnitude` of a stored tensor, computed once: G asks for all gradients of a file for each of them. */
function magnitude(tensor: StoredTensor): number {
  const known = magnitudes.get(tensor) ?? largestMagnitude(tensor.toFloat64());
  magnitudes.set(tensor, known);
  return known;
}
