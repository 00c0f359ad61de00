import type { AttentionGradCall, View } from "../../../backend.ts";
import type { CpuEngine, Take } from "../engine.ts";
import { type KernelBuilder, kernel, variants } from "../kernel.ts";
import { expNegative } from "../wasm/math.ts";
import { type F32, type F32x4, type I32, type I32x4, i32 } from "../wasm/values.ts";
import {
  batchOf,
  biasArguments,
  biasRows,
  matrixArguments,
  matrixAt,
  matrixNames,
  overKeys,
  rowsAt,
  specWith,
  storeScores,
} from "./attention.ts";
import { accumulateLines, accumulateTile, addTile, blockingOf, emptySums, linesOf, pack, storeTile } from "./gemm.ts";
import { reduce } from "./reduce.ts";
import { isLong, softmaxGradRow } from "./rows.ts";
import { overRow, put } from "./vectors.ts";

/** Bytes of a block of the map and of its gradient, about. */
const BLOCK_BYTES = 2 ** 19;
/** A batch is cut into about so many units, where it takes more memory: a number that does not depend on the threads. */
const UNITS = 16;
/** Entries that are worth a sum of the biases' gradient of their own, and rows that are worth one of dk and dv. */
const GROUP_MEMBERS = 4;
const PART_ROWS = 96;
/** Rows are cut at multiples of this: whole tiles of both heights, so that results do not depend on the width of vectors. */
const STEP = 12;
/** Nanoseconds that a score takes besides its products, about. */
const SCORE_COST = 2;

const NAMES = [
  ...matrixNames("q", "k", "dy"),
  ...["keys", "keysBatch", "values", "valuesBatch"],
  ...["stats", "dq", "dk", "dv", "dbias", "scratch", "n", "m", "d", "e", "lineBytes", "blockRows"],
  // How the batch is cut: see `cut`.
  ...["slices", "groups", "parts", "shared", "members", "partRows", "kept1", "kept2", "summed1", "summed2"],
  ...["partBytesK", "partBytesV"],
];

/**
 * A unit goes through some entries of the batch, block by block of their queries. Of a block it computes the map P again, and dP = dy·vᵀ,
 * then the gradient of the scores, dS = P∘(dP − Σ P∘dP), in a scratch area of the thread; out of these come dq = scale·dS·k, and what
 * the block adds to dk = scale·dSᵀ·q, dv = Pᵀ·dy and the gradient of the biases. After Dao et al. 2022, "FlashAttention".
 * @param biases how many there are @param long as for the rows of a softmax @param wanted whether the gradient of the biases is
 */
const attentionGradKernel = variants(({ biases, long, wanted }: { biases: number; long: boolean; wanted: boolean }) =>
  kernel("attention-grad", specWith(NAMES, biases), (f, loose) => {
    const int = (name: string): I32 => loose[name] as I32;
    const { rows: height } = blockingOf(f.target);
    const scale = f.let((loose.scale as F32).splat());
    const [n, m, d, e, lineBytes] = [int("n"), int("m"), int("d"), int("e"), int("lineBytes")];
    const blockBytes = f.let(int("blockRows").mul(lineBytes));
    const map = f.let(int("scratch").add(f.thread.mul(2).mul(blockBytes)));
    const slopes = f.let(map.add(blockBytes));
    const last = f.let(n.sub(1));
    f.units((unit) => {
      const part = f.let(unit.remU(int("parts")));
      const rest = f.let(unit.divU(int("parts")));
      const group = f.let(rest.remU(int("groups")));
      const slice = f.let(rest.divU(int("groups")));
      const firstRow = f.let(part.mul(int("partRows")));
      const endRow = f.let(firstRow.add(int("partRows")).minU(n));
      const firstMember = f.let(group.mul(int("members")));
      const endMember = f.let(firstMember.add(int("members")).minU(int("shared")));
      const dbias = f.let(int("dbias").add(group.mul(int("slices")).add(slice).mul(n).mul(m).shl(2)));
      f.range(firstMember, endMember, 1, (member) => {
        const batch = f.let(entryOf(f, int, slice, member));
        const [q, k, dy] = ["q", "k", "dy"].map((name) => matrixAt(f, int, name, batch)) as [I32, I32, I32];
        const [keys, values] = ["keys", "values"].map((name) =>
          f.let(int(name).add(batch.mul(int(`${name}Batch`)))),
        ) as [I32, I32];
        const dk = f.let(
          int("dk")
            .add(part.mul(int("partBytesK")))
            .add(batch.mul(m).mul(d).shl(2)),
        );
        const dv = f.let(
          int("dv")
            .add(part.mul(int("partBytesV")))
            .add(batch.mul(m).mul(e).shl(2)),
        );
        // All bits of what is there are added, or none.
        const mask = f.let(member.gtU(firstMember).select(i32(-1), i32(0)).splat());
        f.range(firstRow, endRow, int("blockRows"), (top) => {
          const count = f.let(top.add(int("blockRows")).minU(endRow).sub(top));
          f.range(0, count, height, (row) => {
            const first = f.let(top.add(row));
            const rows = f.let(endRow.sub(first));
            const lines = [map, slopes].map((block) => {
              const start = f.let(block.add(row.mul(lineBytes)));
              return Array.from({ length: height }, (_, r) => f.let(start.add(lineBytes.mul(r))));
            }) as [I32[], I32[]];
            const biasLines = biasRows(f, int, { biases, batch, first, last });
            const queries = rowsAt(f, q, int("qRow"), first, last);
            storeScores(f, { q: queries, k: keys, d, m, scale, rows: biasLines, lines: lines[0] });
            const ofMap = { lines: rowsAt(f, dy, int("dyRow"), first, last), b: values, depth: e, m };
            overKeys(f, ofMap, (products, r, at) => {
              const to = f.let(lines[1][r]!.add(at));
              products.forEach((product, h) => {
                f.store(to, product, 16 * h);
              });
            });
            const slope = f.let(lines[1][0]!);
            const statsAt = f.let(int("stats").add(batch.mul(n).add(first).shl(3)));
            const biasAt = f.let(dbias.add(first.mul(m).shl(2)));
            const end = f.let(lines[0][0]!.add(rows.minU(height).mul(lineBytes)));
            f.range(lines[0][0]!, end, lineBytes, (line) => {
              differentiate(f, { line, slope, stats: statsAt, m, long });
              if (wanted) {
                addRow(f, { from: slope, to: biasAt, cols: m, mask });
                f.advance(biasAt, m.shl(2));
              }
              f.advance(slope, lineBytes);
              f.advance(statsAt, 8);
            });
          });
          const block = { rows: count, lineBytes, m };
          const rowsOf = (name: string, start: I32): Pick<Block, "b" | "stride"> => ({
            b: f.let(start.add(top.mul(int(`${name}Row`)))),
            stride: int(`${name}Row`),
          });
          const dq = f.let(int("dq").add(batch.mul(n).add(top).mul(d).shl(2)));
          storeProduct(f, { ...block, a: slopes, b: k, stride: int("kRow"), c: dq, cols: d, scale });
          const fresh = f.let(top.eq(firstRow));
          addTransposed(f, { ...block, a: map, ...rowsOf("dy", dy), c: dv, cols: e }, fresh);
          addTransposed(f, { ...block, a: slopes, ...rowsOf("q", q), c: dk, cols: d, scale }, fresh);
        });
      });
    });
  }),
);

/** The entry of the batch that is a slice's `member`: of each of three axes one of the two numbers knows the place, the other one is 0. */
function entryOf(f: KernelBuilder, int: (name: string) => I32, slice: I32, member: I32): I32 {
  const places = (index: I32, size1: I32, size2: I32): I32[] => {
    const rest = f.let(index.divU(size2));
    return [rest.divU(size1), rest.remU(size1), index.remU(size2)];
  };
  const own = places(slice, int("kept1"), int("kept2"));
  const [a, b, c] = places(member, int("summed1"), int("summed2")).map((place, axis) => place.add(own[axis]!));
  return a!.mul(int("size1")).add(b!).mul(int("size2")).add(c!);
}

/** Turns a row of scores into its row of the map, and a row of dP into one of dS. */
function differentiate(
  f: KernelBuilder,
  { line, slope, stats, m, long }: Readonly<Record<"line" | "slope" | "stats" | "m", I32>> & { readonly long: boolean },
): void {
  const largest = f.let(stats.splatF32());
  const factor = f.let(stats.splatF32(4));
  overRow(
    f,
    [line],
    f.let(m.add(7).and(-8)),
    ([at], { offset }) => f.let(expNegative(f, at!.f32x4(offset).sub(largest)).mul(factor)),
    (p, [at], place) => put(f, at!, p, place),
  );
  softmaxGradRow(f, { form: "softmax", long }, { y: line, dy: slope, dx: slope }, m);
}

/** Adds to a row those bits of what is there that the mask has. */
function addRow(
  f: KernelBuilder,
  { from, to, cols, mask }: Readonly<Record<"from" | "to" | "cols", I32>> & { readonly mask: I32x4 },
): void {
  overRow(
    f,
    [from, to],
    cols,
    ([at, place], { offset }) => f.let(at!.f32x4(offset).add(place!.i32x4(offset).and(mask).float())),
    (sum, [, at], place) => put(f, at!, sum, place),
  );
}

/** Rows of the map, or of its gradient, and what they are multiplied with; addresses, and strides in bytes. */
interface Block {
  /** (rows, m) */
  readonly a: I32;
  readonly rows: I32;
  readonly lineBytes: I32;
  readonly m: I32;
  /** The other matrix, whose rows lie so far apart. */
  readonly b: I32;
  readonly stride: I32;
  /** The product, dense. */
  readonly c: I32;
  readonly cols: I32;
  readonly scale?: F32x4;
}

/** `c (rows, cols) = scale·a·b (m, cols)`. Some columns of b stay in the first-level cache while all of a passes them. */
function storeProduct(f: KernelBuilder, { a, rows, lineBytes, m, b, stride, c, cols, scale }: Block): void {
  overTiles(f, { rows, cols, c, scale }, (row, j, tile) => {
    const first = f.let(a.add(row.mul(lineBytes)));
    const lines = Array.from({ length: blockingOf(f.target).rows }, (_, r) => f.let(first.add(lineBytes.mul(r))));
    accumulateLines(f, { lines, b: b.add(j.shl(2)), stride, cols: blockingOf(f.target).cols, depth: m }, tile);
  });
}

/** `c (m, cols) += scale·aᵀ·b (rows, cols)`, or `=` where it is fresh. */
function addTransposed(
  f: KernelBuilder,
  { a, rows, lineBytes, m, b, stride, c, cols, scale }: Block,
  fresh: I32,
): void {
  overTiles(f, { rows: m, cols, c, scale, fresh }, (key, j, tile) => {
    accumulateTile(f, { a: a.add(key.shl(2)), step: lineBytes, b: b.add(j.shl(2)), stride, depth: rows }, tile);
  });
}

/** Goes through the tiles of a dense matrix, which `multiply` adds products to. */
function overTiles(
  f: KernelBuilder,
  {
    rows,
    cols,
    c,
    scale,
    fresh,
  }: Pick<Block, "rows" | "cols" | "c"> & { readonly scale: F32x4 | undefined; readonly fresh?: I32 },
  multiply: (row: I32, col: I32, sums: readonly F32x4[]) => void,
): void {
  const { rows: height, cols: width } = blockingOf(f.target);
  const rowStride = f.let(cols.shl(2));
  f.range(0, cols, width, (j) => {
    f.range(0, rows, height, (row) => {
      const tile = emptySums(f, (height * width) / 4);
      multiply(row, j, tile);
      if (scale) for (const sum of tile) f.set(sum, sum.mul(scale));
      const lines = linesOf(f, { c: c.add(row.mul(cols).add(j).shl(2)), rowStride });
      const size = { rows: f.let(rows.sub(row)), cols: f.let(cols.sub(j)) };
      if (fresh) addTile(f, lines, tile, { ...size, fresh });
      else storeTile(f, lines, tile, size);
    });
  });
}

/** The gradients of attention. */
export function attentionGrad(cpu: CpuEngine, call: AttentionGradCall): void {
  cpu.withTemporaries((take) => attendGrad(cpu, take, call));
}

function attendGrad(cpu: CpuEngine, take: Take, call: AttentionGradCall): void {
  const { q, k, v, biases, scale, stats, dy, dq, dk, dv, dbias } = call;
  const [batch, n, e] = dy.layout.shape as [number, number, number];
  const [m, d] = k.layout.shape.slice(2) as [number, number];
  const { cols: width, speed } = blockingOf(cpu.options.target);
  const upper: View = {
    ...dy,
    layout: { shape: [1, batch, n, e], strides: [0, n * e, e, 1], offset: dy.layout.offset },
  };
  const keys = pack(cpu, take, k, 2, width, batchOf(k));
  const values = pack(cpu, take, v, 2, width, batchOf(v));
  // An odd number of cache lines: those of a column do not fall upon each other then.
  const lineBytes = 64 * (Math.ceil(m / 16) | 1);
  const cuts = cut(call);
  const { groups, parts, slices } = cuts;
  const blockRows = Math.min(cuts.partRows, STEP * Math.max(1, Math.floor(BLOCK_BYTES / (2 * lineBytes * STEP))));
  const scratch = take(cpu.options.threads * 2 * blockRows * lineBytes, "attention scores");
  // Several units' parts of one sum, to be added up.
  const partial = (out: View, count: number, size: number): View =>
    count === 1
      ? out
      : {
          storage: take(4 * count * size, "attention sums"),
          layout: { shape: [1, count, size], strides: [count * size, size, 1], offset: 0 },
          dtype: "f32",
        };
  const sums = {
    dk: partial(dk, parts, batch * m * d),
    dv: partial(dv, parts, batch * m * e),
    ...(dbias && { dbias: partial(dbias, groups, slices * n * m) }),
  };
  const args = {
    ...biasArguments(cpu, biases),
    ...cuts,
    ...matrixArguments(cpu, take, { q, k, dy: upper }),
    keys: keys.address,
    keysBatch: keys.batchBytes,
    values: values.address,
    valuesBatch: values.batchBytes,
    stats: cpu.address(stats),
    dq: cpu.address(dq),
    dk: cpu.address(sums.dk),
    dv: cpu.address(sums.dv),
    dbias: sums.dbias ? cpu.address(sums.dbias) : 0,
    scratch: scratch.place,
    n,
    m,
    d,
    e,
    lineBytes,
    blockRows,
    partBytesK: 4 * batch * m * d,
    partBytesV: 4 * batch * m * e,
    scale,
  };
  const cost = cuts.members * Math.min(n, cuts.partRows) * m * ((6 * d + 4 * e) / speed + SCORE_COST);
  const form = attentionGradKernel({ biases: biases.length, long: isLong(m), wanted: dbias !== undefined });
  cpu.launch(form, args, slices * groups * parts, 20 + cost);
  for (const [name, out] of Object.entries({ dk, dv, dbias })) {
    const input = sums[name as keyof typeof sums];
    if (!out || !input || input === out) continue;
    const size = input.layout.shape[2]!;
    reduce(cpu, { kind: "sum", input, out: { ...out, layout: { shape: [1, size], strides: [size, 1], offset: 0 } } });
  }
}

/**
 * How the batch is cut into units: entries that share a slice of the biases' gradient are its members, which are cut into groups with a sum
 * of their own each; the queries of an entry are cut into parts, with sums of dk and dv of their own.
 */
function cut({ dy, biases, dbias }: AttentionGradCall) {
  const [batch, n] = dy.layout.shape as [number, number];
  const sizes = biases[0]?.layout.shape.slice(0, 3) ?? [1, 1, batch];
  const kept = sizes.map((size, axis) => (dbias && dbias.layout.strides[axis] === 0 ? 1 : size));
  const summed = sizes.map((size, axis) => size / kept[axis]!);
  const slices = kept.reduce((a, b) => a * b);
  const shared = batch / slices;
  const members = Math.min(shared, Math.max(GROUP_MEMBERS, Math.ceil(shared / Math.ceil(UNITS / slices))));
  const groups = Math.ceil(shared / members);
  const wanted = Math.min(Math.ceil(UNITS / (slices * groups)), Math.ceil(n / PART_ROWS));
  const partRows = STEP * Math.ceil(n / wanted / STEP);
  const parts = Math.ceil(n / partRows);
  const [, kept1, kept2] = kept as [number, number, number];
  const [, summed1, summed2] = summed as [number, number, number];
  const [, size1, size2] = sizes as [number, number, number];
  return { slices, groups, parts, shared, members, partRows, kept1, kept2, summed1, summed2, size1, size2 };
}
