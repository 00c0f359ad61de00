import { expect, it } from "vitest";
import { type Reply, readReplies, type Torch, torchTask, torchTraining } from "../src/peers/torch.ts";

const line = (answer: Readonly<Record<string, unknown>>): Buffer => Buffer.from(`${JSON.stringify(answer)}\n`);

it("cuts what Python says into lines and numbers, wherever the pieces end", async () => {
  const numbers = Buffer.from(Float32Array.of(1.5, -2).buffer);
  const stream = Buffer.concat([
    line({ bytes: 8 }),
    numbers,
    line({ version: "1", bytes: 0 }),
    line({ error: "no", bytes: 0 }),
  ]);
  for (const size of [1, 3, 7, stream.length]) {
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < stream.length; at += size) yield stream.subarray(at, at + size);
    };
    const replies: Reply[] = [];
    for await (const reply of readReplies(pieces())) replies.push(reply);
    expect(replies.map(({ answer }) => answer)).toEqual([
      { bytes: 8 },
      { version: "1", bytes: 0 },
      { error: "no", bytes: 0 },
    ]);
    expect(new Float32Array(replies[0]!.data.buffer as ArrayBuffer)).toEqual(Float32Array.of(1.5, -2));
  }
});

/** Stands in for Python: writes down what it is asked, and gives the same two numbers for every result. */
function recorder(): { torch: Torch; asked: unknown[] } {
  const asked: unknown[] = [];
  const torch: Torch = {
    ask: async (request, arrays = []) => {
      asked.push({ ...request, ...(arrays.length > 0 && { arrays }) });
      return { answer: {}, data: new Uint8Array(Float32Array.of(3, 4).buffer) };
    },
  };
  return { torch, asked };
}

it("sends a row's arrays and lines, and reads the result in the row's order", async () => {
  const { torch, asked } = recorder();
  const x = { shape: [1, 2], data: Float32Array.of(1, 2) };
  const task = await torchTask(torch, { x }, "def run(): ...", (output) => output.slice().reverse());
  expect(await task.result()).toEqual(Float32Array.of(4, 3));
  await task.run(5);
  expect(asked).toEqual([
    { do: "prepare", shapes: { x: [1, 2] }, code: "def run(): ...", arrays: [x.data] },
    { do: "result" },
    { do: "run", count: 5 },
  ]);
});

it("keeps the losses of the first steps of a training", async () => {
  const { torch, asked } = recorder();
  await torchTraining(torch, {}, "def step(): ...", 3);
  const { code } = asked[0] as { code: string };
  expect(code).toMatch(/^def step\(\): \.\.\.\n/);
  expect(code).toContain("while len(losses) < 3:");
});
