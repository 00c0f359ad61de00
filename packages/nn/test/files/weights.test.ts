import type { FileTensor } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import type { TensorFile } from "../../src/files/tensor-file.ts";
import { selectWeights } from "../../src/files/weights.ts";

function file(...names: string[]): TensorFile {
  const tensor = (name: string): FileTensor => ({ name, dtype: "F32", shape: [], read: async () => new Uint8Array(4) });
  const tensors = new Map(names.map((name) => [name, tensor(name)]));
  return { format: "PyTorch zip", tensors, values: new Map(), objects: new Map(), metadata: {} };
}

const selected = (one: TensorFile, key?: string): [string, string[]] => {
  const { key: chosen, tensors } = selectWeights(one, key);
  return [chosen, [...tensors.keys()]];
};

describe("selectWeights", () => {
  it("takes the average of a training, its last weights, a state dict, or the file itself", () => {
    expect(selected(file("params/a.w", "params_ema/a.w", "optimizer/state/0/exp_avg"))).toEqual([
      "params_ema",
      ["a.w"],
    ]);
    expect(selected(file("params/a.w", "extra"))).toEqual(["params", ["a.w"]]);
    expect(selected(file("state_dict/module.a.w", "optimizer/state/0/exp_avg"))).toEqual(["state_dict", ["a.w"]]);
    expect(selected(file("a.w", "optimizer/0"))).toEqual(["", ["a.w"]]);
    expect(selected(file("generator/a.w"))).toEqual(["generator", ["a.w"]]);
  });

  it("takes what it is told to", () => {
    const both = file("params/a.w", "params_ema/b.w");
    expect(selected(both, "params")).toEqual(["params", ["a.w"]]);
    expect(() => selectWeights(both, "net_g")).toThrow(
      'weights: there are none under "net_g"; tensors are under "params", "params_ema"',
    );
  });

  it("names the tensors as the network does, and refuses two of one name", () => {
    const { tensors } = selectWeights(file("module.a.w"));
    expect(tensors.get("a.w")!.name).toBe("a.w");
    expect(() => selectWeights(file("module.a", "a"))).toThrow('two tensors are named "a"');
  });

  it("does not guess", () => {
    expect(() => selectWeights(file("net_g/a", "net_d/a"))).toThrow(
      'weights: there are none under a known name; tensors are under "net_g", "net_d"',
    );
    expect(() => selectWeights(file())).toThrow("tensors are under none");
  });
});
