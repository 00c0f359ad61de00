import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** A checkout of this repository that can be measured. */
export interface Checkout {
  /** What the process of its `ours` runs. */
  readonly script: URL;
  /** Short hash, with `+` when files differ from it; "unknown" outside a repository. */
  readonly commit: string;
}

/** The folder of this checkout. */
const HERE = fileURLToPath(new URL("../../", import.meta.url));

/** Finds the benchmarks of another checkout. @throws Error that says in one line what is missing there */
export function openCheckout(path: string): Checkout {
  const folder = resolve(path);
  const script = join(folder, "benchmarks/src/child.ts");
  if (!existsSync(script))
    throw new Error(`${path} is no checkout of this repository: it has no benchmarks/src/child.ts`);
  const engine = join(folder, "node_modules/@deplsr/tensor");
  if (!existsSync(engine)) throw new Error(`${path} has nothing installed: run npm ci there`);
  // With another checkout's node_modules it would run that one's packages, and the numbers would be those of something else.
  if (realpathSync(engine) !== realpathSync(join(folder, "packages/tensor"))) {
    throw new Error(
      `${path} has the node_modules of another checkout, so its packages would not be its own: run npm ci there`,
    );
  }
  return { script: pathToFileURL(script), commit: commitOf(folder) };
}

/** The commit that a folder is at. */
export function commitOf(folder: string = HERE): string {
  const git = (...args: string[]): string => {
    const { status, stdout } = spawnSync("git", args, { cwd: folder });
    return status === 0 ? stdout.toString().trim() : "";
  };
  const hash = git("rev-parse", "--short", "HEAD");
  if (!hash) return "unknown";
  return git("status", "--porcelain", "--untracked-files=no") ? `${hash}+` : hash;
}
