import {
  assign,
  backward,
  clone,
  detach,
  mul,
  Rng,
  requireGrad,
  reshape,
  type StoredDType,
  type StoredTensor,
  scope,
  storedTensor,
  sum,
  type Tensor,
} from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it, vi } from "vitest";
import {
  BatchNorm2d,
  buffer,
  constant,
  type FieldNames,
  type Init,
  LayerNorm,
  Linear,
  Module,
  parameter,
  Sequential,
  StateDictError,
  type StateEntry,
  snakeCase,
} from "../src/index.ts";

const device = await testDevice();
const init: Init = { device, rng: new Rng(1) };

/** A child's fields stand among its parent's. */
class Inner extends Module {
  readonly inProjWeight: Tensor;
  readonly norm: LayerNorm;

  constructor() {
    super();
    this.inProjWeight = parameter(device.ones([3]));
    this.norm = new LayerNorm(2, {}, init);
  }
}

class Outer extends Module {
  readonly layers: readonly (Linear | null)[];
  readonly inner: Inner;
  readonly shared: Linear;
  readonly runningMean: Tensor;
  readonly table: Tensor;
  readonly secret: Linear;
  readonly scale: Tensor;
  readonly unmarked: Tensor;

  constructor() {
    super();
    const shared = new Linear(2, 2, { bias: false }, init);
    this.layers = [new Linear(2, 3, {}, init), null, shared];
    this.inner = new Inner();
    this.shared = shared;
    this.runningMean = buffer(device.zeros([2]));
    this.table = constant(device.zeros([5]));
    this.secret = new Linear(1, 1, {}, init);
    this.scale = parameter(device.full([], 2));
    this.unmarked = device.zeros([1]);
  }

  override fieldNames(): FieldNames {
    return { inner: "", secret: null, scale: "logit_scale" };
  }
}

/** A module whose fields a test gives. */
class Holder extends Module {
  [field: string]: unknown;

  constructor(fields: object) {
    super();
    Object.assign(this, fields);
  }
}

describe("Module", () => {
  it("finds its own tensors first, then its children's, each once, under the reference's names", () => {
    const model = new Outer();
    expect([...model.stateDict().keys()]).toEqual([
      "in_proj_weight",
      "running_mean",
      "logit_scale",
      "layers.0.weight",
      "layers.0.bias",
      "layers.2.weight",
      "norm.weight",
      "norm.bias",
    ]);
    expect([...model.buffers().keys()]).toEqual(["running_mean"]);
    expect(model.parameters().has("running_mean")).toBe(false);
    expect(model.parameterCount()).toBe(3 + 1 + 6 + 3 + 4 + 2 + 2);
  });

  it("numbers functions of a sequence too", () => {
    const model = new Sequential(new Linear(1, 1, {}, init), (x) => x, new Linear(1, 1, { bias: false }, init));
    expect([...model.parameters().keys()]).toEqual(["0.weight", "0.bias", "2.weight"]);
  });

  it("freezes and unfreezes", () => {
    const model = new Sequential(new Linear(2, 2, {}, init), new Linear(2, 1, {}, init));
    const [first, second] = model.layers as [Linear, Linear];
    first.freeze();
    const gradients = backward(sum(model.forward(device.ones([1, 2]))));
    expect(gradients.has(second.weight)).toBe(true);
    expect(gradients.has(first.weight)).toBe(false);
    first.unfreeze();
    expect(backward(sum(model.forward(device.ones([1, 2])))).has(first.weight)).toBe(true);
  });

  it("refuses a parameter that would get no gradient, and a second role", () => {
    const weight = parameter(device.ones([2, 1]));
    const computed = "parameter: f32[2, 1] is computed from other parameters: take clone(detach(x))";
    expect(() => parameter(mul(weight, 2))).toThrow(computed);
    expect(parameter(clone(detach(mul(weight, 2)))).requiresGrad).toBe(true);
    expect(() => parameter(detach(mul(weight, 2)))).toThrow("parameter: the target f32[2, 1] is a view");
    expect(parameter(weight)).toBe(weight);
    expect(() => buffer(weight)).toThrow("buffer: f32[2, 1] is a parameter already");
    expect(() => constant(weight)).toThrow("constant: f32[2, 1] is a parameter already");
  });

  it("tells once of a tensor that requires a gradient and was not marked", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    class Forgetful extends Holder {}
    const fields = (): object => {
      const weight = parameter(device.ones([1]));
      return {
        weight,
        activation: mul(weight, 2),
        plain: device.ones([2]),
        forgotten: [requireGrad(device.ones([3]))],
      };
    };
    for (let i = 0; i < 2; i++) expect([...new Forgetful(fields()).parameters().keys()]).toEqual(["weight"]);
    expect(warn.mock.calls).toEqual([
      [
        "deplsr: Forgetful.forgotten: f32[3] requires a gradient and is neither trained nor saved: mark it with parameter(), " +
          "or leave the field out with null in fieldNames()",
      ],
    ]);
    warn.mockRestore();
  });

  it("gives its memory back", async () => {
    await device.sync();
    const before = device.memory().liveBuffers;
    const model = new Linear(8, 8, {}, init);
    expect(device.memory().liveBuffers).toBe(before + 2);
    model.dispose();
    expect(device.memory().liveBuffers).toBe(before);
  });
});

describe("containers", () => {
  const containers: [string, (value: unknown) => unknown, string][] = [
    ["a field", (value) => value, "held"],
    ["an array", (value) => [null, value], "held.1"],
    ["a plain object", (value) => ({ convOne: value }), "held.convOne"],
    ["an object without prototype", (value) => Object.assign(Object.create(null), { a: value }), "held.a"],
    ["a Map of strings", (value) => new Map([["convOne", value]]), "held.convOne"],
    ["a Map of numbers", (value) => new Map([[7, value]]), "held.7"],
    ["a Set", (value) => new Set([0, value]), "held.1"],
    ["an array in a Map in an object", (value) => ({ a: new Map([["b", [value]]]) }), "held.a.b.0"],
    ["a Set in an array in an array", (value) => [[new Set([value])]], "held.0.0.0"],
  ];
  const held: [string, () => unknown, string, "parameters" | "buffers"][] = [
    ["parameters", () => parameter(device.full([1], 3)), "", "parameters"],
    ["buffers", () => buffer(device.full([1], 3)), "", "buffers"],
    ["modules", () => new Holder({ weight: parameter(device.full([1], 3)) }), ".weight", "parameters"],
  ];
  const table = containers.flatMap(([where, put, path]) =>
    held.map(([what, make, suffix, role]) => [what, where, put(make()), path + suffix, role] as const),
  );

  it.each(table)("%s in %s are found, saved and loaded", async (_, __, value, path, role) => {
    const model = new Holder({ held: value });
    expect([...model[role]().keys()]).toEqual([path]);
    expect([...model.stateDict().keys()]).toEqual([path]);
    model.loadStateDict(new Map([[path, device.tensor([5])]]));
    expect(await model.stateDict().get(path)!.item()).toBe(5);
    model.freeze();
    expect(model.stateDict().get(path)!.requiresGrad).toBe(false);
    model.dispose();
  });

  it("counts what is in several once, under the first name", () => {
    const [weight, layer] = [parameter(device.ones([2])), new Linear(1, 1, { bias: false }, init)];
    const shared = { weight, layer };
    const model = new Holder({ list: [shared, weight], map: new Map([["again", shared]]), set: new Set([layer]) });
    expect([...model.parameters().keys()]).toEqual(["list.0.weight", "list.0.layer.weight"]);
    expect(model.parameterCount()).toBe(3);
  });

  it("ends where they contain each other", () => {
    const list: unknown[] = [parameter(device.ones([1]))];
    const map = new Map<string, unknown>([["list", list]]);
    const model = new Holder({ list });
    list.push(map, list, model, { back: map });
    expect([...model.parameters().keys()]).toEqual(["list.0"]);
    map.set("late", parameter(device.ones([1])));
    expect([...model.parameters().keys()]).toEqual(["list.0", "list.1.late"]);
  });

  it("leaves their names out where a field has none, and refuses two of one name", () => {
    const parts = new Map<string | number, Linear>([["lin0", new Linear(1, 1, { bias: false }, init)]]);
    class Parts extends Holder {
      override fieldNames(): FieldNames {
        return { parts: "", secret: null };
      }
    }
    const model = new Parts({ parts, secret: { a: parameter(device.ones([1])) } });
    expect([...model.parameters().keys()]).toEqual(["lin0.weight"]);
    parts.set(1, new Linear(1, 1, { bias: false }, init)).set("1", new Linear(1, 1, { bias: false }, init));
    expect(() => model.parameters()).toThrow("Parts: two tensors are named 1.weight");
  });
});

describe("loadStateDict", () => {
  const entries = (weight: readonly number[], shape: readonly number[]): Map<string, Tensor> =>
    new Map([
      ["weight", device.tensor(weight, shape)],
      ["bias", device.tensor([7], [1])],
    ]);

  it("copies values and says what it did", async () => {
    const model = new Linear(2, 1, {}, init);
    const { weight } = model;
    const report = model.loadStateDict(entries([3, 4], [1, 2]));
    expect(report).toEqual({ loaded: ["weight", "bias"], missing: [], unexpected: [], mismatched: [], unreadable: [] });
    expect(model.weight).toBe(weight);
    expect([...(await model.weight.data()), ...(await model.bias!.data())]).toEqual([3, 4, 7]);
  });

  it("names every difference in one message, and then changes nothing", async () => {
    const model = new Sequential(new Linear(2, 1, {}, init), new Linear(1, 1, {}, init));
    const before = [...(await model.parameters().get("0.bias")!.data())];
    const wrong = new Map([
      ["0.weight", device.zeros([2, 1])],
      ["0.bias", device.zeros([1])],
      ["extra", device.zeros([3])],
      ["1.bias", device.zeros([])],
    ]);
    let error: unknown;
    try {
      model.loadStateDict(wrong);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(StateDictError);
    expect((error as StateDictError).message).toBe(
      "Sequential.loadStateDict: 1 missing: 1.weight [1, 1]; 1 unexpected: extra [3]; " +
        "2 of another shape: 0.weight [2, 1] (expected [1, 2]), 1.bias [] (expected [1])",
    );
    expect((error as StateDictError).report.missing).toEqual(["1.weight"]);
    expect([...(await model.parameters().get("0.bias")!.data())]).toEqual(before);
  });

  it("takes the module's own tensors under other names with the values that they had", async () => {
    const model = new Sequential(...[1, 2, 3].map(() => new Linear(1, 1, { bias: false }, init)));
    const weights = [...model.parameters().values()];
    const [a, b, c] = weights as [Tensor, Tensor, Tensor];
    scope(() => {
      for (const [i, weight] of weights.entries()) assign(weight, device.tensor([i], [1, 1]));
    });
    const values = async (): Promise<number[]> => Promise.all(weights.map((weight) => weight.item()));
    const swapped = new Map([
      ["0.weight", b],
      ["1.weight", a],
      ["2.weight", c],
    ]);
    for (const expected of [
      [1, 0, 2],
      [0, 1, 2],
    ]) {
      model.loadStateDict(swapped);
      expect(await values()).toEqual(expected);
    }
    const before = device.memory().liveBuffers;
    scope(() => {
      // A view keeps what it shows, as ever.
      const view = reshape(reshape(a, [1]), [1, 1]);
      model.loadStateDict(new Map([...swapped, ["1.weight", c], ["2.weight", view]]));
    });
    expect(await values()).toEqual([1, 2, 0]);
    expect(device.memory().liveBuffers).toBe(before);
  });

  it("lists what cannot be read, or not as its dtype, before it changes anything", async () => {
    const model = new BatchNorm2d(1, {}, init);
    const stored = (dtype: StoredDType, bytes: number): StoredTensor =>
      storedTensor(dtype, [1], new Uint8Array(bytes), "of the file");
    const some = new Map<string, StateEntry>([
      ["weight", stored("F8_E4M3", 1)],
      ["bias", stored("C64", 8)],
      ["running_mean", device.tensor(Int32Array.of(3))],
      ["running_var", stored("BOOL", 1)],
      ["num_batches_tracked", storedTensor("F32", [], new Uint8Array(4), "of the file")],
    ]);
    expect(() => model.loadStateDict(some)).toThrow(
      "BatchNorm2d.loadStateDict: 3 that cannot be read: " +
        "bias (it holds complex numbers (C64): save their real and imaginary parts as two tensors), " +
        "running_mean (it is i32, but f32 is expected), num_batches_tracked (it is F32, but whole numbers are expected)",
    );
    expect(await model.weight.item()).toBe(1);
    const report = model.loadStateDict(some, { allowUnreadable: true });
    expect(report.unreadable).toEqual(["bias", "running_mean", "num_batches_tracked"]);
    expect([await model.weight.item(), await model.bias.item(), await model.runningVar.item()]).toEqual([0, 0, 0]);
  });

  it("accepts what it is told to accept", async () => {
    const model = new Linear(2, 1, {}, init);
    const some = new Map([
      ["bias", device.tensor([5], [1])],
      ["other", device.zeros([1])],
    ]);
    expect(() => model.loadStateDict(some, { allowMissing: true })).toThrow("1 unexpected: other [1]");
    const report = model.loadStateDict(some, {
      allowMissing: (name) => name === "weight",
      allowUnexpected: (name) => name === "other",
    });
    expect(report.missing).toEqual(["weight"]);
    expect(await model.bias!.item()).toBe(5);
    const misshaped = entries([1, 2, 3], [1, 3]);
    expect(model.loadStateDict(misshaped, { allowMismatched: true }).mismatched).toEqual(["weight"]);
  });

  it("renames and drops entries, and refuses two of one name", async () => {
    const model = new Linear(1, 1, { bias: false }, init);
    const prefixed = new Map([
      ["module.weight", device.tensor([9], [1, 1])],
      ["epoch", device.zeros([])],
    ]);
    const rename = (name: string): string | null => (name === "epoch" ? null : name.replace("module.", ""));
    model.loadStateDict(prefixed, { rename });
    expect(await model.weight.item()).toBe(9);
    prefixed.set("weight", device.zeros([1, 1]));
    expect(() => model.loadStateDict(prefixed, { rename })).toThrow(
      "Linear.loadStateDict: two entries become weight, the second is weight",
    );
  });
});

describe("snakeCase", () => {
  it("separates words", () => {
    expect(["weight", "inProjWeight", "conv1", "numBatchesTracked"].map(snakeCase)).toEqual([
      "weight",
      "in_proj_weight",
      "conv1",
      "num_batches_tracked",
    ]);
  });
});
