import { expect, it } from "vitest";
import { writeOnnx } from "../src/peers/onnx.ts";

interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

/** Reads one message by the wire format alone. */
function fields(bytes: Uint8Array): Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const length = key % 8 === 0 ? 0 : key % 8 === 5 ? 4 : varint();
    const value = key % 8 === 0 ? varint() : bytes.slice(at, at + length);
    at += length;
    found.push({ number: key >> 3, value });
  }
  return found;
}

const inside = (all: Field[], number: number): Field[][] =>
  all.flatMap((field) => (field.number === number ? [fields(field.value as Uint8Array)] : []));
const texts = (all: Field[], number: number): string[] =>
  all.flatMap((field) => (field.number === number ? [new TextDecoder().decode(field.value as Uint8Array)] : []));

it("writes a graph that the wire format gives back", () => {
  const model = fields(
    writeOnnx({
      inputs: { x: [2, 300] },
      outputs: { y: [600] },
      nodes: [
        {
          op: "Softmax",
          inputs: ["x"],
          outputs: ["y"],
          attributes: { axis: -1, pads: [0, 1], scale: { float: 0.5 }, mode: "same" },
        },
      ],
    }),
  );
  expect(model.find(({ number }) => number === 1)?.value).toBe(10);
  expect(inside(model, 8).map((opset) => texts(opset, 1)[0])).toEqual(["", "com.microsoft"]);
  const graph = inside(model, 7)[0]!;
  const node = inside(graph, 1)[0]!;
  expect([texts(node, 4), texts(node, 1), texts(node, 2)]).toEqual([["Softmax"], ["x"], ["y"]]);
  const attributes = new Map(inside(node, 5).map((attribute) => [texts(attribute, 1)[0], attribute]));
  const plain = (name: string, number: number): unknown[] =>
    attributes.get(name)!.flatMap((field) => (field.number === number ? [field.value] : []));
  expect(plain("axis", 3)).toEqual([-1]);
  expect(plain("pads", 8)).toEqual([0, 1]);
  expect(new Float32Array((plain("scale", 2)[0] as Uint8Array).buffer)[0]).toBe(0.5);
  expect(texts(attributes.get("mode")!, 4)).toEqual(["same"]);
  expect(["axis", "pads", "scale", "mode"].map((name) => plain(name, 20)[0])).toEqual([2, 7, 1, 3]);
  const shapeOf = (value: Field[]): unknown[] => {
    const type = inside(inside(value, 2)[0]!, 1)[0]!;
    return inside(inside(type, 2)[0]!, 1).map((dim) => dim[0]!.value);
  };
  expect(shapeOf(inside(graph, 11)[0]!)).toEqual([2, 300]);
  expect(shapeOf(inside(graph, 12)[0]!)).toEqual([600]);
});
