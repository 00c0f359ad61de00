import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Contender } from "../contender.ts";
import { type Feeds, prepareWay, type Task } from "../task.ts";

const SCRIPT = fileURLToPath(new URL("./pytorch.py", import.meta.url));

/** Opens PyTorch on the CPU, in the Python that `DEPLSR_PYTHON` names, else in the first on the path that has it. */
export async function openTorch(threads = 1): Promise<Contender> {
  const torch = startTorch(findPython(), threads);
  const { answer } = await torch.ask({ do: "open" });
  const about = { version: String(answer.version), backend: "cpu", adapter: "CPU" };
  return { about, prepare: ({ torch: ways }, way) => prepareWay(ways, way, torch) };
}

/** @throws Error that says what to do where none has PyTorch. */
function findPython(): string {
  const named = process.env.DEPLSR_PYTHON;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = named
    ? [named]
    : folders.map((folder) => join(folder, "python3")).filter((file) => existsSync(file));
  const found = candidates.find((python) => spawnSync(python, ["-c", "import torch"]).status === 0);
  if (found) return found;
  const where = named
    ? `${named} (DEPLSR_PYTHON) has no torch`
    : "no python3 on the path has torch; name one with DEPLSR_PYTHON";
  throw new Error(where);
}

/** What Python answers. */
export interface Reply {
  readonly answer: Readonly<Record<string, unknown>>;
  /** The bytes after the line. */
  readonly data: Uint8Array;
}

/** PyTorch in a process of its own; see pytorch.py for what it can be asked. */
export interface Torch {
  /** Asks and waits. @throws Error with what Python raised, or that it is gone. */
  ask(request: Readonly<Record<string, unknown>>, arrays?: readonly Float32Array[]): Promise<Reply>;
}

function startTorch(python: string, threads: number): Torch {
  const limits = { OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) };
  const child = spawn(python, [SCRIPT, String(threads)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...limits },
  });
  // That it has ended is seen in what it says.
  child.stdin.on("error", () => {});
  const replies = readReplies(child.stdout);
  return {
    async ask(request, arrays = []) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      for (const { buffer, byteOffset, byteLength } of arrays) {
        child.stdin.write(new Uint8Array(buffer, byteOffset, byteLength));
      }
      const { value } = await replies.next();
      if (!value) throw new Error("Python has ended");
      if (value.answer.error) throw new Error(String(value.answer.error));
      return value;
    },
  };
}

/** Cuts a stream into replies: a line of JSON, then as many bytes as it says. */
export async function* readReplies(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Reply, undefined> {
  let chunks: Uint8Array[] = [];
  let answer: Record<string, unknown> | undefined;
  let received = 0;
  let wanted = 1;
  for await (const chunk of stream) {
    chunks.push(chunk);
    received += chunk.length;
    while (received >= wanted) {
      const all = Buffer.concat(chunks);
      if (!answer) {
        const end = all.indexOf("\n");
        if (end >= 0) answer = JSON.parse(all.toString("utf8", 0, end)) as Record<string, unknown>;
        wanted = answer ? Number(answer.bytes) : received + 1;
        chunks = [all.subarray(end + 1)];
      } else {
        yield { answer, data: Uint8Array.from(all.subarray(0, wanted)) };
        chunks = [all.subarray(wanted)];
        wanted = 1;
        answer = undefined;
      }
      received = chunks[0]!.length;
    }
  }
  return undefined;
}

/** An operation as a Python expression of its inputs. */
export function operationOfTorch(torch: Torch, feeds: Feeds, expression: string): Promise<Task> {
  const code = `@torch.inference_mode()\ndef run():\n    return (${expression})\n`;
  return torchTask(torch, feeds.inputs, code, feeds.read);
}

/** A training task of Python lines that define `step`, which gives the loss; checked by the losses of the first `checked` steps. */
export function torchTraining(torch: Torch, inputs: Feeds["inputs"], code: string, checked: number): Promise<Task> {
  const frame = `
losses = []

def run():
    loss = step()
    if len(losses) < ${checked}:
        losses.append(loss.detach())

def result():
    while len(losses) < ${checked}:
        run()
    return torch.stack(losses)
`;
  return torchTask(torch, inputs, code + frame);
}

/** A task of Python lines that define `run`, with arrays by their names, and `result` where the numbers to check are not what `run` gives. */
export async function torchTask(
  torch: Torch,
  inputs: Feeds["inputs"],
  code: string,
  read: Feeds["read"] = (output) => output,
): Promise<Task> {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([key, { shape }]) => [key, shape]));
  const arrays = Object.values(inputs).map(({ data }) => data);
  await torch.ask({ do: "prepare", shapes, code }, arrays);
  return {
    result: async () => read(new Float32Array((await torch.ask({ do: "result" })).data.buffer as ArrayBuffer)),
    run: async (count) => void (await torch.ask({ do: "run", count })),
    dispose() {},
  };
}
