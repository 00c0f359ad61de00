import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));
// Inside the workspace, so that the packages' names resolve as they do for a user.
const folder = join(root, "apps/cli/node_modules/.readme");

const readme = await readFile(join(root, "README.md"), "utf8");
const examples = [...readme.matchAll(/^`(@deplsr\/\w+)`:[^`]*(?:`[^`]*`[^`]*)*?```ts\n([\s\S]*?)```/gm)].map(
  ([, name, code]) => ({ name: name!, code: code! }),
);

beforeAll(() => mkdir(folder, { recursive: true }));
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the README's examples", () => {
  it("there is one for each library", () => {
    expect(examples.map(({ name }) => name.replace("@deplsr/", "")).sort()).toEqual(
      ["clip", "dat", "degradation", "metrics", "nn", "srclip", "tensor"].sort(),
    );
  });

  it.each(examples)("$name", async ({ name, code }) => {
    const file = join(folder, `${name.replace("@deplsr/", "")}.mts`);
    await writeFile(file, code);
    const { stdout } = await run(process.execPath, ["--import", "tsx", "--conditions", "@deplsr/source", file], {
      cwd: root,
    });
    const promised = [...code.matchAll(/^console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
    expect(stdout.trimEnd().split("\n")).toEqual(promised);
  });
});
