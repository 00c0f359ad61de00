import { bytesSource, openSafetensors, readTensor, type StoredDType, writeSafetensors } from "@deplsr/tensor";
import { expect, it } from "vitest";
import { watchFinite } from "../../src/files/finite.ts";

/** Of each type the bytes of numbers, the largest among them, and of what is none. */
it.each<[StoredDType, finite: number[][], others: number[][]]>([
  [
    "F16",
    [
      [0xff, 0x7b],
      [0x00, 0x80],
      [0x7c, 0x00],
    ],
    [
      [0x00, 0x7c],
      [0x00, 0xfc],
      [0x01, 0x7e],
    ],
  ],
  [
    "BF16",
    [
      [0x7f, 0x7f],
      [0x80, 0x00],
      [0x00, 0x7f],
    ],
    [
      [0x80, 0x7f],
      [0x80, 0xff],
      [0xc0, 0x7f],
    ],
  ],
  [
    "F32",
    [
      [0xff, 0xff, 0x7f, 0x7f],
      [0, 0, 0x80, 0],
    ],
    [
      [0, 0, 0x80, 0x7f],
      [0, 0, 0x80, 0xff],
      [0, 0, 0xc0, 0x7f],
    ],
  ],
  [
    "F64",
    [[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
    [
      [0, 0, 0, 0, 0, 0, 0xf0, 0x7f],
      [0, 0, 0, 0, 0, 0, 0xf8, 0xff],
    ],
  ],
  ["F8_E5M2", [[0x7b], [0xfb]], [[0x7c], [0x7f], [0xfc]]],
  [
    "I16",
    [
      [0xff, 0x7f],
      [0x00, 0x7c],
    ],
    [],
  ],
])(
  "values of %s that are NaN or infinite are seen, wherever they stand, and no others",
  async (dtype, finite, others) => {
    const seen = async (numbers: readonly number[][]): Promise<boolean> => {
      const bytes = Uint8Array.from(numbers.flat());
      const file = writeSafetensors([["x", { dtype, shape: [numbers.length], bytes }]]);
      const { tensors } = await openSafetensors(bytesSource(file));
      let found = false;
      const read = await readTensor(
        watchFinite(tensors.get("x")!, () => {
          found = true;
        }),
      );
      expect([...read.bytes]).toEqual([...bytes]);
      return found;
    };
    expect(await seen(finite)).toBe(false);
    for (const other of others) {
      for (let at = 0; at <= finite.length; at++)
        expect(await seen([...finite.slice(0, at), other, ...finite.slice(at)])).toBe(true);
    }
  },
);
