/** Images of fixtures, and what is stored of the maps that a network makes of them. */
import { type Image, imageTensor } from "@deplsr/metrics";
import { type Device, mean, reshape, slice, sqrt, square, type Tensor } from "@deplsr/tensor";
import type { HostValues } from "../compare.ts";
import { type Fixture, type Outputs, stored } from "../fixture.ts";

/** The 8-bit image `name`, stored (h, w, 3). */
export function imageOf(fixture: Fixture, name: string): Image {
  const { shape, toInt32 } = stored(fixture, name);
  const [height = 0, width = 0, channels] = shape;
  if (channels !== 3) throw new Error(`${name} is [${shape.join(", ")}], not an RGB image`);
  return { width, height, data: toInt32() };
}

/** The same on a device: (1, 3, h, w), values 0 … 255 divided by `white`. */
export function pixels(fixture: Fixture, device: Device, name: string, white = 255): Tensor {
  return imageTensor(device, imageOf(fixture, name), white);
}

/** Mean and root mean square of each channel of `x (1, c, h, w)`, and the middle of the first channels, as far as they are stored. */
export function activation(fixture: Fixture, name: string, x: Tensor): Outputs {
  const average = (values: Tensor): Tensor => reshape(mean(values, { dim: [2, 3] }), [-1]);
  return {
    [`${name}.mean`]: average(x),
    [`${name}.rms`]: sqrt(average(square(x))),
    ...optional(fixture, `${name}.crop`, ([c = 0, h = 0, w = 0]) => {
      const [top, left] = [middle(x.shape[2]!, h), middle(x.shape[3]!, w)];
      return reshape(slice(x, [null, [0, c], [top, top + h], [left, left + w]]), [c, h, w]);
    }),
  };
}

function middle(whole: number, part: number): number {
  return Math.max(0, Math.floor((whole - part) / 2));
}

/** As much of the beginning of `x` along every axis as is stored under `name`, where it is. */
export function beginning(fixture: Fixture, name: string, x: Tensor): Readonly<Record<string, Tensor>> {
  return optional(fixture, name, (shape) =>
    slice(
      x,
      shape.map((size) => [0, size]),
    ),
  );
}

/** An output for a stored tensor's shape, or none where it is not stored. */
export function optional<Output extends Tensor | HostValues>(
  fixture: Fixture,
  name: string,
  make: (shape: readonly number[]) => Output,
): Readonly<Record<string, Output>> {
  const shape = fixture.tensors.get(name)?.shape;
  return shape ? { [name]: make(shape) } : {};
}

/** Numbers of the host as an output. */
export function host(data: ArrayLike<number>, shape: readonly number[] = [data.length]): HostValues {
  return { shape, data };
}
