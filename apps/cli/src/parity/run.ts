/** Runs the cases of fixtures on a device and reports them. */
import { type Device, scope, type Tensor } from "@deplsr/tensor";
import { oneLine } from "../errors.ts";
import { type Comparison, compareValues, type HostValues, largestMagnitude } from "./compare.ts";
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
};

/** The result of one case, or of a fixture that did not get as far as its cases. */
export interface Result {
  readonly path: string;
  readonly name: string;
  readonly pass: boolean;
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
    yield { path, name: "", pass: false, compared: 0, problem: fixture.problem };
    return;
  }
  const missing = new Set(expectedNames(fixture));
  let broken = false;
  try {
    const load = Object.hasOwn(DRIVERS, fixture.group) ? DRIVERS[fixture.group] : undefined;
    if (!load) throw new Error(`the group "${fixture.group}" is not understood`);
    const { cases } = await load();
    for (const one of await cases(fixture, device)) {
      const result = await runCase(fixture, one, missing);
      broken ||= !result.pass;
      yield result;
    }
  } catch (error) {
    broken = true;
    yield { path, name: "", pass: false, compared: 0, problem: oneLine(error) };
  }
  // A case that failed has not answered its tensors either; that needs no second line.
  if (missing.size > 0 && !broken) {
    const names = [...missing];
    const problem = `${names.length} tensors were not computed: ${names.slice(0, 4).join(", ")}${names.length > 4 ? ", ..." : ""}`;
    yield { path, name: "", pass: false, compared: 0, problem };
  }
}

/** A result as a line: path, case, largest absolute and relative error, tolerance, pass or fail. */
export function formatResult(result: Result): string {
  const parts = [result.pass ? "pass" : "FAIL", result.name ? `${result.path} ${result.name}` : result.path];
  if (result.worst) {
    const { tensor, rule, comparison } = result.worst;
    parts.push(
      `abs ${formatNumber(comparison.absolute)}`,
      `rel ${formatNumber(comparison.relative)}`,
      `(${tensor}, worst of ${result.compared})`,
      `tolerance ${formatRule(rule)}`,
    );
  } else if (result.pass) parts.push("as expected");
  if (result.problem) parts.push(result.problem);
  return parts.join("  ");
}

async function runCase(fixture: Fixture, one: Case, missing: Set<string>): Promise<Result> {
  const { path } = fixture;
  let outputs: Outputs = {};
  let worst: NonNullable<Result["worst"]> | undefined;
  let compared = 0;
  try {
    outputs = scope(one.run);
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
      if (!worst || moreStrained(comparison, worst.comparison)) worst = { tensor: name, rule, comparison };
    }
  } catch (error) {
    return { path, name: one.name, pass: false, compared, problem: oneLine(error) };
  } finally {
    for (const value of new Set(Object.values(outputs))) if (isTensor(value)) value.dispose();
  }
  const { pass = true, problem } = worst?.comparison ?? {};
  return { path, name: one.name, pass, compared, ...(worst && { worst }), ...(problem && { problem }) };
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
    largest = Math.max(largest, largestMagnitude(stored(fixture, tensor).toFloat64()));
  }
  return largest;
}
