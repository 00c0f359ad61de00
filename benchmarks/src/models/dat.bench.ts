import { DAT, DAT_LIGHT_X4 } from "@deplsr/dat";
import { Device, noGrad, Rng, scope } from "@deplsr/tensor";
import { size, uniform } from "../arrays.ts";
import { operationOfOurs } from "../ours.ts";
import type { Row } from "../row.ts";

const IMAGE = [1, 3, 64, 64];
const IMAGE_X4 = [1, 3, 256, 256];
const NOBODY = "has no DAT";
const draw = (): Float32Array => uniform(size(IMAGE), 0).map((value) => (value + 1) / 2);
const makeModel = (device: Device): DAT => new DAT(DAT_LIGHT_X4, { device, rng: new Rng(0) });

const row: Row = {
  name: "DAT-light x4",
  shape: `[${IMAGE.join(", ")}]`,
  // Whether the network is the right one is for the parity command to say; this is whether it computes the same on every adapter.
  async reference() {
    const device = await Device.request({ backend: "cpu", threads: 1 });
    const image = scope(() => noGrad(() => makeModel(device).forward(device.tensor(draw(), IMAGE))));
    const values = Float64Array.from(await image.data());
    device.destroy();
    return values;
  },
  tolerance: 1e-3,
  tasks: {
    ours: [
      async (ours) => {
        const model = makeModel(ours.device);
        const feeds = {
          inputs: { image: { shape: IMAGE, data: draw() } },
          output: IMAGE_X4,
          read: (output: Float32Array) => output,
        };
        const task = await operationOfOurs(ours, feeds, ({ image }) => noGrad(() => model.forward(image!)));
        const dispose = (): void => {
          task.dispose();
          model.dispose();
        };
        return { ...task, dispose };
      },
    ],
    jax: NOBODY,
    tfjs: NOBODY,
    ort: NOBODY,
    torch: NOBODY,
  },
};

/** A photo's tile through the smallest of our models. */
export default [row];
