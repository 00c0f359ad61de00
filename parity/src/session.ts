/** Comparing a whole folder. Runs in Node and in a page. */
import { Device, type DeviceOptions } from "@deplsr/tensor";
import { type Folder, loadFixtures } from "./folder.ts";
import { formatResult, runFixture } from "./run.ts";

/** What is compared, and on which device. Travels to a page as JSON. */
export interface Selection extends Pick<DeviceOptions, "backend" | "adapter"> {
  /** Only these groups; all where absent. */
  readonly groups?: readonly string[];
}

/**
 * Prints a line that says on which adapter, a line per case, and the counts.
 *
 * @returns the exit code: 1 when anything failed. Throws a `UserError` where there is nothing to run.
 */
export async function compareFolder(
  folder: Folder,
  { groups, ...options }: Selection,
  print: (line: string) => void | Promise<void>,
): Promise<number> {
  const unseen = new Set(groups);
  const fixtures = loadFixtures(folder);
  // Before a device is asked for: a wrong folder needs none to be told.
  let next = await fixtures.next();
  const device = await Device.request(options);
  const counts = { passed: 0, failed: 0 };
  try {
    await print(`${device.info.backend} on ${device.info.adapter} (${device.info.kind}; ${device.info.reason})`);
    for (; !next.done; next = await fixtures.next()) {
      const fixture = next.value;
      // A broken file whose group nobody can tell belongs to every selection.
      if (groups && fixture.group !== null && !groups.includes(fixture.group)) continue;
      if (fixture.group !== null) unseen.delete(fixture.group);
      for await (const result of runFixture(fixture, device)) {
        counts[result.pass ? "passed" : "failed"]++;
        await print(formatResult(result));
      }
    }
  } finally {
    device.destroy();
  }
  for (const group of unseen) {
    counts.failed++;
    await print(`FAIL  ${folder.name} holds no fixture of the group "${group}"`);
  }
  await print(`${counts.passed} passed, ${counts.failed} failed`);
  return counts.failed > 0 ? 1 : 0;
}
