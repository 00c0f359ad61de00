/** The command `upscale`. */
import { dirname, join } from "node:path";
import { Restorer } from "@deplsr/restore";
import type { SharedContext } from "../commands/command.ts";
import { parseSetting } from "../config/set.ts";
import { isImageName } from "../data/image.ts";
import { DEMO_SR } from "../demo/recipe.ts";
import { withDevice } from "../device.ts";
import { oneLine, UsageError, UserError, WriteError } from "../errors.ts";
import { checkPlace, removeLeftovers } from "../files.ts";
import { shippedNetwork } from "../networks/shipped.ts";
import { findModel } from "../networks/weights-file.ts";
import { counted, Output } from "../output.ts";
import { describeLeftOut, findPhotos } from "../photo/find.ts";
import { outputFormat } from "../photo/output-format.ts";
import { divide } from "../ranks/divide.ts";
import { fromFirst } from "../ranks/exchange.ts";
import { checkSameFiles, checkSameWeights } from "../ranks/same-files.ts";
import { madeOf, standingAt, withoutResults } from "./done.ts";
import { checkFlags, type UpscaleFlags } from "./flags.ts";
import { enlarge, freeForTiles, jobOf } from "./job.ts";
import { Originals, placesOf, sizeName } from "./place.ts";
import { type Outcome, Tally } from "./tally.ts";
import { loadUpscaler } from "./upscale.ts";

/** Does what `deplsr upscale` asks for. */
export async function runUpscale(flags: UpscaleFlags, { group, ...context }: SharedContext): Promise<void> {
  // The first process tells for all.
  const output = group.rank === 0 ? context.output : Output.silent();
  checkFlags(flags);
  if (flags.out === "-") {
    if (output.form !== "text")
      throw new UsageError("--out - needs stdout for the picture: leave --json and --jsonl out");
    if (process.stdout.isTTY)
      throw new UsageError("--out - would print the picture to the terminal: send it into a file or a pipe");
    output.leaveStdout();
  }
  if (group.size > 1 && flags.images.includes("-"))
    throw new UsageError("-, stdin, is one photograph, which one process enlarges: start it without mpirun or srun");
  const assume = Object.fromEntries(flags.assume.map((text) => parseSetting("assume", text, "imgRange=255")));
  const model = flags.model ?? shippedNetwork(flags.scale);
  await findModel(model);
  const toFile = isImageName(flags.out) || flags.out === "-";
  const { found, leftOut, photos, tileBytes } = await fromFirst(group, async () => {
    const { photos: found, leftOut } = await findPhotos(flags.images, { recursive: flags.recursive });
    if (toFile && found.length > 1)
      throw new UsageError(`--out ${flags.out} is one file for ${found.length} photographs: give a folder`);
    if (toFile) outputFormat(flags.out === "-" ? "stdout.png" : flags.out);
    if (flags.out !== "-") await checkPlace(toFile ? flags.out : join(flags.out, "result"));
    return { found, leftOut, photos: await withoutResults(found, flags.out), tileBytes: freeForTiles() };
  });
  if (photos.length < found.length)
    output.line(`${counted(found.length - photos.length, "result")} of earlier runs in ${flags.out} left alone`);
  await checkSameFiles(
    group,
    photos.map(({ path }) => path),
  );
  const others = describeLeftOut(leftOut);
  if (others !== null) output.warn(others);
  await withDevice(flags, { output }, async (device) => {
    const upscaler = await loadUpscaler(device, model, {
      strict: !flags["allow-missing"],
      prompt: {
        ...(flags["clip-input"] ? { clipInput: flags["clip-input"] } : {}),
        ...(flags["clip-fit"] ? { clipFit: flags["clip-fit"] } : {}),
      },
      warn: (text) => output.warn(text),
      assume,
      ...(flags.key === undefined ? {} : { key: flags.key }),
      ...(flags.srclip === undefined ? {} : { srclip: flags.srclip }),
    });
    const { network, srclip, prompt } = upscaler;
    await checkSameWeights(group, network.module, srclip);
    output.line(`network: ${network.module.constructor.name} x${network.scale} of ${model}`);
    if (upscaler.name === DEMO_SR)
      output.warn(
        "this network was made by the demo in seconds, of eight photographs: it shows the way, not what is possible",
      );
    const restorer = new Restorer(device, { network, srclip, ...(prompt ? { prompt } : {}) });
    const job = await jobOf(flags, upscaler, tileBytes);
    const scale = sizeName(flags, network.scale);
    const naming = { folder: flags.out, suffix: flags.suffix, scale, ending: job.ending };
    const places = toFile ? [flags.out] : placesOf(photos, naming);
    if (group.rank === 0 && flags.out !== "-")
      for (const place of new Set(places.map(dirname))) await removeLeftovers(place);
    // Nobody writes before that: on another machine a process that lives could not be told from one that was killed.
    await group.barrier();
    const originals = await Originals.of(photos);
    const tally = new Tally(output, leftOut);
    const alone = photos.length === 1;
    const bar = output.progress("upscale", photos.length, alone ? "tile" : "photo");
    const onTile = (i: number, done: number, total: number): void =>
      alone ? bar.retarget(total).update(done) : bar.update(i + done / total);
    await divide(group, photos, {
      work: async ({ path }, i): Promise<Outcome> => {
        const out = places[i]!;
        const warnings: string[] = [];
        try {
          const provenance = await madeOf(path, job.provenance);
          const standing = out === "-" || flags.overwrite ? "free" : await standingAt(out, provenance);
          if (out !== "-") await originals.refuse(out);
          if (standing === "other")
            throw new UserError(`upscale: ${out} exists: choose another name, or --overwrite to replace it`);
          if (standing === "done") return { warnings, out };
          const how = { ...job, provenance };
          const telling = {
            warn: (text: string) => void warnings.push(text),
            onTile: (done: number, total: number) => onTile(i, done, total),
          };
          return { warnings, image: await enlarge(restorer, path, out, how, telling) };
        } catch (error) {
          const told = error instanceof RangeError ? new UserError(`upscale: ${path}: ${oneLine(error)}`) : error;
          // A damaged photograph does not stop the others; a full disk or a lost device does.
          if (!(told instanceof UserError) || told instanceof WriteError || alone) throw told;
          return { warnings, failure: oneLine(told) };
        }
      },
      take: (outcome, i) => {
        tally.take(photos[i]!.path, outcome);
        if (!alone) bar.update(i + 1);
      },
    });
    bar.finish();
    if (group.rank === 0) tally.finish();
  });
}
