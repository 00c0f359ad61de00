import { writeFileSync } from "node:fs";
import { encodeTensors } from "@deplsr/nn";
import { Device } from "@deplsr/tensor";
import { makeSr } from "../src/networks/sr.ts";

/** The `network_g` of a DAT that is quick to make and run: x2, windows of 2 x 4. */
export const TINY_DAT = {
  type: "DAT",
  upscale: 2,
  img_size: 8,
  split_size: [2, 4],
  depth: [1],
  embed_dim: 16,
  num_heads: [2],
  expansion_factor: 2,
  upsampler: "pixelshuffledirect",
};

/** Writes a file of random weights, which say nothing of their network. */
export async function writeRandomNetwork(path: string, network: Readonly<Record<string, unknown>>): Promise<void> {
  const device = await Device.request({ backend: "cpu" });
  writeFileSync(path, await encodeTensors(makeSr(device, network, 1).module.stateDict()));
  device.destroy();
}

/** Writes a DAT x2 whose result is, in theory and in every rounded value, its input with each pixel four times. */
export async function writeNearestNetwork(path: string): Promise<void> {
  const device = await Device.request({ backend: "cpu" });
  const tensors = makeSr(device, TINY_DAT, 1).module.stateDict();
  const { embed_dim: width, upscale } = TINY_DAT;
  /** Sets a 3x3 convolution to copies of channels, `from[i]` to channel i, or to nothing. */
  const copies = (name: string, inputs: number, outputs: number, from: (output: number) => number | null): void => {
    const weight = new Float32Array(outputs * inputs * 9);
    for (let output = 0; output < outputs; output++) {
      const input = from(output);
      if (input !== null) weight[(output * inputs + input) * 9 + 4] = 1;
    }
    tensors.set(`${name}.weight`, device.tensor(weight, [outputs, inputs, 3, 3]));
    tensors.set(`${name}.bias`, device.zeros([outputs]));
  };
  copies("conv_first", 3, width, (channel) => (channel < 3 ? channel : null));
  copies("conv_after_body", width, width, () => null);
  copies("upsample.0", width, 3 * upscale ** 2, (channel) => Math.floor(channel / upscale ** 2));
  writeFileSync(path, await encodeTensors(tensors));
  device.destroy();
}
