import * as T from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import * as N from "../src/index.ts";

const gpu = await testDevice();
const init: N.Init = { device: gpu, rng: new T.Rng(1) };
const x = gpu.ones([2, 4]);
const image = gpu.ones([2, 4, 3, 3]);
const grads = new Map([[x, x]]);
const classes = gpu.tensor(Int32Array.of(0, 3));

const WRONG = {
  tensor: [undefined, null, "x", 3, {}, [1, 2]],
  size: [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, undefined],
  count: [-1, 1.5, Number.NaN, "1", null],
  pair: [0, -1, 1.5, Number.NaN, "1", [1], [1, 2, 3], null],
  number: [Number.NaN, "1", null, {}],
  positive: [-1, Number.NaN, "1", null],
  unit: [-0.1, 1.1, Number.NaN, "0.5", null],
  flag: [1, "true", null],
  options: [null, 3, "mean", { biass: true }, { redduction: "sum" }],
  init: [undefined, null, gpu, {}, { device: gpu }, { rng: init.rng }],
  mode: [null, true, "train", {}, { training: 1 }],
  reduction: ["avg", null, 3],
  settings: [undefined, null, 3, { baseLrr: 1 }],
} as const;

type Call = (...args: never[]) => unknown;

interface Case {
  readonly call: Call;
  readonly args: readonly unknown[];
  readonly wrong: Readonly<Record<string, readonly [place: number, kind: keyof typeof WRONG | readonly unknown[]]>>;
  /** What messages begin with, where it is not the name of the case. */
  readonly as?: string;
}

function loss(call: Call, more: Case["wrong"] = {}, target: T.Tensor = x): Case {
  const wrong: Case["wrong"] = {
    ...{ target: [1, "tensor"], options: [2, "options"], "options.reduction": [2, "reduction"] },
    ...more,
  };
  return {
    call,
    args: [x, target, {}],
    wrong: { [call === N.crossEntropy ? "logits" : "input"]: [0, "tensor"], ...wrong },
  };
}

function schedule(call: Call, settings: object, more: Case["wrong"]): Case {
  return { call, args: [settings], wrong: { option: [0, "settings"], "options.baseLr": [0, "positive"], ...more } };
}

const rates = { baseLr: 1, warmup: 2, total: 10, cooldownSteps: 3 };

/** A process that is alone. */
const group: N.SyncGroup = {
  ...{ size: 1, allGather: async (values) => [values], allGatherSync: (values) => [values] },
  ...{ allReduce: async (values) => values, allReduceSync: (values) => values },
};

const CASES: Readonly<Record<string, Case>> = {
  Linear: {
    call: (...args) => Reflect.construct(N.Linear, args),
    args: [4, 4, {}, init],
    wrong: {
      ...{
        inFeatures: [0, [...WRONG.count, undefined]],
        outFeatures: [1, [...WRONG.count, undefined]],
        options: [2, "options"],
        "options.bias": [2, "flag"],
      },
      init: [3, "init"],
    },
  },
  Conv2d: {
    call: (...args) => Reflect.construct(N.Conv2d, args),
    args: [4, 4, 3, {}, init],
    wrong: {
      ...{
        inChannels: [0, "size"],
        outChannels: [1, "size"],
        kernel: [2, [...WRONG.pair, undefined]],
        options: [3, "options"],
      },
      ...{
        "options.stride": [3, "pair"],
        "options.padding": [3, [-1, 1.5, "same", null]],
        "options.dilation": [3, "pair"],
      },
      ...{ "options.groups": [3, [0, 1.5, 3, "2"]], "options.bias": [3, "flag"], init: [4, "init"] },
    },
  },
  LayerNorm: {
    call: (...args) => Reflect.construct(N.LayerNorm, args),
    args: [4, {}, init],
    wrong: {
      dim: [0, [...WRONG.count, undefined]],
      options: [1, "options"],
      "options.eps": [1, "positive"],
      init: [2, "init"],
    },
  },
  BatchNorm2d: {
    call: (...args) => Reflect.construct(N.BatchNorm2d, args),
    args: [4, {}, init],
    wrong: {
      ...{
        channels: [0, "size"],
        options: [1, "options"],
        "options.eps": [1, "positive"],
        "options.momentum": [1, "unit"],
      },
      init: [2, "init"],
    },
  },
  Embedding: {
    call: (...args) => Reflect.construct(N.Embedding, args),
    args: [4, 4, init],
    wrong: { count: [0, "size"], dim: [1, "size"], init: [2, "init"] },
  },
  MultiheadAttention: {
    call: (...args) => Reflect.construct(N.MultiheadAttention, args),
    args: [4, 2, init],
    wrong: { dim: [0, "size"], heads: [1, [...WRONG.size, 3]], init: [2, "init"] },
  },
  Mlp: {
    call: (...args) => Reflect.construct(N.Mlp, args),
    args: [{ input: 4, hidden: 4 }, undefined, init],
    wrong: {
      ...{ options: [0, [null, 3, { width: 3 }]], "options.hidden": [0, "size"], "options.input": [0, "size"] },
      ...{ activation: [1, ["gelu", 3, null]], init: [2, "init"] },
    },
  },
  Sequential: {
    call: (layer) => new N.Sequential(layer),
    args: [(y: T.Tensor) => y],
    wrong: { "layers[0]": [0, [undefined, null, 3, x, {}]] },
  },
  checkpointPart: {
    call: (...args) => Reflect.apply(N.checkpointPart, undefined, args),
    args: [N.inference, (_: N.Mode, y: T.Tensor) => y, x],
    wrong: { mode: [0, "mode"], part: [1, [undefined, null, 3, x]], "inputs[0]": [2, "tensor"] },
  },
  SyncBatchNorm: {
    call: (...args) => Reflect.construct(N.SyncBatchNorm, args),
    args: [new N.BatchNorm2d(4, init), group],
    wrong: { norm: [0, [undefined, null, 4, {}, new N.Identity()]], group: [1, [undefined, null, 2, {}, { size: 2 }]] },
  },
  convertSyncBatchNorm: {
    call: (...args) => Reflect.apply(N.SyncBatchNorm.convertSyncBatchNorm, undefined, args),
    args: [new N.Identity(), group],
    wrong: { module: [0, [undefined, null, 4, {}]], group: [1, [undefined, null, 2, {}, { size: 2 }]] },
  },
  Dropout: { call: (p) => new N.Dropout(p), args: [0.1], wrong: { probability: [0, [...WRONG.unit, 1, undefined]] } },
  DropPath: { call: (p) => new N.DropPath(p), args: [0.1], wrong: { probability: [0, [...WRONG.unit, 1, undefined]] } },
  "Dropout.forward": {
    call: new N.Dropout(0.5).forward.bind(new N.Dropout(0.5)),
    args: [x, N.inference],
    wrong: { x: [0, "tensor"], mode: [1, "mode"] },
    as: "Dropout",
  },
  "DropPath.forward": {
    call: new N.DropPath(0.5).forward.bind(new N.DropPath(0.5)),
    args: [x, N.inference],
    wrong: { x: [0, "tensor"], mode: [1, "mode"] },
    as: "DropPath",
  },
  "SyncBatchNorm.forward": {
    ...forward(new N.SyncBatchNorm(new N.BatchNorm2d(4, init), group), image),
    as: "SyncBatchNorm",
  },
  "BatchNorm2d.forward": { ...forward(new N.BatchNorm2d(4, init), image), as: "BatchNorm2d" },
  "MultiheadAttention.forward": {
    call: ((layer) => layer.forward.bind(layer))(new N.MultiheadAttention(4, 2, init)),
    args: [gpu.ones([1, 2, 4]), {}],
    wrong: { x: [0, [...WRONG.tensor, x, image]], options: [1, "options"], "options.mask": [1, ["casual", 3]] },
    as: "MultiheadAttention",
  },
  l1Loss: loss(N.l1Loss),
  mseLoss: loss(N.mseLoss),
  smoothL1Loss: loss(N.smoothL1Loss, { "options.beta": [2, "positive"] }),
  charbonnierLoss: loss(N.charbonnierLoss, { "options.eps": [2, "positive"] }),
  bceWithLogits: loss(N.bceWithLogits),
  crossEntropy: loss(
    N.crossEntropy,
    {
      target: [
        1,
        [
          ...WRONG.tensor,
          gpu.ones([2]),
          gpu.tensor(Int32Array.of(0, 4)),
          gpu.tensor(Int32Array.of(-1, 0)),
          gpu.ones([3]),
        ],
      ],
      ...{ "options.labelSmoothing": [2, "unit"], "options.ignoreIndex": [2, [1.5, Number.NaN, "0", null]] },
    },
    classes,
  ),
  Adam: {
    call: (groups) => new N.Adam(groups),
    args: [[{ params: [gpu.ones([2])], lr: 1 }]],
    wrong: {
      groups: [0, [undefined, null, 3, grads, { params: [], lr: 1 }]],
      "params|option|parameter": [
        0,
        [[{ lr: 1 }], [{ params: x, lr: 1 }], [{ parameters: [x], lr: 1 }], [{ params: [3], lr: 1 }]],
      ],
      "learning rate": [0, [-1, Number.NaN, "1", null, undefined].map((lr) => [{ params: [gpu.ones([2])], lr }])],
      betas: [0, [[0.9], [0.9, 1], 0.9, [Number.NaN, 0.9]].map((betas) => [{ params: [gpu.ones([2])], lr: 1, betas }])],
      eps: [0, [-1, Number.NaN, "1"].map((eps) => [{ params: [gpu.ones([2])], lr: 1, eps }])],
      weightDecay: [0, [-1, Number.NaN, "1"].map((weightDecay) => [{ params: [gpu.ones([2])], lr: 1, weightDecay }])],
    },
  },
  "Adam.step": {
    call: ((adam) => adam.step.bind(adam))(new N.Adam([{ params: [x], lr: 1 }])),
    args: [grads],
    wrong: { grads: [0, [undefined, null, [x], {}]] },
  },
  Ema: {
    call: (module, decay) => new N.Ema(module, decay),
    args: [new N.Linear(4, 4, init), 0.9],
    wrong: { module: [0, [undefined, null, {}, grads]], decay: [1, [...WRONG.unit, 1, undefined]] },
  },
  addGradients: {
    call: N.addGradients,
    args: [new Map(), new Map()],
    wrong: { known: [0, [undefined, null, [x], {}]], more: [1, [undefined, null, [x], {}]] },
  },
  backwardOnto: {
    call: N.backwardOnto,
    args: [new Map(), T.sum(N.parameter(gpu.ones([2]))), {}],
    wrong: {
      known: [0, [undefined, null, [x], {}]],
      loss: [1, "tensor"],
      options: [2, "options"],
      "options.onGradient": [2, [null, 3, "x"]],
    },
  },
  clipGradNorm: {
    call: N.clipGradNorm,
    args: [grads, 1],
    wrong: { grads: [0, [undefined, null, [x], {}, new Map([[x, 3]])]], maxNorm: [1, [0, ...WRONG.positive]] },
  },
  gradNorm: { call: N.gradNorm, args: [grads], wrong: { grads: [0, [undefined, null, [x], {}, new Map([[x, 3]])]] } },
  cosineSchedule: schedule(
    N.cosineSchedule,
    { baseLr: 1, warmup: 2, total: 10 },
    { "options.warmup": [0, "count"], "options.total": [0, "count"] },
  ),
  constantSchedule: schedule(N.constantSchedule, { baseLr: 1, warmup: 2 }, { "options.warmup": [0, "count"] }),
  constantCooldownSchedule: schedule(N.constantCooldownSchedule, rates, {
    ...{ "options.cooldownSteps": [0, "count"], "options.power": [0, "positive"], "options.endLr": [0, "positive"] },
  }),
  multiStepRestartSchedule: schedule(
    N.multiStepRestartSchedule,
    { baseLr: 1, milestones: [2] },
    {
      ...{
        "options.milestones": [0, [undefined, 3, [1.5], null]],
        "options.gamma": [0, "positive"],
        "options.restarts": [0, [3, ["1"]]],
      },
      "options.restartWeights": [0, [3, ["1"], [Number.NaN]]],
    },
  ),
  cosineRestartSchedule: schedule(
    N.cosineRestartSchedule,
    { baseLr: 1, periods: [2] },
    {
      ...{ "options.periods": [0, [undefined, 3, [1.5], null]], "options.etaMin": [0, "positive"] },
    },
  ),
  cosineAnnealingSchedule: schedule(
    N.cosineAnnealingSchedule,
    { baseLr: 1, tMax: 2 },
    { "options.tMax": [0, "size"], "options.etaMin": [0, "positive"] },
  ),
  linearWarmup: {
    call: N.linearWarmup,
    args: [() => 1, 2],
    wrong: { schedule: [0, [undefined, null, 3]], warmup: [1, "count"] },
  },
  uniform: { call: N.uniform, args: [[2], 1, init], wrong: { bound: [1, "positive"], init: [2, "init"] } },
  normal: { call: N.normal, args: [[2], 1, init], wrong: { std: [1, "positive"], init: [2, "init"] } },
  truncNormal: {
    call: N.truncNormal,
    args: [[2], 1, init, {}],
    wrong: {
      shape: [0, [undefined, 3, [1.5]]],
      std: [1, "positive"],
      init: [2, "init"],
      options: [3, "options"],
      "min|max": [3, [{ min: 3 }]],
    },
  },
  kaimingUniform: {
    call: N.kaimingUniform,
    args: [[2, 2], init],
    wrong: { shape: [0, [undefined, 3, [1.5]]], init: [1, "init"], a: [2, "number"] },
  },
  xavierUniform: {
    call: N.xavierUniform,
    args: [[2, 2], init],
    wrong: { shape: [0, [undefined, 3, [1.5]]], init: [1, "init"] },
  },
  fans: { call: N.fans, args: [[2, 2]], wrong: { shape: [0, [undefined, 3, [1.5]]] } },
  parameter: { call: N.parameter, args: [gpu.ones([2])], wrong: { tensor: [0, "tensor"] } },
  buffer: { call: N.buffer, args: [gpu.ones([2])], wrong: { tensor: [0, "tensor"] } },
  constant: { call: N.constant, args: [gpu.ones([2])], wrong: { tensor: [0, "tensor"] } },
};

function forward(layer: { forward(x: T.Tensor, mode?: N.Mode): T.Tensor }, input: T.Tensor): Case {
  return {
    call: layer.forward.bind(layer),
    args: [input, N.inference],
    wrong: { x: [0, "tensor"], mode: [1, "mode"] },
  };
}

describe("a wrong argument is refused in one line, before anything runs", () => {
  it.each(Object.entries(CASES))("%s", async (name, { call, args, wrong, as = name }) => {
    await gpu.sync();
    for (const [argument, [place, kind]] of Object.entries(wrong)) {
      for (const value of typeof kind === "string" ? WRONG[kind as keyof typeof WRONG] : (kind as readonly unknown[])) {
        const key = argument.split("options.")[1];
        const given = Array.from({ length: Math.max(args.length, place + 1) }, (_, i) => args[i]);
        given[place] = key ? { ...(args[place] as object), [key]: value } : value;
        const before = gpu.memory();
        const what = `${name}: ${argument} = ${T.shown(value)}`;
        let error: unknown = "was accepted";
        try {
          call(...(given as never[]));
        } catch (thrown) {
          error = thrown;
        }
        const kinds = [T.ArgumentError, T.ShapeError, T.DTypeError, RangeError];
        expect(kinds.some((each) => error instanceof each) ? "one of ours" : `${error}`, what).toBe("one of ours");
        const { message } = error as Error;
        expect(message, what).toMatch(/^[^\n]+$/);
        expect(message.startsWith(`${as}: `), `${what}: ${message}`).toBe(true);
        expect(message, what).toMatch(
          new RegExp((key ?? argument).replace("options", "option").replace(/[[\]]/g, "\\$&")),
        );
        expect(gpu.memory(), what).toEqual(before);
      }
    }
    call(...(args as never[]));
    expect(await T.add(image, image).data()).toEqual(new Float32Array(72).fill(2));
  });

  it("lets the options of a layer be left out", () => {
    expect(new N.LayerNorm(4, init).eps).toBe(1e-5);
    expect(new N.Linear(4, 3, init).bias?.shape).toEqual([3]);
    expect(new N.Linear(4, 3, undefined, init).bias?.shape).toEqual([3]);
    expect(new N.Conv2d(3, 2, 3, init).options.padding).toBe(0);
    expect(new N.BatchNorm2d(4, init).momentum).toBe(0.1);
    expect(() => new N.LayerNorm(4, { eps: 1 } as never)).toThrow(
      "LayerNorm: init has to be { device, rng }, got an object",
    );
  });

  it("of every layer, loss, optimizer and schedule", () => {
    const others = new Set<string>();
    for (const [name, value] of Object.entries(N)) {
      if (typeof value === "function" && !CASES[name]) others.add(name);
    }
    // Files, state dicts, the walk over modules, and what takes nothing.
    expect([...others].sort()).toMatchInlineSnapshot(`
      [
        "AdamW",
        "Identity",
        "Module",
        "NotFiniteError",
        "StateDictError",
        "ZipArchive",
        "asHalf",
        "assume",
        "axisLength",
        "changedEntry",
        "checkShapes",
        "encodeCheckpoint",
        "encodeTensors",
        "loadCheckpoint",
        "loadFile",
        "loadTensors",
        "notFinite",
        "openTensorFile",
        "replaced",
        "selectWeights",
        "snakeCase",
        "storedValues",
        "watchFinite",
        "writeSafetensorsFile",
        "writeTorchFile",
        "writeTorchGroups",
      ]
    `);
  });
});
