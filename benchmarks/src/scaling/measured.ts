/** What the model says of a reduction on the machine where sums were measured. */
import { bucketsOf, fitLine } from "./model.ts";

/** Seconds of reducing bytes in buckets, by the latency and the rate of sums of other sizes. */
export function predictedSum(
  sums: readonly { readonly bytes: number; readonly seconds: number }[],
  bytes: number,
  bucket: number,
): number {
  const { latency, rate } = fitLine(sums);
  return bucketsOf(bytes, bucket).reduce((seconds, size) => seconds + latency + size / rate, 0);
}
