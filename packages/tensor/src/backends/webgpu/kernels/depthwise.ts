import type { ConvCall, ConvGeometry, View } from "../../../backend.ts";
import type { Gpu } from "../gpu.ts";
import { kernel } from "../kernel.ts";
import { paddedRows, WORKSPACE_BYTES } from "./conv-columns.ts";
import { depthwiseWide } from "./depthwise-wide.ts";
import { loadRow, type NearWindow, nearWindow, type Pass, PLANES, shifted } from "./depthwise-window.ts";
import type { Finish } from "./finish.ts";
import { finishing } from "./pointwise.ts";
import { gridStride } from "./wgsl.ts";

const WG = 64;

/** True where every group has one input channel, and there is more than one: no product to gain from. */
export function isDepthwise({ channels, groups }: ConvGeometry): boolean {
  return channels === groups && groups > 1;
}

/**
 * One thread walks down a strip of one vector of columns, with the sums of the kh output rows that look at the current input
 * row: it reads every row once.
 */
const nearKernel = kernel("depthwise", ({ kh, kw, left, finish }: NearWindow & { finish: Finish }) => {
  const taps = Array.from({ length: kh * kw }, (_, tap) => tap);
  const oldest = kh - 1;
  const age = Array.from({ length: oldest }, (_, i) => `acc${oldest - i} = acc${oldest - i - 1};`).join(" ");
  return {
    inputs: { x: "vec4f", w: "f32", ...finish.inputs },
    outputs: finish.outputs,
    uniforms: {
      count: "u32",
      planeFrom: "u32",
      outWidth: "u32",
      height: "u32",
      cols: "u32",
      outHeight: "u32",
      outCols: "u32",
      strip: "u32",
      strips: "u32",
      padding: "i32",
      wFrom: "u32",
      wStep: "u32",
      ...PLANES,
      ...finish.uniforms,
    },
    workgroupSize: WG,
    source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let piece = quotient(i, u.outCols);
    let col = i - piece * u.outCols;
    let plane = quotient(piece, u.strips);
    let begin = (piece - plane * u.strips) * u.strip;
    let end = min(begin + u.strip, u.outHeight);
    let image = quotient(plane, u.channels);
    let channel = plane - image * u.channels;
    ${taps.map((tap) => `let w${tap} = w[channel * ${kh * kw}u + u.wFrom + ${tap}u * u.wStep];`).join("\n    ")}
    let origin = (image * u.inChannels + quotient(channel, u.divide)) * u.height * u.cols;
    ${Array.from({ length: kh }, (_, ky) => `var acc${ky} = vec4f();`).join(" ")}
    for (var line = begin; line < end + ${oldest}u; line++) {
      ${age}
      acc0 = vec4f();
      let iy = i32(line) - u.padding;
      ${loadRow({ kh, kw, left })}
      ${Array.from({ length: kw }, (_, kx) => `let s${kx} = ${shifted(kx - left)};`).join(" ")}
      ${taps.map((tap) => `acc${Math.floor(tap / kw)} = fma(vec4f(w${tap}), s${tap % kw}, acc${Math.floor(tap / kw)});`).join("\n      ")}
      if (line >= begin + ${oldest}u) {
        let to = ((u.planeFrom + plane) * u.outHeight + line - ${oldest}u) * u.outWidth + col * 4u;
        ${finish.width === 4 ? `finish(to / 4u, acc${oldest});` : `for (var j = 0u; j < min(4u, u.outWidth - col * 4u); j++) { finish(to + j, acc${oldest}[j]); }`}
      }
    }
  }
}`,
  };
});

/** One thread computes one output for any stride and dilation; `transposed` walks the windows that reach it instead of its own. */
const plainKernel = kernel("depthwise-plain", ({ transposed, finish }: { transposed: boolean; finish: Finish }) => ({
  inputs: { x: "f32", w: "f32", ...finish.inputs },
  outputs: finish.outputs,
  uniforms: {
    count: "u32",
    ...PLANES,
    kernel: "vec4i",
    step: "vec4i",
    padding: "vec4i",
    size: "vec4i",
    ...finish.uniforms,
  },
  workgroupSize: WG,
  source: `${finish.source}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x + id.y * groups.x * WG; i < u.count; i += groups.x * groups.y * WG) {
    let area = u32(u.size.z * u.size.w);
    let plane = i / area;
    let at = vec2i(i32((i % area) / u32(u.size.w)), i32(i % u32(u.size.w)));
    let channel = plane % u.channels;
    var sum = 0.0;
    for (var term = 0u; term < u.terms; term++) {
      let source = (plane / u.channels) * u.inChannels + (channel / u.divide) * u.terms + term;
      var wAt = (channel * u.terms + term) * u32(u.kernel.x * u.kernel.y);
      for (var ky = 0; ky < u.kernel.x; ky++) {
        for (var kx = 0; kx < u.kernel.y; kx++) {
          let reach = vec2i(ky, kx) * u.step.zw;
          ${
            transposed
              ? "let far = at + u.padding.xy - reach;\n          let origin = far / u.step.xy;\n          let meets = all(origin * u.step.xy == far) && all(far >= vec2i(0));"
              : "let origin = at * u.step.xy + reach - u.padding.xy;\n          let meets = all(origin >= vec2i(0));"
          }
          if (meets && all(origin < u.size.xy)) {
            sum = fma(w[wAt], x[(source * u32(u.size.x) + u32(origin.x)) * u32(u.size.y) + u32(origin.y)], sum);
          }
          wAt++;
        }
      }
    }
    finish(i, sum);
  }
}`,
}));

/** Images at a time, where rows have to be padded. Strips are long where threads are few. */
function runNear(
  gpu: Gpu,
  { geometry, divide, terms, reversed }: Pass,
  window: NearWindow,
  x: View,
  w: View,
  finish: Finish,
): void {
  const { batch, channels, height, width, outChannels, outHeight, outWidth, padding } = geometry;
  const strip = gpu.software ? 16 : 4;
  const strips = Math.ceil(outHeight / strip);
  const [cols, outCols] = [Math.ceil(width / 4), Math.ceil(outWidth / 4)];
  const padded = width % 4 !== 0;
  const step = padded ? Math.max(1, Math.floor(WORKSPACE_BYTES / (channels * height * cols * 16))) : batch;
  for (let image = 0; image < batch; image += step) {
    const images = Math.min(step, batch - image);
    const source = padded ? paddedRows(gpu, x, geometry, image, images) : undefined;
    const count = images * outChannels * strips * outCols;
    nearKernel.run(gpu, {
      template: { ...window, finish },
      operands: { x: source?.view ?? x, w, ...finish.operands },
      uniforms: {
        count,
        planeFrom: image * outChannels,
        outWidth,
        height,
        cols,
        outHeight,
        outCols,
        strip,
        strips,
        padding: padding[0],
        wFrom: reversed ? window.kh * window.kw - 1 : 0,
        wStep: reversed ? -1 : 1,
        inChannels: channels,
        channels: outChannels,
        divide,
        terms,
        ...finish.values,
      },
      workgroups: gridStride(gpu, count, WG),
    });
    source?.release();
  }
}

/** Convolutions without stride and dilation, by whichever kernel fits the sizes; false for the others. */
function runVectors(gpu: Gpu, pass: Pass, { x, weight, y, epilogue }: ConvCall): boolean {
  const { stride, dilation, outWidth } = pass.geometry;
  if (![...stride, ...dilation].every((step) => step === 1)) return false;
  const window = nearWindow(pass.geometry);
  finishing(gpu, y, epilogue, outWidth % 4 === 0, (finish) => {
    if (window && pass.terms === 1) runNear(gpu, pass, window, x, weight, finish);
    else depthwiseWide(gpu, pass, x, weight, finish);
  });
  return true;
}

/** Forward: output channel o reads input channel ⌊o / multiplier⌋. */
export function depthwise(gpu: Gpu, call: ConvCall): void {
  const { geometry, x, weight, y, epilogue } = call;
  const { batch, channels, height, width, outChannels, outHeight, outWidth } = geometry;
  const divide = outChannels / channels;
  if (runVectors(gpu, { geometry, divide, terms: 1, reversed: false }, call)) return;
  const count = batch * outChannels * outHeight * outWidth;
  finishing(gpu, y, epilogue, false, (finish) =>
    plainKernel.run(gpu, {
      template: { transposed: false, finish },
      operands: { x, w: weight, ...finish.operands },
      uniforms: {
        count,
        inChannels: channels,
        channels: outChannels,
        divide,
        terms: 1,
        kernel: geometry.kernel,
        step: [...geometry.stride, ...geometry.dilation],
        padding: geometry.padding,
        size: [height, width, outHeight, outWidth],
        ...finish.values,
      },
      workgroups: gridStride(gpu, count, WG),
    }),
  );
}

/** Input gradient: input channel c sums over its `multiplier` output channels, windows mirrored. */
export function depthwiseInputGrad(gpu: Gpu, call: ConvCall): void {
  const { geometry, x: dx, weight, y: dy, epilogue } = call;
  const {
    batch,
    channels,
    height,
    width,
    outChannels,
    outHeight,
    outWidth,
    kernel: [kh, kw],
    padding,
  } = geometry;
  const terms = outChannels / channels;
  const mirrored: ConvGeometry = {
    ...geometry,
    channels: outChannels,
    height: outHeight,
    width: outWidth,
    outChannels: channels,
    outHeight: height,
    outWidth: width,
    padding: [kh - 1 - padding[0], kw - 1 - padding[1]],
  };
  const pass = { geometry: mirrored, divide: 1, terms, reversed: true };
  if (runVectors(gpu, pass, { ...call, x: dy, y: dx })) return;
  const count = batch * channels * height * width;
  finishing(gpu, dx, epilogue, false, (finish) =>
    plainKernel.run(gpu, {
      template: { transposed: true, finish },
      operands: { x: dy, w: weight, ...finish.operands },
      uniforms: {
        count,
        inChannels: outChannels,
        channels,
        divide: 1,
        terms,
        kernel: geometry.kernel,
        step: [...geometry.stride, ...geometry.dilation],
        padding,
        size: [outHeight, outWidth, height, width],
        ...finish.values,
      },
      workgroups: gridStride(gpu, count, WG),
    }),
  );
}
