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

  it.each(
    [
      ...["module.", "_orig_mod.", "net_g.", "model.", "generator.", "my_net.", "netG.module."],
      ...["_orig_mod.module.", "module._orig_mod.", "model._orig_mod.net.", "_forward_module._fsdp_wrapped_module."],
    ].flatMap((prefix) =>
      [
        "",
        "params/",
        "params_ema/",
        "state_dict/",
        "model/",
        "anything/",
        "checkpoint/generator/",
        "a/b/state_dict/",
      ].map((wrapping) => [prefix, wrapping]),
    ),
  )("cuts off %j, which all names share, in %j", (prefix, wrapping) => {
    const names = ["conv_first.weight", "conv_first.bias", "layers.0.norm.weight", "scale"];
    const { key, tensors } = selectWeights(file(...names.map((name) => wrapping + prefix + name)));
    expect(key).toBe(wrapping.slice(0, -1));
    expect([...tensors.keys()]).toEqual(names);
    expect(tensors.get("scale")!.name).toBe("scale");
  });

  it("tells the prefix, and cuts off no part of a network", () => {
    expect(selectWeights(file("net_g.a.w", "net_g.b.w")).prefix).toBe("net_g.");
    for (const names of [["fc.weight", "fc.bias"], ["layers.0.w", "layers.1.w"], ["a.w", "b.w"], ["body.conv.w"]]) {
      expect(selectWeights(file(...names))).toMatchObject({ prefix: "" });
      expect(selected(file(...names))[1]).toEqual(names);
    }
    expect(selected(file("a.w", "layers._orig_mod.0.w"))[1]).toEqual(["a.w", "layers.0.w"]);
  });

  it("walks into dictionaries by a key", () => {
    const gan = file("nets/g/params/a.w", "nets/g/params_ema/a.v", "nets/d/a.u", "optimizer/0");
    expect(selected(gan, "nets/g")).toEqual(["nets/g/params_ema", ["a.v"]]);
    expect(selected(gan, "nets/g/params")).toEqual(["nets/g/params", ["a.w"]]);
    expect(selected(gan, "nets/d")).toEqual(["nets/d", ["a.u"]]);
    expect(() => selectWeights(gan, "nets/x")).toThrow(
      'weights: there are none under "nets/x"; tensors are under "nets/g", "nets/d"',
    );
    expect(() => selectWeights(gan, "x/y/z")).toThrow('tensors are under "nets", "optimizer"');
  });

  it("does not guess", () => {
    expect(() => selectWeights(file("net_g/a", "net_d/a"))).toThrow(
      'weights: there are none under a known name; tensors are under "net_g", "net_d"',
    );
    expect(() => selectWeights(file())).toThrow("tensors are under none");
  });
});
