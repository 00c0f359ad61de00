/**
 * Parity fixtures: the files of a folder laid out like `../shared/golden`, and the interface of the drivers that answer them.
 *
 * A group's driver is the file of its name beside this one (`ops.ts`, `clip.ts`). It exports
 *
 *     export const cases: Driver = (fixture, device) => [{ name: "", run: () => ({ "out.y": model.forward(upload(fixture, device, "in.x")) }) }];
 *
 * - A case is a part of a fixture that gets a line of its own (a model's evaluation and training pass, one operation of many).
 *   Its name is printed after the path; a fixture of one case may call it "".
 * - `run` is synchronous and runs in a scope: everything that it makes on the device is freed when its results have been read. So
 *   nothing is made on the device outside `run`, and models are built inside it. What is asynchronous (decoding a PNG) happens before,
 *   in the driver, which may be async.
 * - `run` returns the computed tensors under the names of the stored ones, as tensors or as host values. Every tensor of role forward
 *   or gradient must be answered by one of the fixture's cases; names that are not stored are ignored, so a driver may return all it
 *   has. What no gradient reaches is answered with zeros (`zerosLike`).
 * - What is not understood (an operation, an option, a file) throws an Error of one line; so does what is compared by other rules than
 *   the tolerances (`compare` of a JSON file, `expectation` of an index), when it fails. `run` returns {} when there is nothing else.
 * - Drivers run in Node and in a page of a browser: they import nothing of Node's.
 * - Nothing depends on a fixture's name or size: read `config` with `Attributes`, whose `finish` refuses what was not read.
 */

import type { PixelImage } from "@deplsr/clip";
import type { Device, DType, StoredTensor, Tensor } from "@deplsr/tensor";
import type { HostValues } from "./compare.ts";
import type { Role, Tolerance } from "./tolerance.ts";

/** One file to agree with. */
export interface Fixture {
  /** Path inside the folder, with forward slashes. */
  readonly path: string;
  readonly group: string;
  /** What to run: the metadata's `config`, or the whole contents of a JSON fixture; empty for other files. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly description: string;
  /** What an `index.json` says of the file; "" for files with metadata of their own. */
  readonly expectation: string;
  /** The file as it is. */
  readonly bytes: Uint8Array;
  /** The stored tensors; empty unless the file is a safetensors file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** The role of each stored tensor. */
  readonly roles: ReadonlyMap<string, Role>;
  readonly tolerance: Tolerance;
  /** Reads another file of the same folder. */
  readonly sibling: (name: string) => Promise<Uint8Array>;
  /** Decodes the file, which is an image's. */
  readonly decode: () => Promise<PixelImage>;
}

/** What a case gives: computed values by the name of the stored tensor. */
export type Outputs = Readonly<Record<string, Tensor | HostValues>>;

/** A part of a fixture, with a line of its own in the report. */
export interface Case {
  readonly name: string;
  readonly run: () => Outputs;
}

/** Turns a fixture into cases. */
export type Driver = (fixture: Fixture, device: Device) => readonly Case[] | Promise<readonly Case[]>;

/** A file that could not be read as a fixture. */
export interface BrokenFixture {
  readonly path: string;
  /** The group, where an index or the metadata still told it. */
  readonly group: string | null;
  readonly problem: string;
}

/** The names of the tensors that a fixture expects, in its order: all of role forward or gradient. */
export function expectedNames(fixture: Fixture): string[] {
  return [...fixture.tensors.keys()].filter((name) => fixture.roles.get(name) !== "input");
}

/** A stored tensor. Throws an `Error` when the fixture has none of that name. */
export function stored(fixture: Fixture, name: string): StoredTensor {
  const tensor = fixture.tensors.get(name);
  if (!tensor) throw new Error(`there is no tensor "${name}"`);
  return tensor;
}

/** Puts a stored tensor on the device: floats as f32, integers as i32 (or the dtype asked for). */
export function upload(fixture: Fixture, device: Device, name: string, dtype?: DType): Tensor {
  const tensor = stored(fixture, name);
  const floating = tensor.dtype.startsWith("F") || tensor.dtype === "BF16";
  const data = floating || dtype === "f32" ? tensor.toFloat32() : tensor.toInt32();
  return device.tensor(data, tensor.shape, { dtype: dtype ?? (floating ? "f32" : "i32"), label: name });
}

/** The stored tensors whose names begin with `prefix`, by the rest of their names; e.g. a state dict under `state.`. */
export function withPrefix(fixture: Fixture, prefix: string): Map<string, StoredTensor> {
  const entries = [...fixture.tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(entries.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** Zeros in the shape of a stored tensor: the gradient of what no gradient reaches. */
export function zerosLike(fixture: Fixture, name: string): HostValues {
  const { shape } = stored(fixture, name);
  return { shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) };
}
