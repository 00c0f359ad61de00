import type { CountDistinctCall, GatherCall, ResampleCall, ScatterAddCall, SegmentSumCall } from "../../../backend.ts";
import type { CpuEngine } from "../engine.ts";
import { kernel, variants } from "../kernel.ts";
import { type F32x4, f32x4, type I32, i32 } from "../wasm/values.ts";
import { asFloats } from "./half.ts";

/** Rows of at least this many bytes are copied as a block. */
const BLOCK_COPY = 64;

const GATHER = { x: "i32", index: "i32", y: "i32", n: "i32", inner: "i32", count: "i32", missing: "i32" } as const;

/** A unit is one row of the output: `inner` elements of `bytes`. A row that does not exist reads as `missing`. */
const gatherKernel = variants((bytes: 2 | 4) =>
  kernel("gather", GATHER, (f, { x, index, y, n, inner, count, missing }) => {
    const shift = bytes === 4 ? 2 : 1;
    const size = f.let(inner.shl(shift));
    const copyOne = (to: I32, value: I32): void => (bytes === 4 ? f.store(to, value) : f.store16(to, value));
    f.units((unit) => {
      const row = f.let(index.add(unit.remU(count).shl(2)).i32());
      const to = f.let(y.add(unit.mul(size)));
      const from = f.let(x.add(unit.divU(count).mul(n).add(row).mul(size)));
      f.if(
        row.ltU(n),
        () =>
          f.if(
            size.geU(BLOCK_COPY),
            () => f.copyBytes(to, from, size),
            () =>
              f.range(0, size, bytes, (at) =>
                copyOne(to.add(at), bytes === 4 ? from.add(at).i32() : from.add(at).u16()),
              ),
          ),
        () => f.range(0, size, bytes, (at) => copyOne(to.add(at), missing)),
      );
    });
  }),
);

/** A unit is one row of the output, each element with an index of its own. */
const gatherElementsKernel = variants((bytes: 2 | 4) =>
  kernel("gather-elements", GATHER, (f, { x, index, y, n, inner, count, missing }) => {
    const shift = bytes === 4 ? 2 : 1;
    f.units((unit) => {
      const outer = f.let(unit.divU(count));
      f.range(0, inner, 1, (i) => {
        const at = f.let(unit.mul(inner).add(i));
        const row = f.let(index.add(at.shl(2)).i32());
        const value = f.let(missing);
        f.if(row.ltU(n), () => {
          const from = x.add(outer.mul(n).add(row).mul(inner).add(i).shl(shift));
          f.set(value, bytes === 4 ? from.i32() : from.u16());
        });
        const to = f.let(y.add(at.shl(shift)));
        if (bytes === 4) f.store(to, value);
        else f.store16(to, value);
      });
    });
  }),
);

function gatherArguments(
  cpu: CpuEngine,
  { n, inner, count, x, index, out }: GatherCall,
): Record<keyof typeof GATHER, number> {
  // NaN shows up; whole numbers have none.
  const missing = x.dtype === "f32" ? 0x7fc00000 : x.dtype === "f16" ? 0x7e00 : 0;
  return { x: cpu.address(x), index: cpu.address(index), y: cpu.address(out), n, inner, count, missing };
}

/** Rows by index. */
export function gather(cpu: CpuEngine, call: GatherCall): void {
  const kernelOf = gatherKernel(call.x.dtype === "f16" ? 2 : 4);
  cpu.launch(kernelOf, gatherArguments(cpu, call), call.inner > 0 ? call.outer * call.count : 0, 10 + call.inner * 0.4);
}

/** Single elements by index. */
export function gatherElements(cpu: CpuEngine, call: GatherCall): void {
  const kernelOf = gatherElementsKernel(call.x.dtype === "f16" ? 2 : 4);
  cpu.launch(kernelOf, gatherArguments(cpu, call), call.outer * call.count, 10 + call.inner * 2);
}

/** Positions that are added up in a row, and such stretches: what a sum loses grows with the additions in a row. */
const STRETCH = 64;

/** A unit adds up one row of the output, in the order in which its positions are listed. */
const segmentSumKernel = kernel(
  "segment-sum",
  { x: "i32", order: "i32", start: "i32", y: "i32", rows: "i32", inner: "i32", count: "i32" },
  (f, { x, order, start, y, rows, inner, count }) => {
    f.units((unit) => {
      const place = f.let(start.add(unit.remU(rows).shl(2)));
      const first = f.let(order.add(place.i32().shl(2)));
      const end = f.let(order.add(place.i32(4).shl(2)));
      const base = f.let(x.add(unit.divU(rows).mul(count).mul(inner).shl(2)));
      const to = f.let(y.add(unit.mul(inner).shl(2)));
      f.range(0, inner, 4, (i) => {
        const sum = f.let(f32x4(0));
        const column = f.let(base.add(i.shl(2)));
        f.range(first, end, 4 * STRETCH * STRETCH, (from) => {
          const high = f.let(f32x4(0));
          const last = f.let(from.add(4 * STRETCH * STRETCH).minU(end));
          f.range(from, last, 4 * STRETCH, (from) => {
            const low = f.let(f32x4(0));
            f.range(from, f.let(from.add(4 * STRETCH).minU(last)), 4, (at) =>
              f.set(low, low.add(column.add(at.i32().mul(inner).shl(2)).f32x4())),
            );
            f.set(high, high.add(low));
          });
          f.set(sum, sum.add(high));
        });
        f.storeSome(f.let(to.add(i.shl(2))), sum, f.let(inner.sub(i)));
      });
    });
  },
);

/** Sums of rows, by a plan of which rows go where. */
export function segmentSum(cpu: CpuEngine, { outer, rows, inner, count, x, order, start, out }: SegmentSumCall): void {
  const units = inner > 0 ? outer * rows : 0;
  if (units === 0) return;
  asFloats(cpu, { x }, { out }, (a) => {
    const args = { x: a.x, order: cpu.address(order), start: cpu.address(start), y: a.out, rows, inner, count };
    cpu.launch(segmentSumKernel, args, units, 10 + (inner * count) / rows);
  });
}

/**
 * A unit clears one of the outer blocks, and adds to it in the order of the positions. What an addition loses, which lies in `lost`, is
 * taken from the next term (Kahan 1965), unless it is not finite.
 */
const scatterKernel = variants((elements: boolean) =>
  kernel(
    "scatter-add",
    { x: "i32", index: "i32", y: "i32", lost: "i32", rows: "i32", inner: "i32", count: "i32" },
    (f, { x, index, y, lost, rows, inner, count }) => {
      const toLost = f.let(lost.sub(y));
      const add = (place: I32, from: I32, read: (at: I32) => F32x4, put: (at: I32, value: F32x4) => void): void => {
        const to = f.let(place);
        const sum = f.let(read(to));
        const lostAt = f.let(to.add(toLost));
        const term = f.let(read(from).sub(read(lostAt)));
        const total = f.let(sum.add(term));
        const rest = f.let(total.sub(sum).sub(term));
        put(lostAt, f.let(rest.eq(rest).select(rest, f32x4(0))));
        put(to, total);
      };
      const addOne = (to: I32, from: I32): void =>
        add(
          to,
          from,
          (at) => at.splatF32(),
          (at, value) => f.storeLane(at, value, 0),
        );
      const addFour = (to: I32, from: I32): void =>
        add(
          to,
          from,
          (at) => at.f32x4(),
          (at, value) => f.store(at, value),
        );
      f.units((unit) => {
        const base = f.let(y.add(unit.mul(rows).mul(inner).shl(2)));
        f.fillBytes(base, 0, rows.mul(inner).shl(2));
        f.fillBytes(base.add(toLost), 0, rows.mul(inner).shl(2));
        f.range(0, count, 1, (j) => {
          const line = f.let(unit.mul(count).add(j).mul(inner));
          if (elements) {
            f.range(0, inner, 1, (i) => {
              const row = f.let(index.add(line.add(i).shl(2)).i32());
              f.if(row.ltU(rows), () => addOne(base.add(row.mul(inner).add(i).shl(2)), x.add(line.add(i).shl(2))));
            });
            return;
          }
          const row = f.let(index.add(j.shl(2)).i32());
          f.if(row.ltU(rows), () => {
            const to = f.let(base.add(row.mul(inner).shl(2)));
            const from = f.let(x.add(line.shl(2)));
            const whole = f.let(inner.and(-4).shl(2));
            f.range(0, whole, 16, (at) => addFour(to.add(at), from.add(at)));
            f.range(whole, inner.shl(2), 4, (at) => addOne(to.add(at), from.add(at)));
          });
        });
      });
    },
  ),
);

/** The adjoint of a gather. */
export function scatterAdd(
  cpu: CpuEngine,
  { outer, rows, inner, count, elements, x, index, out }: ScatterAddCall,
): void {
  if (rows * inner === 0) return;
  cpu.withTemporaries((take) => {
    const lost = take(4 * outer * rows * inner, "what a scatter loses").place;
    asFloats(cpu, { x }, { out }, (a) => {
      const args = { x: a.x, index: cpu.address(index), y: a.out, lost, rows, inner, count };
      cpu.launch(scatterKernel(elements), args, outer, 10 + count * inner * 3 + rows * inner * 0.6);
    });
  });
}

const RESAMPLE = {
  x: "i32",
  start: "i32",
  weights: "i32",
  y: "i32",
  inSize: "i32",
  outSize: "i32",
  inner: "i32",
  taps: "i32",
} as const;

/** A unit computes one output position of one outer block: four neighbouring elements at a time down its taps. */
const resampleColumns = kernel(
  "resample-columns",
  RESAMPLE,
  (f, { x, start, weights, y, inSize, outSize, inner, taps }) => {
    const step = f.let(inner.shl(2));
    f.units((unit) => {
      const o = f.let(unit.remU(outSize));
      const first = f.let(start.add(o.shl(2)).i32());
      const count = f.let(taps.minU(inSize.sub(first)));
      const weight = f.let(weights.add(o.mul(taps).shl(2)));
      const from = f.let(x.add(unit.divU(outSize).mul(inSize).add(first).mul(step)));
      const to = f.let(y.add(unit.mul(step)));
      f.range(0, inner, 4, (i) => {
        const sum = f.let(f32x4(0));
        const at = f.let(from.add(i.shl(2)));
        f.range(0, count, 1, (t) => {
          f.set(sum, f.fma(weight.add(t.shl(2)).splatF32(), at.f32x4(), sum));
          f.advance(at, step);
        });
        f.storeSome(f.let(to.add(i.shl(2))), sum, f.let(inner.sub(i)));
      });
    });
  },
);

/** A unit computes four rows along the axis, which is the last: a weight, once read, serves all four. */
const resampleRows = kernel("resample-rows", { ...RESAMPLE, rows: "i32" }, (f, args) => {
  const { x, start, weights, y, inSize, outSize, taps, rows } = args;
  f.units((unit) => {
    const row = f.let(unit.shl(2));
    const lines = [0, 1, 2, 3].map((k) => f.let(row.add(k).minU(rows.sub(1))));
    const sources = lines.map((line) => f.let(x.add(line.mul(inSize).shl(2))));
    const targets = lines.map((line) => f.let(y.add(line.mul(outSize).shl(2))));
    const weight = f.let(weights);
    f.range(0, outSize, 1, (o) => {
      const first = f.let(start.add(o.shl(2)).i32());
      const count = f.let(taps.minU(inSize.sub(first)));
      const sum = f.let(f32x4(0));
      f.range(0, count, 1, (t) => {
        const at = f.let(first.add(t).shl(2));
        let values: F32x4 = sources[0]!.add(at).splatF32();
        for (let k = 1; k < 4; k++) values = sources[k]!.add(at).lane(values, k);
        f.set(sum, f.fma(weight.add(t.shl(2)).splatF32(), values, sum));
      });
      // Rows past the last one write the last one's value once more.
      targets.forEach((to, k) => {
        f.storeLane(to.add(o.shl(2)), sum, k);
      });
      f.advance(weight, taps.shl(2));
    });
  });
});

/** A separable filter along one axis; taps past the end of the axis count nothing. */
export function resample(cpu: CpuEngine, call: ResampleCall): void {
  const { outer, inSize, outSize, inner, taps, x, start, weights, out } = call;
  if (outer * outSize * inner === 0) return;
  const args = {
    x: cpu.address(x),
    start: cpu.address(start),
    weights: cpu.address(weights),
    y: cpu.address(out),
    inSize,
    outSize,
    inner,
    taps,
  };
  if (inner > 1) cpu.launch(resampleColumns, args, outer * outSize, 10 + inner * taps * 0.4);
  else cpu.launch(resampleRows, { ...args, rows: outer }, Math.ceil(outer / 4), 10 + outSize * (5 + 2 * taps));
}

/** A unit is a row: it marks which of 256 values occur in a table of its own, then counts the marks. */
const countDistinctKernel = kernel(
  "count-distinct",
  { x: "i32", y: "i32", cols: "i32", table: "i32" },
  (f, { x, y, cols, table }) => {
    const own = f.let(table.add(f.thread.shl(8)));
    f.units((row) => {
      f.fillBytes(own, 0, i32(256));
      const from = f.let(x.add(row.mul(cols).shl(2)));
      f.range(0, cols.shl(2), 4, (at) => {
        f.store8(own.add(from.add(at).f32().add(0.5).max(0).min(255).toI32U()), i32(1));
      });
      const found = f.let(i32(0));
      f.range(own, own.add(256), 1, (at) => f.advance(found, at.u8()));
      f.store(f.let(y.add(row.shl(2))), found.toF32());
    });
  },
);

/** Distinct values in each dense row of whole numbers 0..255. */
export function countDistinct(cpu: CpuEngine, { rows, cols, x, out }: CountDistinctCall): void {
  if (rows === 0) return;
  cpu.withTemporaries((take) => {
    const table = take(256 * cpu.options.threads, "distinct values").place;
    cpu.launch(countDistinctKernel, { x: cpu.address(x), y: cpu.address(out), cols, table }, rows, 200 + cols);
  });
}
