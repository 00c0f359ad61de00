/** Lays the command out as it is published, once for all tests. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { publish } from "./published.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The file by which the published command is started. */
    readonly launcher: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "deplsr-published-"));
  project.provide("launcher", await publish(folder));
  return () => rm(folder, { recursive: true, force: true });
}
