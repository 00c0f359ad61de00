/** MUSIQ. */
import { MUSIQ, musiqCells, type PatchGrid } from "@deplsr/metrics";
import {
  cat,
  type Device,
  indexSelect,
  mean,
  relu,
  reshape,
  select,
  slice,
  sqrt,
  square,
  sum,
  type Tensor,
} from "@deplsr/tensor";
import type { Attributes } from "../attributes.ts";
import { type Case, expectedNames, type Fixture, type Outputs, stored } from "../fixture.ts";
import { activation, beginning, host, optional, pixels } from "./activations.ts";
import { joined, networkCase, numbered } from "./network.ts";

export function musiqCase(fixture: Fixture, device: Device, config: Attributes): Case {
  const arch = config.object("arch");
  const sizes = {
    patchSize: arch.number("patch_size"),
    longerSides: arch.numbers("longer_side_lengths"),
    grid: arch.number("spatial_pos_grid_size"),
    hidden: arch.number("hidden_size"),
    mlpHidden: arch.number("mlp_dim"),
    heads: arch.number("num_heads"),
    layers: arch.number("num_layers"),
    classes: arch.number("num_class"),
  };
  arch.assume("num_scales", sizes.longerSides.length + 1);
  arch.assume("max_seq_len_from_original_res", -1);
  arch.finish();
  const names = numbered(config, "cases", "case");
  return networkCase(
    config,
    device,
    (init) => new MUSIQ(sizes, init),
    (metric) =>
      joined([hashOutputs(fixture, sizes.grid), ...names.map((name) => caseOutputs(fixture, device, metric, name))]),
  );
}

/** The cells of patches for numbers of rows and columns that the names tell. */
function hashOutputs(fixture: Fixture, grid: number): Outputs {
  const sizes = expectedNames(fixture).flatMap((name) => {
    const [, rows, columns] = /^hash\.(\d+)x(\d+)$/.exec(name) ?? [];
    return rows === undefined ? [] : [{ name, cells: musiqCells(Number(rows), Number(columns), grid) }];
  });
  return Object.fromEntries(sizes.map(({ name, cells }) => [name, host(cells)]));
}

/** The reference's list of patches, which pads those of a resized image to as many as a square one has. */
interface PatchList {
  /** The place of each entry's patch among the real ones; their number for padding. */
  readonly patch: number[];
  readonly scale: number[];
  readonly cell: number[];
  readonly mask: number[];
}

function patchList({ config }: MUSIQ, grids: readonly PatchGrid[]): PatchList {
  const list: PatchList = { patch: [], scale: [], cell: [], mask: [] };
  const total = grids.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  let first = 0;
  grids.forEach(({ rows, columns }, scale) => {
    const cells = musiqCells(rows, columns, config.grid);
    const side = config.longerSides[scale];
    const length = side === undefined ? cells.length : Math.ceil(side / config.patchSize) ** 2;
    for (let i = 0; i < length; i++) {
      const real = i < cells.length;
      list.patch.push(real ? first + i : total);
      list.scale.push(real ? scale : 0);
      list.cell.push(real ? cells[i]! : 0);
      list.mask.push(real ? 1 : 0);
    }
    first += cells.length;
  });
  return list;
}

function caseOutputs(fixture: Fixture, device: Device, metric: MUSIQ, name: string): Outputs {
  const image = pixels(fixture, device, `${name}.rgb`);
  const scales = metric.scales(image);
  const grids = metric.grids(image);
  const { patch, scale, cell, mask } = patchList(metric, grids);
  const index = (values: readonly number[]): Tensor => device.tensor(Int32Array.from(values));
  const padding = device.zeros([1, 1, ...grids[0]!.patches.shape.slice(2)]);
  const patches = cat([...grids.map((grid) => grid.patches), padding], 1);
  const list = indexSelect(select(patches, 0, 0), 0, index(patch));
  const embedded = indexSelect(select(metric.embed(patches), 0, 0), 0, index(patch));
  const picked = [...stored(fixture, `${name}.patch.index`).toInt32()];
  const tokens = index(picked.map((place) => 1 + patch[place]!)); // behind the class token
  const watched: Record<string, Tensor> = {};
  const score = metric.forward(image, (part, x) => {
    if (part === "cls") watched[`${name}.encoder_norm.cls`] = reshape(x, [-1]);
    for (const label of labels(metric, part)) {
      watched[`${name}.${label}.cls`] = select(select(x, 0, 0), 0, 0);
      watched[`${name}.${label}.rows`] = indexSelect(select(x, 0, 0), 0, tokens);
    }
  });
  const sizes = grids.flatMap(({ rows, columns }, i) => [...scales[i]!.shape.slice(2), rows, columns]);
  return {
    ...watched,
    ...joined(scales.map((one, i) => resizedOutputs(fixture, `${name}.resized${i}`, one))),
    ...rootOutputs(fixture, metric, name, select(patches, 1, 0)),
    [`${name}.sizes`]: host(sizes, [grids.length, 4]),
    [`${name}.scale`]: host(scale),
    [`${name}.spatial`]: host(cell),
    [`${name}.mask`]: host(mask),
    [`${name}.patch.index`]: host(picked),
    [`${name}.patch.pixels`]: indexSelect(list, 0, index(picked)),
    [`${name}.patch.sum`]: sum(list, { dim: [1, 2, 3] }),
    [`${name}.patch.rms`]: sqrt(mean(square(list), { dim: [1, 2, 3] })),
    [`${name}.embedding.row_mean`]: mean(embedded, { dim: 1 }),
    [`${name}.embedding.rows`]: indexSelect(embedded, 0, index(picked)),
    [`${name}.score`]: reshape(score, []),
  };
}

/** What is stored of the transformer's states. */
function labels({ config }: MUSIQ, part: string): string[] {
  return [
    ...(part === "tokens" ? ["tokens_in"] : []),
    ...(part === "block0" ? ["block_first"] : []),
    ...(part === `block${config.layers - 1}` ? ["block_last"] : []),
  ];
}

/** A resized image: means, rows from the middle, the last corner; less where the image is smaller. */
function resizedOutputs(fixture: Fixture, name: string, image: Tensor): Outputs {
  const [height, width] = image.shape.slice(2) as [number, number];
  const top = Math.max(0, Math.floor(height / 2) - 3);
  const one = select(image, 0, 0);
  const from = (start: number): number => Math.max(0, start);
  return {
    ...activation(fixture, name, image),
    ...optional(fixture, `${name}.crop`, () => slice(one, [null, [top, top + 6], [0, 8]])),
    ...optional(fixture, `${name}.corner`, () =>
      slice(one, [null, [from(height - 4), height], [from(width - 4), width]]),
    ),
  };
}

/** The maps that the network makes of the first patch `(1, 3, p, p)`. */
function rootOutputs(fixture: Fixture, { patchEmbedding }: MUSIQ, name: string, patch: Tensor): Outputs {
  const root = patchEmbedding.convRoot.forward(patch);
  const normal = relu(patchEmbedding.gnRoot.forward(root));
  const pooled = patchEmbedding.pool(normal);
  const maps = { conv_root: root, gn_root: normal, root_pool: pooled, block1: patchEmbedding.block1.forward(pooled) };
  return joined(
    Object.entries(maps).map(([part, map]) => beginning(fixture, `${name}.${part}.patch0`, select(map, 0, 0))),
  );
}
