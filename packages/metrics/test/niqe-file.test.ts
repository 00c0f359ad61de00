import { existsSync, readFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { storedEntry, writeSafetensors } from "@deplsr/tensor";
import { describe, expect, it } from "vitest";
import { formatNiqeModel, type NiqeModel, readNiqeModel } from "../src/index.ts";

const mean = Float64Array.from({ length: 36 }, (_, i) => Math.sin(i));
const covariance = Float64Array.from({ length: 36 * 36 }, (_, i) => Math.cos(i * i) / 3);

/** An element of a MAT file, padded to 8 bytes. */
function element(type: number, data: Uint8Array): Buffer {
  const result = Buffer.alloc(8 + 8 * Math.ceil(data.length / 8));
  result.writeUInt32LE(type, 0);
  result.writeUInt32LE(data.length, 4);
  result.set(data, 8);
  return result;
}

/** An array of doubles; a name of up to four letters would be stored in its tag. */
function array(name: string, sizes: readonly number[], values: Float64Array): Buffer {
  const parts = [
    element(6, new Uint8Array(Uint32Array.of(6, 0).buffer)),
    element(5, new Uint8Array(Int32Array.from(sizes).buffer)),
    element(1, Buffer.from(name)),
    element(9, new Uint8Array(values.buffer)),
  ];
  return element(14, Buffer.concat(parts));
}

/** What MATLAB's `save` writes, with or without compression. */
function matFile(compressed: boolean, ...arrays: Buffer[]): Buffer {
  const header = Buffer.alloc(128, " ");
  header.write("MATLAB 5.0 MAT-file, Platform: GLNXA64");
  header.writeUInt16LE(0x0100, 124);
  header.write("IM", 126);
  const packed = arrays.map((part) => {
    const bytes = deflateSync(part);
    const tag = Buffer.alloc(8);
    tag.writeUInt32LE(15, 0);
    tag.writeUInt32LE(bytes.length, 4);
    return Buffer.concat([tag, bytes]);
  });
  return Buffer.concat([header, ...(compressed ? packed : arrays)]);
}

/** An array as `numpy.save` writes it. */
function npy(descr: string, values: ArrayBufferView): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (1, ${values.byteLength / 8}), }`.padEnd(117);
  const start = Buffer.from("\x93NUMPY\x01\x00\0\0", "latin1");
  start.writeUInt16LE(header.length + 1, 8);
  return Buffer.concat([start, Buffer.from(`${header}\n`), Buffer.from(values.buffer)]);
}

/** A zip archive without compression, as `numpy.savez` writes it. */
function zip(files: Readonly<Record<string, Buffer>>): Buffer {
  const [local, directory]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const fields = Buffer.alloc(26); // what both headers share: version, method, checksum (unread), sizes, length of the name
    fields.writeUInt32LE(bytes.length, 14);
    fields.writeUInt32LE(bytes.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const at = Buffer.alloc(14);
    at.writeUInt32LE(offset, 10);
    local.push(Buffer.from("PK\x03\x04"), fields, Buffer.from(name), bytes);
    directory.push(Buffer.from("PK\x01\x02\0\0"), fields, at, Buffer.from(name));
    offset += 30 + name.length + bytes.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06");
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, ...directory, end]);
}

const release = [array("mu_prisparam", [1, 36], mean), array("cov_prisparam", [36, 36], covariance)];

function expectModel(model: NiqeModel, label: string): void {
  expect(model.label).toBe(label);
  expect(Array.from(model.mean)).toEqual(Array.from(mean));
  expect(Array.from(model.covariance)).toEqual(Array.from(covariance));
}

describe("readNiqeModel", () => {
  it.each([true, false])("reads MATLAB's file (compressed: %s)", async (compressed) => {
    expectModel(await readNiqeModel(matFile(compressed, ...release), "niqe.mat"), "niqe.mat");
  });

  it("passes over what a MATLAB file holds besides", async () => {
    const text = Buffer.from(array("notes", [1, 1], Float64Array.of(1)));
    text.writeUInt8(4, 16); // the class of text
    expectModel(await readNiqeModel(matFile(true, text, ...release), "niqe.mat"), "niqe.mat");
  });

  it("reads NumPy's file", async () => {
    const arrays = { "mu_pris_param.npy": npy("<f8", mean), "cov_pris_param.npy": npy("<f8", covariance) };
    expectModel(await readNiqeModel(zip(arrays), "niqe.npz"), "niqe.npz");
    const integers = zip({ ...arrays, "mu_pris_param.npy": npy("<i8", mean) });
    await expect(readNiqeModel(integers, "x")).rejects.toThrow(
      '"mu_pris_param.npy" is no row-major array of f32 or f64',
    );
    await expect(readNiqeModel(zip({ "a.txt": Buffer.from("text") }), "x")).rejects.toThrow(
      '"a.txt" is no NumPy array',
    );
  });

  it("reads what formatNiqeModel wrote", async () => {
    const text = formatNiqeModel({ label: "ours", mean, covariance }, { photographs: ["a.jpg"] });
    expect(JSON.parse(text).photographs).toEqual(["a.jpg"]);
    expectModel(await readNiqeModel(Buffer.from(text), "x.json"), "x.json");
  });

  it("reads safetensors with BasicSR's names, and the window of the file", async () => {
    const window = Float64Array.from({ length: 49 }, (_, i) => i / 100);
    const file = writeSafetensors([
      ["mu_pris_param", storedEntry(mean, [1, 36])],
      ["cov_pris_param", storedEntry(covariance, [36, 36])],
      ["gaussian_window", storedEntry(window, [7, 7])],
    ]);
    const model = await readNiqeModel(file, "x.safetensors");
    expectModel(model, "x.safetensors");
    expect(Array.from(model.window!)).toEqual(Array.from(window));
  });

  it("refuses in one line what holds no model", async () => {
    const whole = matFile(true, ...release);
    const hdf5 = Buffer.from(whole);
    hdf5.write("MATLAB 7.3");
    const bad: [file: Uint8Array, message: string][] = [
      [hdf5, 'version 7.3: save it in MATLAB with save(..., "-v7")'],
      [whole.subarray(0, 700), "MAT file: it is cut off"],
      [matFile(true, release[0]!), '"cov_pris_param" is missing (there are mu_prisparam)'],
      [matFile(true, array("mu_prisparam", [2, 1], mean.slice(0, 2)), release[1]!), "has 2 numbers instead of 36"],
      [Buffer.from('{"mu_pris_param": [1, 2'), "not valid JSON"],
      [Buffer.from("{}"), '"mu_pris_param" is missing (there are no arrays)'],
      [Buffer.from("nothing of the kind"), "safetensors"],
    ];
    for (const [file, message] of bad) {
      const error = await readNiqeModel(file, "x").catch((thrown: unknown) => thrown);
      expect(String(error)).toContain(message);
      expect(String(error)).not.toContain("\n");
    }
  });
});

const published = new URL("../../../../shared/data/niqe/", import.meta.url);

if (existsSync(published)) {
  it("the published parameters are the same in both files", async () => {
    const [tensors, json] = await Promise.all(
      ["safetensors", "json"].map((ending) =>
        readNiqeModel(readFileSync(new URL(`niqe_pris_params.${ending}`, published)), "published"),
      ),
    );
    expect(Array.from(tensors!.mean)).toEqual(Array.from(json!.mean));
    expect(Array.from(tensors!.covariance)).toEqual(Array.from(json!.covariance));
    expect(tensors!.window).toHaveLength(49);
  });
}
