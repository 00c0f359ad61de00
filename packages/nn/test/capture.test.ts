import {
  backward,
  clone,
  Device,
  gelu,
  type HostArray,
  Rng,
  rand,
  relu,
  reshape,
  scope,
  type Tensor,
} from "@deplsr/tensor";
import { testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import {
  type Adam,
  AdamW,
  BatchNorm2d,
  Conv2d,
  checkpointPart,
  clipGradNorm,
  Dropout,
  Ema,
  Linear,
  type Mode,
  Module,
  mseLoss,
} from "../src/index.ts";

const devices = [await testDevice("cpu"), await testDevice("webgpu")];

class Perceptron extends Module {
  readonly first: Linear;
  readonly second: Linear;

  constructor(init: { readonly device: Device; readonly rng: Rng }) {
    super();
    this.first = new Linear(50, 20, init);
    this.second = new Linear(20, 3, init);
  }

  forward(x: Tensor): Tensor {
    return this.second.forward(gelu(this.first.forward(x)));
  }
}

/** Batch normalisation, which keeps running statistics, and dropout, once in a part that runs again. */
class SmallConvNet extends Module {
  readonly conv: Conv2d;
  readonly norm: BatchNorm2d;
  readonly dropout = new Dropout(0.3);
  readonly last: Linear;

  constructor(init: { readonly device: Device; readonly rng: Rng }) {
    super();
    this.conv = new Conv2d(2, 4, 3, { padding: 1 }, init);
    this.norm = new BatchNorm2d(4, init);
    this.last = new Linear(4 * 5 * 5, 3, init);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    const h = checkpointPart(
      mode,
      (how, input) => this.dropout.forward(relu(this.norm.forward(this.conv.forward(input), how)), how),
      x,
    );
    return this.last.forward(this.dropout.forward(reshape(h, [x.shape[0]!, 4 * 5 * 5]), mode));
  }
}

/** A network in training, and all that a step changes. */
class Training {
  readonly device: Device;
  readonly network: Module;
  readonly optimizer: Adam;
  readonly ema: Ema;
  readonly drops: Rng;
  /** How often JavaScript has run a step. */
  runs = 0;
  readonly step: (x: Tensor, y: Tensor, rng: Rng) => Tensor;

  constructor(device: Device, kind: Kind) {
    this.device = device;
    const { network, forward } = kind(device);
    this.network = network;
    const params = [...network.parameters()];
    const groups = [params.slice(0, 2), params.slice(2)].map((own) => ({
      params: new Map(own),
      lr: 1,
      weightDecay: 0.01,
    }));
    this.optimizer = new AdamW(groups);
    this.ema = new Ema(network, 0.9);
    this.drops = new Rng(7);
    this.step = (x, y, rng) => {
      this.runs++;
      const loss = mseLoss(forward(x, { training: true, rng }), y);
      const { grads, norm } = clipGradNorm(backward(loss), 0.5);
      this.optimizer.step(grads);
      this.ema.update();
      return reshape(norm, [1]);
    };
  }

  /** Step number `i` by `step`, which may be captured; the generator is another one in every other step. */
  run(step: Training["step"], i: number): Tensor {
    this.optimizer.setLearningRate(0.1 / (i + 1));
    // From then on no launch can step all.
    if (i > 4) this.optimizer.setLearningRate(0.01, 1);
    this.optimizer.layTogether();
    const data = new Rng(100 + i);
    const [x, y] = [rand(this.device, [3, 2, 5, 5], data), rand(this.device, [3, 3], data)];
    try {
      return step(x, y, i % 2 === 0 ? this.drops : new Rng(i));
    } finally {
      x.dispose();
      y.dispose();
    }
  }

  get tensors(): Map<string, Tensor> {
    const averages = Array.from(this.ema.stateDict(), ([name, tensor]) => [`ema.${name}`, tensor] as const);
    return new Map([...this.network.stateDict(), ...averages, ...this.optimizer.stateDict().tensors]);
  }

  async numbers(): Promise<Map<string, HostArray>> {
    const read = Array.from(this.tensors, async ([name, tensor]) => [name, await tensor.data()] as const);
    return new Map(await Promise.all(read));
  }

  /** Goes on where another one is, with tensors of its own as out of a file. */
  load(other: Training): void {
    const own = (tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> =>
      new Map(Array.from(tensors, ([name, tensor]) => [name, clone(tensor)]));
    this.network.loadStateDict(own(other.network.stateDict()));
    this.ema.loadStateDict(own(other.ema.stateDict()));
    const { tensors, scalars } = other.optimizer.stateDict();
    this.optimizer.loadStateDict({ tensors: own(tensors), scalars });
    Object.assign(this, { drops: Rng.fromState(other.drops.state()) });
  }
}

type Kind = (device: Device) => {
  readonly network: Module;
  readonly forward: (x: Tensor, mode: Mode) => Tensor;
};

const kinds: Readonly<Record<string, Kind>> = {
  "a perceptron": (device) => {
    const network = new Perceptron({ device, rng: new Rng(1) });
    return { network, forward: (x) => network.forward(reshape(x, [3, 50])) };
  },
  "a network with batch normalisation, dropout and a part that runs again": (device) => {
    const network = new SmallConvNet({ device, rng: new Rng(1) });
    return { network, forward: (x, mode) => network.forward(x, mode) };
  },
};

const STEPS = 8;

describe.each(devices.map((device) => [device.info.backend, device] as const))(
  "a captured step of training, %s",
  (_, device) => {
    describe.each(Object.entries(kinds))("of %s", (_, kind) => {
      it("has the bits of one that is not, and so has what goes on from its middle", async () => {
        const [plain, captured] = [new Training(device, kind), new Training(device, kind)];
        const step = device.capture(captured.step);
        let resumed: Training | undefined;
        let other: Training["step"] | undefined;
        for (let i = 0; i < STEPS; i++) {
          const expected = scope(() => plain.run(plain.step, i));
          const norm = captured.run(step, i);
          expect(await norm.data()).toEqual(await expected.data());
          if (i === 4) {
            resumed = new Training(device, kind);
            resumed.load(captured);
            other = device.capture(resumed.step);
          } else if (resumed) expect(await resumed.run(other!, i).data()).toEqual(await expected.data());
          // Some run ahead, so that nothing is read between them.
          if (i === 3 || i > 5) expect(await captured.numbers()).toEqual(await plain.numbers());
        }
        expect(await resumed!.numbers()).toEqual(await plain.numbers());
        // The first one writes to lots, which is where everything stays, and the sixth has two rates where one launch has stepped all.
        expect(captured.runs).toBe(device.info.backend === "webgpu" ? 3 : STEPS);
      });

      it("leaves what others hold of the old values as it is", async () => {
        const [plain, captured] = [new Training(device, kind), new Training(device, kind)];
        const step = device.capture(captured.step);
        const seen: [before: Promise<HostArray>, held: Promise<HostArray>][] = [];
        for (let i = 0; i < STEPS; i++) {
          scope(() => void plain.run(plain.step, i));
          const [, weight] = [...captured.tensors][i % 3]!;
          const view = i === 3 || i > 5 ? reshape(weight, [1, weight.size]) : undefined;
          const before = clone(weight);
          captured.run(step, i).dispose();
          if (view) seen.push([before.data(), view.data()]);
          view?.dispose();
        }
        for (const [before, held] of seen) expect(await held).toEqual(await before);
        expect(await captured.numbers()).toEqual(await plain.numbers());
      });
    });
  },
);

it.each([false, true])(
  "makes neither a buffer nor a bind group in a steady step with averages of batch statistics, captured: %s",
  async (capture) => {
    const device = await Device.request({ backend: "webgpu" });
    // The cast: the driver's own methods, which are counted.
    const driver = (device.backend as unknown as { gpu: { device: GPUDevice } }).gpu.device;
    const { createBindGroup, createBuffer } = driver;
    let made = 0;
    driver.createBindGroup = (descriptor) => {
      made++;
      return createBindGroup.call(driver, descriptor);
    };
    driver.createBuffer = (descriptor) => {
      made++;
      return createBuffer.call(driver, descriptor);
    };
    const training = new Training(device, Object.values(kinds)[1]!);
    const step = capture ? device.capture(training.step) : training.step;
    const makes: number[] = [];
    for (let i = 0; i < 6; i++) {
      const before = made;
      scope(() => void training.run(step, 0));
      await device.sync();
      makes.push(made - before);
    }
    device.destroy();
    expect(makes[0]).toBeGreaterThan(0);
    expect(makes.slice(3)).toEqual([0, 0, 0]);
  },
);
