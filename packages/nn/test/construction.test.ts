import { Rng, type Tensor } from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { buffer, constant, Dropout, type FieldNames, Identity, Linear, Module, parameter } from "../src/index.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };
const weight = (): Tensor => parameter(device.ones([2, 3]));
const linear = (): Linear => new Linear(2, 1, {}, init);

let warn: MockInstance<typeof console.warn>;
beforeEach(() => {
  warn = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => warn.mockRestore());

const warnings = (): string[] => warn.mock.calls.map(([line]) => String(line));

class Plain extends Module {
  readonly layer: Linear = linear();
}

/** A helper that is no module. */
class Holder {
  readonly held: unknown;

  constructor(held: unknown) {
    this.held = held;
  }
}

describe("parameters in private fields", () => {
  /** New classes for each test: what is told is told once for each class. */
  const hiding: [string, () => Module, string][] = [
    [
      "an initialised field",
      () =>
        new (class Gate extends Module {
          readonly #weight = weight();

          forward(): Tensor {
            return this.#weight;
          }
        })(),
      "Gate: its constructor made a tensor that parameters() and stateDict() cannot find ([2, 3]): look in Gate.#weight:",
    ],
    [
      "an assigned field",
      () =>
        new (class Gate extends Module {
          readonly open: Linear;
          readonly #mean: Tensor;
          readonly #drop: Dropout;

          constructor() {
            super();
            this.#mean = buffer(device.ones([4]));
            this.#drop = new Dropout(0);
            this.open = linear();
          }

          forward(): [Tensor, Dropout] {
            return [this.#mean, this.#drop];
          }
        })(),
      "([4]): look in Gate.#mean, Gate.#drop:",
    ],
    [
      "a module",
      () =>
        new (class Gate extends Module {
          #layer: Linear | null;

          constructor() {
            super();
            this.#layer = linear();
          }

          forward(): Linear | null {
            return this.#layer;
          }
        })(),
      "Gate: its constructor made 2 tensors that parameters() and stateDict() cannot find ([1, 2], [1]):",
    ],
    [
      "a container of modules, made by a function",
      () => {
        const make = (): Linear[] => [0, 1].map(() => linear());
        return new (class Gate extends Module {
          readonly #layers = make();

          forward(): Linear[] {
            return this.#layers;
          }
        })();
      },
      "made 4 tensors that parameters() and stateDict() cannot find ([1, 2], [1], [1, 2], ...)",
    ],
    [
      "a field of a base class",
      () => {
        class Base extends Module {
          readonly #weight = weight();

          forward(): Tensor {
            return this.#weight;
          }
        }
        class Derived extends Base {}
        return new Derived();
      },
      "Derived: its constructor made a tensor that",
    ],
    [
      "a field of another module, which was handed it",
      () => {
        class Residual extends Module {
          readonly #inner: Linear;

          constructor(inner: Linear) {
            super();
            this.#inner = inner;
          }

          forward(): Linear {
            return this.#inner;
          }
        }
        return new (class Net extends Module {
          readonly blocks = [new Residual(linear())];
        })();
      },
      "Net: its constructor made 2 tensors that parameters() and stateDict() cannot find ([1, 2], [1]): look in Residual.#inner:",
    ],
  ];

  it.each(hiding)("are told of: %s", (_, make, message) => {
    const model = make();
    const siblings = [linear(), new Plain()];
    weight();
    expect(warnings()).toEqual([]);
    model.stateDict();
    expect(warnings()).toEqual([expect.stringContaining(message)]);
    model.parameters();
    model.buffers();
    for (const sibling of siblings) sibling.parameters();
    expect(warnings().length).toBe(1);
  });

  it("are told of once for a class, in whatever it is", () => {
    class Gate extends Module {
      readonly #weight = weight();
      readonly open = weight();

      forward(): Tensor {
        return this.#weight;
      }
    }
    class Net extends Module {
      readonly gates = [new Gate(), new Gate()];
    }
    for (let i = 0; i < 2; i++) expect(new Net().parameters().size).toBe(2);
    new Gate().parameters();
    expect(warnings()).toEqual([expect.stringContaining("look in Gate.#weight:")]);
  });

  it("are told of by the constructor's end only, and wherever it is called", async () => {
    class Late extends Module {
      readonly #kept: Linear;
      readonly open: Linear;

      constructor() {
        super();
        const open = linear();
        this.#kept = open;
        this.freeze(); // before the field is there
        this.open = open;
      }

      forward(): Linear {
        return this.#kept;
      }
    }
    const first = new Late();
    await null;
    expect([first, new Late()].map((late) => late.parameters().size)).toEqual([2, 2]);
    expect(warnings()).toEqual([]);
  });

  it("are not told of where nothing is lost", () => {
    class Quiet extends Module {
      readonly #drop = new Dropout(0.5);
      readonly #identity = new Identity();
      readonly #table = constant(device.ones([2]));
      readonly #width: number;
      readonly #same: Linear;
      readonly open: Linear;
      readonly #teacher = linear();
      readonly secret = linear();

      constructor() {
        super();
        const template = linear();
        this.#width = template.weight.size;
        template.dispose();
        this.open = linear();
        this.#same = this.open;
      }

      override fieldNames(): FieldNames {
        return {
          secret: null,
          "#teacher": null,
          "#drop": null,
          "#identity": null,
          "#table": null,
          "#width": null,
          "#same": null,
        };
      }

      forward(): unknown {
        return [this.#drop, this.#identity, this.#table, this.#width, this.#same, this.#teacher];
      }
    }
    class Sparse extends Module {
      readonly #drop = new Dropout(0.5);
      readonly secret = [linear()];
      readonly open = linear();

      override fieldNames(): FieldNames {
        return { secret: null };
      }

      forward(): Dropout {
        return this.#drop;
      }
    }
    const models = [new Quiet(), new Sparse(), new Sparse(), new Plain()];
    const free = [weight(), linear()];
    expect(models.map((model) => model.parameters().size)).toEqual([2, 2, 2, 2]);
    expect(free.length).toBe(2);
    expect(warnings()).toEqual([]);
  });

  it("are not looked for where stacks tell nothing", () => {
    const { captureStackTrace } = Error;
    Object.assign(Error, { captureStackTrace: undefined });
    try {
      class Gate extends Module {
        readonly #weight = weight();

        forward(): Tensor {
          return this.#weight;
        }
      }
      expect(new Gate().parameters().size).toBe(0);
    } finally {
      Object.assign(Error, { captureStackTrace });
    }
    expect(warnings()).toEqual([]);
  });

  it("leave the settings of stacks as they were", () => {
    const { prepareStackTrace, stackTraceLimit } = Error;
    linear();
    expect([Error.prepareStackTrace, Error.stackTraceLimit]).toEqual([prepareStackTrace, stackTraceLimit]);
  });
});

describe("parameters in objects of other classes", () => {
  const field: [string, () => unknown, string][] = [
    [
      "a parameter",
      () => new Holder(weight()),
      "Net.field: an object of class Holder holds a tensor that parameters()",
    ],
    ["a buffer", () => new Holder(buffer(device.ones([2]))), "cannot find ([2])"],
    [
      "a module",
      () => new Holder(linear()),
      "holds 2 tensors that parameters() and stateDict() cannot find ([1, 2], [1])",
    ],
    ["a list", () => [{ a: new Holder([linear()]) }], "Net.field: an object of class Holder holds 2 tensors"],
    ["a Map with other keys", () => new Map([[{}, linear()]]), "Net.field: an object of class Map holds 2 tensors"],
  ];

  it.each(field)("are told of once: %s", (_, make, message) => {
    class Net extends Module {
      readonly field = make();
    }
    for (let i = 0; i < 2; i++) expect(new Net().parameters().size).toBe(0);
    expect(warnings()).toEqual([expect.stringContaining(message)]);
  });

  it("are not told of where nothing is lost", () => {
    class Net extends Module {
      readonly layer = linear();
      readonly same = new Holder([this.layer]);
      readonly tables = new Holder({ index: constant(device.ones([1])), unmarked: device.ones([1]) });
      readonly left = new Holder(linear());
      readonly bytes = new Float32Array(4);
      readonly when = new Date();
      readonly whole = new Holder(this);

      override fieldNames(): FieldNames {
        return { left: null };
      }
    }
    expect(new Net().parameters().size).toBe(2);
    class Child extends Module {
      around: Holder | null = null;
      readonly layer = linear();
    }
    class Around extends Module {
      readonly child = new Child();
      readonly other = linear();
    }
    const around = new Around();
    around.child.around = new Holder(around);
    expect(around.child.parameters().size).toBe(2);
    expect(around.parameters().size).toBe(4);
    expect(warnings()).toEqual([]);
  });
});
