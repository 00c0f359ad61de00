/** A CLIP in a TorchScript archive: its tensors, and the features of the network that they make. */
import { loadResNetCLIP, normalizeImage, ResNetCLIP } from "@deplsr/clip";
import { type Device, noGrad, Rng, reshape, type Tensor } from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import { cases as checkpointCases } from "../checkpoints.ts";
import { type Case, type Fixture, type Outputs, stored } from "../fixture.ts";
import { imageOf } from "./activations.ts";
import { clipConfigOf } from "./clipiqa.ts";

export async function archiveCase(fixture: Fixture, device: Device, config: Attributes): Promise<Case> {
  const [contents] = await checkpointCases(fixture, device);
  const sizes = clipConfigOf(config);
  const state = new Map([...fixture.tensors].filter(([name]) => !name.startsWith("check.")));
  const run = (): Outputs => {
    const model = new ResNetCLIP(sizes, { device, rng: new Rng(0) });
    try {
      loadResNetCLIP(model, state);
      return { ...contents!.run(), ...noGrad(() => features(fixture, model)) };
    } finally {
      model.dispose();
    }
  };
  return { name: contents!.name, run };
}

function features(fixture: Fixture, model: ResNetCLIP): Readonly<Record<string, Tensor>> {
  const { device } = model.logitScale;
  const { width, height, data } = imageOf(fixture, "check.rgb");
  const pixels = normalizeImage({ width, height, channels: 3, data: Uint8Array.from(data) });
  const image = model.encodeImage(device.tensor(pixels, [1, 3, height, width]), { positions: false });
  const ids = stored(fixture, "check.tokens").toInt32();
  const text = model.encodeText(device.tensor(ids, [1, ids.length]));
  return { "check.image_features": reshape(image, [-1]), "check.text_features": reshape(text, [-1]) };
}
