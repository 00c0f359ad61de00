import type { Job } from "./harness.ts";
import { UsageError } from "./options.ts";
import type { Row } from "./row.ts";

/** A job's name in the table. */
export function jobName({ row, cold }: Job): string {
  return cold ? `first ${row.name} (cold)` : row.name;
}

/** What to measure: every row warm and some cold too, or every row cold. @throws UsageError when no name matches. */
export function planJobs(
  rows: readonly Row[],
  options: { readonly only: readonly string[]; readonly cold: boolean },
): Job[] {
  const jobs = rows.flatMap((row): Job[] => {
    if (options.cold) return [{ row, cold: true }];
    return row.alsoCold
      ? [
          { row, cold: false },
          { row, cold: true },
        ]
      : [{ row, cold: false }];
  });
  const wanted = options.only.map((part) => part.toLowerCase());
  const matches = (job: Job, part: string): boolean => jobName(job).toLowerCase().includes(part);
  for (const part of wanted) {
    if (jobs.some((job) => matches(job, part))) continue;
    throw new UsageError(`--only: no row's name contains "${part}"; there are ${jobs.map(jobName).join(", ")}`);
  }
  return wanted.length === 0 ? jobs : jobs.filter((job) => wanted.some((part) => matches(job, part)));
}
