import type { ConvGeometry, View } from "../../../backend.ts";
import { denseLayout } from "../../../layout.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { gridStride } from "./wgsl.ts";

const WG = 64;

/** Bytes that the buffers between the steps of a convolution may take; larger work is done in parts. */
export const WORKSPACE_BYTES = 64 * 2 ** 20;

/** Images `image … image + images − 1`, output rows `row … row + rows − 1` of each. */
export interface Part {
  readonly image: number;
  readonly images: number;
  readonly row: number;
  readonly rows: number;
}

/** Input rows that `rows` neighbouring output rows look at. */
export function inputRows({ kernel: [kh], stride, dilation }: ConvGeometry, rows: number): number {
  return (rows - 1) * stride[0] + (kh - 1) * dilation[0] + 1;
}

/** Cuts a batch into whole images, or an image into runs of output rows, so that a part's buffer stays within bounds. */
export function partsOf(geometry: ConvGeometry, bytesPerInputRow: number): Part[] {
  const { batch, outHeight } = geometry;
  const parts: Part[] = [];
  const images = Math.floor(WORKSPACE_BYTES / (bytesPerInputRow * inputRows(geometry, outHeight)));
  if (images > 0) {
    for (let image = 0; image < batch; image += images) {
      parts.push({ image, images: Math.min(images, batch - image), row: 0, rows: outHeight });
    }
    return parts;
  }
  const extra = Math.floor(WORKSPACE_BYTES / bytesPerInputRow) - inputRows(geometry, 1);
  const rows = 1 + Math.max(0, Math.floor(extra / geometry.stride[0]));
  for (let image = 0; image < batch; image++) {
    for (let row = 0; row < outHeight; row += rows) {
      parts.push({ image, images: 1, row, rows: Math.min(rows, outHeight - row) });
    }
  }
  return parts;
}

/** A convolution whose window does not look around: pixels need no rows, so the image is one long one. */
export function flattened(geometry: ConvGeometry): ConvGeometry {
  const { kernel: k, stride, padding, height, width } = geometry;
  const pointwise = [...k, ...stride].every((size) => size === 1) && padding.every((size) => size === 0);
  if (!pointwise) return geometry;
  return { ...geometry, height: 1, width: height * width, outHeight: 1, outWidth: height * width };
}

/**
 * One thread reads around one vector of columns in one row of one channel, and writes it once for each horizontal tap:
 * `s[plane, kx, row, ox] = x[plane, top + row, ox·stride + kx·dilation − left]`, zero outside the image.
 */
const shiftKernel = kernel("conv-shift", () => ({
  inputs: { x: "f32" },
  outputs: { s: "vec4f" },
  uniforms: {
    count: "u32",
    planeFrom: "u32",
    height: "u32",
    width: "u32",
    rows: "u32",
    cols: "u32",
    taps: "u32",
    stride: "u32",
    dilation: "u32",
    top: "i32",
    left: "i32",
  },
  workgroupSize: WG,
  source: `
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = i32(u.stride);
  let end = i32(u.width);
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let line = quotient(i, u.cols);
    let col = i - line * u.cols;
    let plane = quotient(line, u.rows);
    let row = line - plane * u.rows;
    let iy = i32(row) + u.top;
    let inside = iy >= 0 && iy < i32(u.height);
    let base = ((plane + u.planeFrom) * u.height + u32(max(iy, 0))) * u.width;
    var to = (plane * u.taps * u.rows + row) * u.cols + col;
    var ix = i32(col * 4u * u.stride) - u.left;
    for (var kx = 0u; kx < u.taps; kx++) {
      var v = vec4f();
      if (inside) {
        let at = vec4i(ix, ix + step, ix + 2 * step, ix + 3 * step);
        let safe = base + vec4u(clamp(at, vec4i(0), vec4i(end - 1)));
        v = select(vec4f(), vec4f(x[safe.x], x[safe.y], x[safe.z], x[safe.w]), (at >= vec4i(0)) & (at < vec4i(end)));
      }
      s[to] = v;
      to += u.rows * u.cols;
      ix += i32(u.dilation);
    }
  }
}`,
}));

/** A copy of some images for each horizontal tap, in rows of whole vectors: a product's columns, but for the vertical taps. */
export interface Shifted {
  readonly view: View;
  /** Rows of a plane, vectors of a row. */
  readonly rows: number;
  readonly cols: number;
  readonly release: () => void;
}

/**
 * What a convolution multiplies its weight with. The full im2col matrix repeats every pixel for each of kh·kw taps; here only
 * the kw horizontal taps are copied, which makes their loads aligned vectors, and a vertical tap is a step of whole rows.
 */
export function shiftedRows(gpu: Gpu, x: View, geometry: ConvGeometry, part: Part): Shifted {
  const { channels, height, width, outWidth, kernel: taps, stride, padding, dilation } = geometry;
  const cols = Math.ceil(outWidth / 4);
  const rows = inputRows(geometry, part.rows);
  const count = part.images * channels * rows * cols;
  const storage = gpu.pool.take(count * taps[1] * 16, "convolution columns");
  const view: View = { storage, layout: denseLayout([count * taps[1] * 4]), dtype: "f32" };
  shiftKernel.run(gpu, {
    template: {},
    operands: { x, s: view },
    uniforms: {
      count,
      planeFrom: part.image * channels,
      height,
      width,
      rows,
      cols,
      taps: taps[1],
      stride: stride[1],
      dilation: dilation[1],
      top: part.row * stride[0] - padding[0],
      left: padding[1],
    },
    workgroups: gridStride(gpu, count, WG),
  });
  return { view, rows, cols, release: () => storage.release() };
}

/** Images `image … image + images − 1` with their rows padded to whole vectors. */
export function paddedRows(gpu: Gpu, x: View, geometry: ConvGeometry, image: number, images: number): Shifted {
  const { height, width } = geometry;
  const asTheyAre = { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0, 0] } as const;
  const part = { image, images, row: 0, rows: height };
  return shiftedRows(gpu, x, { ...geometry, ...asTheyAre, outHeight: height, outWidth: width }, part);
}

/**
 * One thread sums one input pixel of one channel: the adjoint of im2col as a gather. It walks over the output pixels whose
 * window holds the pixel; the tap is what is left of the distance. A workgroup has a row at a time. Without dilation each step is as far as the one before.
 */
const gatherColumnsKernel = kernel("conv-gather-columns", ({ shifts, dilated }: GatherTemplate, gpu) => {
  // By strides, and dilations, each down and across.
  const over = (value: string, by: 0 | 1 | 2 | 3): string =>
    shifts ? `((${value}) >> u.shift[${by}])` : `quotient(${value}, u.step[${by}])`;
  const near = `
      let corner = ((plane * u.kernel.x * u.kernel.y + down * u.kernel.y + across) * u.outHeight) * u.outWidth;
      for (var oy = top; oy < bottom; oy++) {
        var at = corner + oy * u.lineStep + left * u.pixelStep;
        for (var ox = left; ox < right; ox++) {
          sum += cols[at];
          at += u.pixelStep;
        }
      }`;
  const far = `
      for (var oy = top; oy < bottom; oy++) {
        let ky = ${over("down - oy * u.step.x", 2)};
        if (ky * u.step.z + oy * u.step.x != down) { continue; }
        for (var ox = left; ox < right; ox++) {
          let kx = ${over("across - ox * u.step.y", 3)};
          if (kx * u.step.w + ox * u.step.y != across) { continue; }
          sum += cols[(((plane * u.kernel.x + ky) * u.kernel.y + kx) * u.outHeight + oy) * u.outWidth + ox];
        }
      }`;
  return {
    inputs: { cols: "f32" },
    outputs: { dx: "f32" },
    uniforms: {
      rows: "u32",
      channels: "u32",
      planeFrom: "u32",
      planeStride: "u32",
      height: "u32",
      width: "u32",
      outHeight: "u32",
      outWidth: "u32",
      lineStep: "u32",
      pixelStep: "u32",
      kernel: "vec4u",
      step: "vec4u",
      shift: "vec4u",
      padding: "vec4u",
    },
    workgroupSize: gpu.subgroupSize || 32,
    source: `
@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let reach = (u.kernel.xy - 1u) * u.step.zw;
  for (var row = workgroup.x + workgroup.y * groups.x; row < u.rows; row += groups.x * groups.y) {
    let plane = quotient(row, u.height);
    let iy = row - plane * u.height;
    let image = quotient(plane, u.channels);
    let to = u.planeFrom + image * u.planeStride + plane - image * u.channels;
    let down = iy + u.padding.x;
    // From the first window that still reaches this pixel to the last that starts at or before it.
    let top = ${over("max(down, reach.x) - reach.x + u.step.x - 1u", 0)};
    let bottom = min(${over("down", 0)} + 1u, u.outHeight);
    for (var ix = lane; ix < u.width; ix += WG) {
      let across = ix + u.padding.y;
      let left = ${over("max(across, reach.y) - reach.y + u.step.y - 1u", 1)};
      let right = min(${over("across", 1)} + 1u, u.outWidth);
      var sum = 0.0;${dilated ? far : near}
      dx[(to * u.height + iy) * u.width + ix] = sum;
    }
  }
}`,
  };
});

interface GatherTemplate {
  /** Strides and dilations are powers of two. */
  readonly shifts: boolean;
  readonly dilated: boolean;
}

/**
 * Sums columns `(images, channels, kh·kw, outHeight·outWidth)` into planes of `dx`: plane `planeFrom + image·planeStride + c`.
 */
export function gatherColumns(
  gpu: Gpu,
  geometry: ConvGeometry,
  cols: View,
  dx: View,
  {
    images,
    channels,
    planeFrom,
    planeStride,
  }: { images: number; channels: number; planeFrom: number; planeStride: number },
): void {
  const { height, width, outHeight, outWidth, kernel: taps, stride, padding, dilation } = geometry;
  const rows = images * channels * height;
  const step = [...stride, ...dilation];
  const shift = step.map((size) => 31 - Math.clz32(size));
  gatherColumnsKernel.run(gpu, {
    template: {
      shifts: step.every((size, i) => size === 2 ** shift[i]!),
      dilated: dilation.some((size) => size > 1),
    },
    operands: { cols, dx },
    uniforms: {
      rows,
      channels,
      planeFrom,
      planeStride,
      height,
      width,
      outHeight,
      outWidth,
      // To the window below, and to the next one, whose tap on the pixel lies a stride before.
      lineStep: outWidth - stride[0] * taps[1] * outHeight * outWidth,
      pixelStep: 1 - stride[1] * outHeight * outWidth,
      kernel: taps,
      step,
      shift,
      padding,
    },
    workgroups: gridStride(gpu, rows * WG, WG),
  });
}
