import { isFloat } from "../dtype.ts";
import { describe, ShapeError } from "../errors.ts";
import { scope } from "../scope.ts";
import { sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { type FileTensor, readParts } from "./stored.ts";

/** Bytes of uploads that may wait for the device. */
const WAITING_BYTES = 2 ** 20;

/**
 * Writes a file's tensor into one of the same shape, a few megabytes at a time: it is never whole on the host, nor a second time on the
 * device. Values are converted to the dtype of `target`.
 *
 * @throws ShapeError when the shapes differ
 * @throws FileFormatError when the file is damaged, or holds floats or large numbers for whole ones
 */
export async function fillFromFile(target: Tensor, file: FileTensor): Promise<void> {
  if (!sameShape(target.shape, file.shape)) {
    throw new ShapeError(`fillFromFile: ${describe(file)} of the file does not fit ${describe(target)}`);
  }
  const { device, dtype } = target;
  for await (const [first, part] of readParts(file)) {
    scope(() => {
      const values = isFloat(dtype) ? part.toFloat32() : part.toInt32();
      const input = device.tensor(values, part.shape, { dtype, label: file.name }).view();
      const { storage } = target.writable("fillFromFile");
      const layout = { shape: part.shape, strides: [1], offset: first };
      device.backend.copy({ out: { storage, layout, dtype }, input });
    });
    // What is uploaded stays on the host until then.
    if (part.bytes.length > WAITING_BYTES) await device.sync();
  }
}
