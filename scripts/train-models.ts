/**
 * Trains the models in the box, one after the other: a small SRCLIP, a DAT x2, RealDAT x2 from both, RealDAT x4 from that one. What is done is
 * left alone, what was interrupted goes on: started again after any end, it comes to the same bytes.
 *
 *     npm run train-models -- [FOLDER] [--dry-run] [--only STAGE]       default: runs/models, all stages
 *
 * It stands still while a benchmark or `.ci/run` asks for a quiet machine (`benchmarks/src/quiet.ts`), but on Windows.
 *
 * Everything that is made stands in FOLDER, the models themselves in FOLDER/weights; `scripts/models/*.yml` says how, with paths that count
 * from there. A FOLDER that does not exist begins with what packages/models/state holds of a training that is not done.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { constants } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isQuietAsked } from "../benchmarks/src/quiet.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const recipe = (name: string): string => join(root, "scripts/models", `${name}.yml`);

/** A command of a stage, and a file of FOLDER that it ends with; without one it looks itself what there is to do. */
interface Step {
  readonly words: readonly string[];
  readonly done?: string;
}

const IS_POSIX = process.platform !== "win32";
const deplsr = (...words: string[]): readonly string[] => [join(root, "apps/cli/bin/deplsr.js"), ...words];
const squares = (split: string, count: number): Step => ({
  words: deplsr(
    ...["degrade", `photographs/${split}.tsv`, "--config", recipe("squares"), "--fit", "crop"],
    ...["--count", String(count), "--out", `squares/${split}`],
  ),
  done: `squares/${split}/degraded.tsv`,
});
const pairs = (scale: number): Step => ({
  words: deplsr(
    ...["degrade", "photographs/val.tsv", "--pipeline", "second-order", "--config", recipe("pairs")],
    ...["--scale", String(scale), "--fit", "crop", "--size", "192", "--count", "4", "--out", `pairs-x${scale}`],
  ),
});
const training = (kind: "srclip" | "sr", name: string, done?: string): Step => ({
  words: deplsr("train", kind, "--config", recipe(name), "--out", name, "--resume"),
  ...(done === undefined ? {} : { done }),
});
/** Runs a script of this folder. */
const script = (name: string, ...words: string[]): readonly string[] => [
  ...["--conditions", "@deplsr/source", "--import", import.meta.resolve("tsx"), join(root, "scripts", name)],
  ...words,
];
const exported = (...names: string[]): Step => ({
  words: script("export-models.ts", ".", "--out", "weights", ...names.flatMap((name) => ["--only", name])),
});

const STAGES: Readonly<Record<string, readonly Step[]>> = {
  data: [
    {
      words: script("install-photographs.ts", "photographs"),
      done: "photographs/val.tsv",
    },
    squares("train", 400),
    {
      words: script("round-levels.ts", "squares/train/degraded.tsv", "squares/train/rounded.tsv"),
      done: "squares/train/rounded.tsv",
    },
    squares("val", 100),
  ],
  srclip: [
    training("srclip", "srclip", "weights/srclip.safetensors"),
    { ...exported("srclip"), done: "weights/srclip.safetensors" },
  ],
  "dat-x2": [pairs(2), training("sr", "dat-x2", "realdat-x2/config.yml")],
  "realdat-x2": [training("sr", "realdat-x2"), exported("realdat-x2")],
  "realdat-x4": [pairs(4), training("sr", "realdat-x4"), exported("realdat-x4")],
};

const { values, positionals } = parseArgs({
  options: { "dry-run": { type: "boolean", default: false }, only: { type: "string" } },
  allowPositionals: true,
});
const folder = resolve(positionals[0] ?? join(root, "runs/models"));
const wanted = values.only === undefined ? Object.keys(STAGES) : [values.only];
let child: ChildProcess | undefined;
let stopped: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  // The training saves and ends by itself; nothing follows it.
  process.on(signal, () => {
    stopped = signal;
    tell("SIGCONT");
    tell(signal);
  });
}

// Whatever ends this, nothing is left standing still.
process.on("exit", () => {
  tell("SIGCONT");
  tell("SIGTERM");
});

for (const stage of wanted) {
  const steps = STAGES[stage];
  if (!steps) fail(`there is no stage ${JSON.stringify(stage)}: one of ${Object.keys(STAGES).join(", ")}`, 2);
  for (const { words, done } of steps) {
    const isDone = done !== undefined && existsSync(join(folder, done));
    console.log(`${stage}: ${isDone ? "is there: " : ""}node ${words.join(" ")}`);
    if (isDone || values["dry-run"]) continue;
    begin();
    const code = await run(words);
    if (stopped) process.exit(128 + constants.signals[stopped]);
    if (code !== 0) fail(`stage ${stage} ended with ${code}; its log says why; start it again to go on`, 1);
  }
}

/** Makes the folder, and takes over what there is of a training that is not done. */
function begin(): void {
  if (existsSync(folder)) return;
  const shipped = join(root, "packages/models");
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(shipped, "state"))) return;
  cpSync(join(shipped, "state"), folder, { recursive: true });
  // The SRCLIP in the box is done.
  const srclip = (path: string): boolean => !/\.safetensors$/.test(path) || path.includes("srclip");
  cpSync(join(shipped, "weights"), join(folder, "weights"), { recursive: true, filter: srclip });
}

function run(words: readonly string[]): Promise<number> {
  return new Promise((end) => {
    // A group of its own: the command computes in a child, which has to stand still with it.
    const started = spawn(process.execPath, words, { cwd: folder, stdio: "inherit", detached: IS_POSIX });
    child = started;
    let isWaiting = false;
    const watch = setInterval(() => {
      if (!IS_POSIX || stopped || isQuietAsked() === isWaiting) return;
      isWaiting = !isWaiting;
      console.log(isWaiting ? "waits: something measures time on this machine" : "goes on");
      tell(isWaiting ? "SIGSTOP" : "SIGCONT");
    }, 1000);
    started.on("exit", (code, signal) => {
      clearInterval(watch);
      child = undefined;
      end(code ?? 128 + (signal ? constants.signals[signal] : 0));
    });
  });
}

/** Sends a signal to all processes of the step that runs. */
function tell(signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return;
  try {
    process.kill(IS_POSIX ? -child.pid : child.pid, signal);
  } catch {
    // It has just ended by itself.
  }
}

function fail(reason: string, code: number): never {
  console.error(`train-models: ${reason}`);
  process.exit(code);
}
