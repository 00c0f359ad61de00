import { describe, expect, it } from "vitest";
import { Attributes } from "../src/attributes.ts";

describe("Attributes", () => {
  const read = (value: unknown): Attributes => new Attributes(value, "config");

  it("reads fields by type", () => {
    const config = read({
      n: 1,
      yes: true,
      s: "x",
      list: [1, 2],
      names: ["a"],
      inner: { k: 1 },
      rows: [{ k: 2 }],
      none: null,
    });
    expect(config.number("n")).toBe(1);
    expect(config.boolean("yes")).toBe(true);
    expect(config.string("s")).toBe("x");
    expect(config.oneOf("s", ["x", "y"])).toBe("x");
    expect(config.pair("list")).toEqual([1, 2]);
    expect(config.strings("names")).toEqual(["a"]);
    expect(config.object("inner").number("k")).toBe(1);
    expect(config.objects("rows")[0]!.number("k")).toBe(2);
    expect(config.optionalNumber("none")).toBeUndefined();
    expect(config.has("absent")).toBe(false);
    expect(() => config.finish()).not.toThrow();
  });

  it("asks for no field that only informs, and takes no other way than the one there is", () => {
    const config = read({ params: "many", version: "0.1" });
    config.inform("params", "batch");
    config.assume("version", "0.1");
    config.assume("input", "bytes");
    expect(() => config.finish()).not.toThrow();
    expect(() => config.assume("version", "0.2", 3)).toThrow('config.version is "0.1", not 0.2 or 3');
  });

  it("refuses other types by name", () => {
    const config = read({ n: "1", list: [1, "2"] });
    expect(() => config.number("n")).toThrow('config.n is "1", not a number');
    expect(() => config.numbers("list")).toThrow('config.list is [1,"2"], not a list of numbers');
    expect(() => config.boolean("absent")).toThrow("config.absent is missing, not true or false");
    expect(() => config.oneOf("n", ["a", "b"])).toThrow("not a or b");
    expect(() => config.pair("list")).toThrow("config.list");
    expect(() => config.object("n")).toThrow("config.n is not an object");
    expect(() => read([])).toThrow("config is not an object");
  });

  it("remembers what was not read, notes aside", () => {
    const config = read({ n: 1, future: 2, note: "text", seed: 3 });
    config.number("n");
    expect(() => config.finish()).toThrow("config: future not understood");
  });
});
