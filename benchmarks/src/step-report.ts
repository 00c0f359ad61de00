/** Training steps that are looked into: where their time goes, and what memory they take. */
import { align, percent, round, short } from "./columns.ts";
import { PARTS, type StepProfile } from "./training-step.ts";

/** A training step of ours. */
export interface StepReport {
  readonly perSecond: number;
  /** Of a step in which the device is waited for after every part: they add up to 1. */
  readonly shares: Readonly<Record<(typeof PARTS)[number], number>>;
  /** Bytes of live tensors between steps, and the most that there were. */
  readonly liveBytes: number;
  readonly peakBytes: number;
}

/** @param ms of a whole step, in which nothing is waited for in between */
export function stepReport(ms: number, { parts, liveBytes, peakBytes }: StepProfile): StepReport {
  const all = PARTS.reduce((sum, part) => sum + parts[part], 0);
  return {
    perSecond: round(1000 / ms),
    // The keys are those of PARTS.
    shares: Object.fromEntries(PARTS.map((part) => [part, round(parts[part] / all)])) as StepReport["shares"],
    liveBytes,
    peakBytes,
  };
}

/** A table of the rows that have one; nothing where there is none. */
export function formatSteps(rows: readonly { readonly name: string; readonly step?: StepReport }[]): string[] {
  const found = rows.flatMap(({ name, step }) => (step ? [{ name, ...step }] : []));
  if (found.length === 0) return [];
  const columns = [
    ["step of ours", ...found.map(({ name }) => name)],
    ["step/s", ...found.map(({ perSecond }) => short(perSecond))],
    ...PARTS.map((part) => [part, ...found.map(({ shares }) => percent(shares[part]))]),
    ["live MB", ...found.map(({ liveBytes }) => short(liveBytes / 1e6))],
    ["peak MB", ...found.map(({ peakBytes }) => short(peakBytes / 1e6))],
  ];
  return ["", ...align(columns)];
}
