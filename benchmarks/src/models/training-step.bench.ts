import { CLIP_MEAN, CLIP_STD, clampLogitScale, Tokenizer, VIT_B_32 } from "@deplsr/clip";
import { Adam, AdamW, l1Loss } from "@deplsr/nn";
import { parameterGroups, REALDAT_LIGHT_X2, RealDAT, SrCLIPV2, srclipConfig, srclipLoss } from "@deplsr/srclip";
import { Device, detach, div, interpolate, noGrad, Rng, scope, sub, type Tensor, unsqueeze } from "@deplsr/tensor";
import type { Row } from "../row.ts";
import type { Task } from "../task.ts";
import { trainingSteps } from "../training-step.ts";

const NOBODY = "has no such network";
/** As options/train/train_RealDAT_light_x2.yml, with a smaller batch. */
const SR = { batch: 2, scale: 2, square: 64, lr: 2e-4, betas: [0.9, 0.99] as const };
/** As options/train/train_srclip.yml, with a smaller batch. */
const CLIP = { batch: 8, lr: 2e-5, betas: [0.9, 0.98] as const, eps: 1e-6, weightDecay: 0.05 };
const SIDE = VIT_B_32.vision.imageSize;

/** Photographs in memory, 8 bits. */
interface Photo {
  readonly side: number;
  readonly data: Uint8Array;
}

function photo(side: number, seed: number): Photo {
  const rng = new Rng(seed);
  return { side, data: Uint8Array.from({ length: 3 * side * side }, () => rng.integer(256)) };
}

/** Squares of photographs as (b, 3, size, size) in [0, 1]. */
function squares(device: Device, photos: readonly Photo[], size: number, corner: readonly [number, number]): Tensor {
  const values = new Float32Array(photos.length * 3 * size * size);
  let at = 0;
  for (const { side, data } of photos) {
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < size; y++) {
        let from = 3 * ((y + corner[1]) * side + corner[0]) + channel;
        for (let x = 0; x < size; x++, from += 3) values[at++] = data[from]! / 255;
      }
    }
  }
  return device.tensor(values, [photos.length, 3, size, size]);
}

function normalized(images: Tensor): Tensor {
  const { device } = images;
  return div(sub(images, device.tensor(CLIP_MEAN, [1, 3, 1, 1])), device.tensor(CLIP_STD, [1, 3, 1, 1]));
}

/** Told of the gradients of each step. */
export type Observe = (gradients: ReadonlyMap<Tensor, Tensor>) => void;

/** An SRCLIP that only sees images prompts the network that is trained. */
export function trainSr(device: Device, checkpoint: boolean, observe: Observe = () => {}): Task {
  const { batch, scale, square, lr, betas } = SR;
  // Of images alone, as it is loaded for this: the text tower is a stub that goes at once.
  const text = { ...VIT_B_32.text, width: 64, heads: 1, layers: 1 };
  const srclip = new SrCLIPV2(srclipConfig({ ...VIT_B_32, text }), { device, rng: new Rng(1) });
  srclip.freeze();
  srclip.clip.text.dispose();
  const network = new RealDAT(REALDAT_LIGHT_X2, { device, rng: new Rng(0) });
  const optimizer = new Adam([{ params: network.parameters(), lr, betas, eps: 1e-8, weightDecay: 0 }]);
  const [lq, gt] = [1, scale].map((by) => Array.from({ length: batch }, (_, i) => photo(2 * square * by, i)));
  const drops = new Rng(2);
  return trainingSteps({
    device,
    data: (step) => {
      const rng = new Rng(3).fork(step);
      const [x, y] = [rng.integer(square), rng.integer(square)];
      return {
        lq: squares(device, lq!, square, [x, y]),
        gt: squares(device, gt!, scale * square, [scale * x, scale * y]),
      };
    },
    forward: ({ lq, gt }, step) => {
      const prompt = noGrad(() =>
        scope(() => {
          const seen = normalized(interpolate(lq, { mode: "bilinear", size: [SIDE, SIDE] }));
          const { content, fine } = srclip.encodeImage(seen, { normalize: true });
          return { content: detach(unsqueeze(content, 1)), degradation: detach(fine!) };
        }),
      );
      const mode = { training: true, rng: drops.fork(step) };
      return l1Loss(network.forward(lq, { mode, checkpoint, prompt }), gt);
    },
    optimizer: (gradients) => {
      observe(gradients);
      optimizer.step(gradients);
    },
  });
}

/** Only the adaptor and what scales the losses are trained. */
export function trainSrclip(device: Device, observe: Observe = () => {}): Task {
  const { batch, ...settings } = CLIP;
  const model = new SrCLIPV2(srclipConfig(VIT_B_32), { device, rng: new Rng(1) });
  model.lockCLIP();
  const optimizer = new AdamW(parameterGroups(model, settings));
  const photos = Array.from({ length: batch }, (_, i) => photo(SIDE, i));
  const tokenizer = new Tokenizer();
  const texts = photos.flatMap((_, i) => [
    `photo number ${i}`,
    `blur with sigma:1.${i},gaussian noise with sigma:${i}.0`,
    `blur with sigma:1.${i}`,
    `gaussian noise with sigma:${i}.0`,
    "no poisson noise",
    `jpeg with quality factor:${50 + i}.0`,
    "no ringing and overshoot artifacts",
  ]);
  return trainingSteps({
    device,
    data: () => ({
      image: normalized(squares(device, photos, SIDE, [0, 0])),
      ids: tokenizer.tokenize(texts, VIT_B_32.text.contextLength),
    }),
    forward: (input) => srclipLoss(model.forward(input), { kind: model.config.loss, weights: [0.2, 0.3, 0.5] }).total,
    optimizer: (gradients) => {
      observe(gradients);
      optimizer.step(gradients);
      clampLogitScale(model.logitScale);
    },
  });
}

/** @param plain what gives the same loss, to compare with: on the CPU with one thread, for what the networks are is for the parity command to say */
function row(
  name: string,
  shape: string,
  train: (device: Device) => Task,
  plain: (device: Device) => Task = train,
): Row {
  return {
    name,
    shape,
    reference: async () => {
      const task = plain(await Device.request({ backend: "cpu", threads: 1 }));
      const loss = Float64Array.from(await task.result());
      task.dispose();
      return loss;
    },
    tolerance: 1e-3,
    profiled: true,
    tasks: {
      ours: [async ({ another }) => train(await another())],
      jax: NOBODY,
      tfjs: NOBODY,
      ort: NOBODY,
      torch: NOBODY,
    },
  };
}

const squareOf = `[${SR.batch}, 3, ${SR.square}, ${SR.square}]`;

/** Steps of the two trainings. */
export default [
  row("RealDAT-light x2 step", squareOf, (device) => trainSr(device, false)),
  row(
    "RealDAT-light x2 step, blocks",
    `${squareOf}, checkpoint: blocks`,
    (device) => trainSr(device, true),
    (device) => trainSr(device, false),
  ),
  row("SRCLIP ViT-B/32 step", `[${CLIP.batch}, 3, ${SIDE}, ${SIDE}], CLIP locked`, (device) => trainSrclip(device)),
];
