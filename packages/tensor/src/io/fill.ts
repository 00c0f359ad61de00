import { isFloat } from "../dtype.ts";
import { describe, ShapeError } from "../errors.ts";
import { scope } from "../scope.ts";
import { sameShape } from "../shape.ts";
import { type Tensor, valueOf } from "../tensor.ts";
import { type FileTensor, readParts } from "./stored.ts";

/** Bytes of uploads that may wait for the device. */
const WAITING_BYTES = 2 ** 20;
/** Elements of the largest tensor that is on the device a second time while it is read. */
const MOST_AT_ONCE = 2 ** 22;

/**
 * Writes a file's tensor into one of the same shape, a few megabytes at a time, so that it is never whole on the host. Values are
 * converted to the dtype of `target`, which has its old value until all have been read, and then the new one at once: who uses it in
 * between sees the old one, what is assigned to it in between is replaced, and where reading fails it is as before.
 *
 * One of more than 2²² elements is written where it lies, to save memory: where reading fails it may be written in part, which the error says.
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
  const { device, shape, dtype, label, size } = target;
  const next = size > MOST_AT_ONCE ? undefined : valueOf(device, shape, dtype, label, () => {});
  try {
    for await (const [first, part] of readParts(file)) {
      scope(() => {
        const values = isFloat(dtype) ? part.toFloat32() : part.toInt32();
        const input = device.tensor(values, part.shape, { dtype, label: file.name }).view();
        const layout = { shape: part.shape, strides: [1], offset: first };
        const { storage } = next ? next.view() : target.writable("fillFromFile");
        device.backend.copy({ out: { storage, layout, dtype }, input });
      });
      // What is uploaded stays on the host until then.
      if (part.bytes.length > WAITING_BYTES) await device.sync();
    }
    if (next) target.rebind("fillFromFile", next);
  } catch (error) {
    next?.release();
    if (!next && error instanceof Error) error.message += `; the tensor ${file.name} may be written in part`;
    throw error;
  }
}
