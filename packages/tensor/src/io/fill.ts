import { isFloat } from "../dtype.ts";
import { describe, ShapeError } from "../errors.ts";
import { scope } from "../scope.ts";
import { sameShape } from "../shape.ts";
import { type Tensor, valueOf } from "../tensor.ts";
import { type FileTensor, readParts } from "./stored.ts";

/** Bytes of uploads that may wait for the device. */
const WAITING_BYTES = 2 ** 20;

/**
 * Writes a file's tensor into one of the same shape, a few megabytes at a time, so that it is never whole on the host. Values are
 * converted to the dtype of `target`, which has its old value until all have been read, and then the new one at once: who uses it in
 * between sees the old one, what is assigned to it in between is replaced, and where reading fails it is as before.
 *
 * @throws ShapeError when the shapes differ
 * @throws FileFormatError when the file is damaged, or holds floats or large numbers for whole ones
 * @throws DisposedError when `target` was disposed, before or in between; Error when it is a view
 */
export async function fillFromFile(target: Tensor, file: FileTensor): Promise<void> {
  if (!sameShape(target.shape, file.shape)) {
    throw new ShapeError(`fillFromFile: ${describe(file)} of the file does not fit ${describe(target)}`);
  }
  target.value("fillFromFile");
  target.checkWritable("fillFromFile");
  const { device, shape, dtype, label } = target;
  const next = valueOf(device, shape, dtype, label, () => {});
  try {
    for await (const [first, part] of readParts(file)) {
      scope(() => {
        const values = isFloat(dtype) ? part.toFloat32() : part.toInt32();
        const input = device.tensor(values, part.shape, { dtype, label: file.name }).view();
        const layout = { shape: part.shape, strides: [1], offset: first };
        device.backend.copy({ out: { storage: next.view().storage, layout, dtype }, input });
      });
      // What is uploaded stays on the host until then.
      if (part.bytes.length > WAITING_BYTES) await device.sync();
    }
    target.rebind("fillFromFile", next);
  } catch (error) {
    next.release();
    throw error;
  }
}
