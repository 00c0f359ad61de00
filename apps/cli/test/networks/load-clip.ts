/**
 * Loads the CLIP of a file onto the CPU backend and prints what its weights take there, in bytes, how long that took, and a few
 * of its numbers; run in a process of its own.
 *
 *     tsx load-clip.ts FILE
 */
import { CLIP, loadCLIP } from "@deplsr/clip";
import { selectWeights } from "@deplsr/nn";
import { Device, Rng } from "@deplsr/tensor";
import { detectNetwork } from "../../src/networks/detect.ts";
import { loadInto, withTensorFile } from "../../src/networks/weights-file.ts";

const [path = ""] = process.argv.slice(2);
const device = await Device.request({ backend: "cpu" });
const started = performance.now();
const model = await withTensorFile(path, async (file) => {
  const { tensors } = selectWeights(file);
  const network = detectNetwork(path, tensors);
  if (network?.model !== "CLIP") throw new Error(`${path} is no CLIP`);
  const clip = new CLIP(network.config, { device, rng: new Rng(0), blank: true });
  await loadInto(path, tensors, (entries, options) => loadCLIP(clip, entries, options));
  await device.sync();
  return clip;
});
const ms = performance.now() - started;
const numbers = await model.visual.proj.data();
console.log(JSON.stringify({ weights: 4 * model.parameterCount(), ms, numbers: [...numbers.slice(-3)] }));
