import { bytesSource, FileFormatError, type FileTensor, Rng, readSafetensors } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  BatchNorm2d,
  Conv2d,
  encodeCheckpoint,
  type Init,
  type LoadOptions,
  type LoadReport,
  loadCheckpoint,
  loadFile,
  NotFiniteError,
  openTensorFile,
  Sequential,
} from "../src/index.ts";

const device = await testDevice();

function model(seed: number, channels = 3): Sequential {
  const init: Init = { device, rng: new Rng(seed) };
  return new Sequential(new Conv2d(1, channels, 3, {}, init), new BatchNorm2d(channels, {}, init));
}

describe("checkpoints", () => {
  it("come back with the same values, names and metadata", async () => {
    const saved = model(1);
    saved.forward(device.ones([1, 1, 5, 5]), { training: true });
    const bytes = await encodeCheckpoint(saved, { epoch: "3" });
    const { tensors, metadata } = readSafetensors(bytes);
    expect(metadata).toEqual({ epoch: "3" });
    expect(tensors.get("1.num_batches_tracked")!.dtype).toBe("I64");
    const loaded = model(2);
    const report = loadCheckpoint(loaded, bytes);
    expect(report.loaded).toEqual([...saved.stateDict().keys()]);
    for (const [name, tensor] of saved.stateDict()) {
      expect(await loaded.stateDict().get(name)!.data(), name).toEqual(await tensor.data());
    }
  });

  it("are read from their file tensor by tensor, once everything fits", async () => {
    const saved = model(1);
    const file = await openTensorFile(bytesSource(await encodeCheckpoint(saved)));
    const loaded = model(2);
    const report = await loadFile(file.tensors, (...args) => loaded.loadStateDict(...args));
    expect(report.loaded).toEqual([...saved.stateDict().keys()]);
    for (const [name, tensor] of saved.stateDict()) {
      expect(await loaded.stateDict().get(name)!.data(), name).toEqual(await tensor.data());
    }
    const wide = model(3, 4);
    const before = await wide.stateDict().get("0.weight")!.data();
    const load = loadFile(file.tensors, (...args) => wide.loadStateDict(...args));
    await expect(load).rejects.toThrow("6 of another shape: 0.weight [3, 1, 3, 3] (expected [4, 1, 3, 3])");
    expect(await wide.stateDict().get("0.weight")!.data()).toEqual(before);
    const lenient = await loadFile(file.tensors, (...args) => wide.loadStateDict(...args), { allowMismatched: true });
    expect(lenient.loaded).toEqual(["1.num_batches_tracked"]);
  });

  it("that turn out to be damaged leave every tensor whole, and say how far they came", async () => {
    const [saved, loaded] = [model(1), model(2)];
    const { tensors } = await openTensorFile(bytesSource(await encodeCheckpoint(saved)));
    const names = [...loaded.stateDict().keys()];
    const before = await Promise.all([...loaded.stateDict().values()].map((tensor) => tensor.data()));
    const third = { ...tensors.get(names[2]!)!, read: () => Promise.reject(new FileFormatError("cut off")) };
    const damaged = loadFile(new Map([...tensors, [names[2]!, third]]), (...args) => loaded.loadStateDict(...args));
    await expect(damaged).rejects.toMatchObject({
      name: "FileFormatError",
      message: `cut off; 2 of ${names.length} tensors are loaded already`,
    });
    for (const [i, name] of names.entries()) {
      const expected = i < 2 ? await saved.stateDict().get(name)!.data() : before[i];
      expect(await loaded.stateDict().get(name)!.data(), name).toEqual(expected);
    }
  });

  it("with a tensor that cannot be read are refused before anything is written", async () => {
    const [saved, loaded] = [model(1), model(2)];
    const { tensors } = await openTensorFile(bytesSource(await encodeCheckpoint(saved)));
    const before = await loaded.stateDict().get("0.weight")!.data();
    const bias = { ...tensors.get("0.bias")!, unreadable: "it is sparse" };
    const tracked = { ...tensors.get("1.num_batches_tracked")!, dtype: "F32" } as const;
    const some = new Map([...tensors, ["0.bias", bias] as const, ["1.num_batches_tracked", tracked] as const]);
    const load = loadFile(some, (...args) => loaded.loadStateDict(...args));
    await expect(load).rejects.toThrow(
      "Sequential.loadStateDict: 2 that cannot be read: 0.bias (it is sparse), " +
        "1.num_batches_tracked (it is F32, but whole numbers are expected)",
    );
    expect(await loaded.stateDict().get("0.weight")!.data()).toEqual(before);
  });

  it("with values that are NaN or infinite are named once they are read, unless that is allowed", async () => {
    const [saved, loaded] = [model(1), model(2)];
    const { tensors } = await openTensorFile(bytesSource(await encodeCheckpoint(saved)));
    const load = (names: readonly string[], value: number, options: LoadOptions = {}): Promise<LoadReport> => {
      const spoilt = [...tensors].map(([name, tensor]): [string, FileTensor] => {
        const read = async (first: number, count: number): Promise<Uint8Array> => {
          const bytes = (await tensor.read(first, count)).slice();
          new DataView(bytes.buffer).setFloat32(bytes.length - 4, value, true);
          return bytes;
        };
        return [name, names.includes(name) ? { ...tensor, read } : tensor];
      });
      return loadFile(new Map(spoilt), (...args) => loaded.loadStateDict(...args), options);
    };
    await expect(load(["0.bias"], Number.NaN)).rejects.toMatchObject({
      name: "FileFormatError",
      message: "1 tensor holds values that are no numbers: 0.bias",
    });
    const many = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"];
    const infinite = load(many, Number.NEGATIVE_INFINITY);
    await expect(infinite).rejects.toBeInstanceOf(NotFiniteError);
    await expect(infinite).rejects.toThrow(
      "6 tensors hold values that are no numbers: 0.weight, 0.bias, 1.weight, 1.bias, 1.running_mean and 1 more",
    );
    expect((await load(["0.bias"], 3e38)).loaded).toContain("0.bias");
    await load(["0.bias"], Number.POSITIVE_INFINITY, { allowNotFinite: (name) => name === "0.bias" });
    expect((await loaded.stateDict().get("0.bias")!.data()).at(-1)).toBe(Number.POSITIVE_INFINITY);
  });

  it("may lack the counters of batch normalisation, which stay as they are", async () => {
    const [saved, loaded] = [model(1), model(2)];
    loaded.forward(device.ones([1, 1, 5, 5]), { training: true });
    const { tensors } = readSafetensors(await encodeCheckpoint(saved));
    tensors.delete("1.num_batches_tracked");
    expect(loaded.loadStateDict(tensors).missing).toEqual([]);
    expect(await loaded.stateDict().get("1.num_batches_tracked")!.item()).toBe(1);
    tensors.delete("1.running_var");
    expect(() => loaded.loadStateDict(tensors)).toThrow("1 missing: 1.running_var [3]");
  });

  it("of another shape are refused in one message", async () => {
    const bytes = await encodeCheckpoint(model(1));
    expect(() => loadCheckpoint(model(1, 4), bytes)).toThrow(
      "6 of another shape: 0.weight [3, 1, 3, 3] (expected [4, 1, 3, 3]), 0.bias [3] (expected [4]), 1.weight",
    );
  });
});
