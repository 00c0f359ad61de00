import { describe, expect, it } from "vitest";
import {
  captionParts,
  type DegradationLevels,
  degradationCaption,
  fineLabels,
  labelValue,
  parseCaption,
} from "../src/caption.ts";

const gaussian: DegradationLevels = {
  blurSigma: 1.2,
  noise: { type: "gaussian", sigma: 12.34 },
  quality: 55,
  ringing: true,
};
const poisson: DegradationLevels = {
  blurSigma: 0,
  noise: { type: "poisson", scale: 1.35 },
  quality: 61.3,
  ringing: false,
};

describe("degradationCaption", () => {
  it("joins its parts in order", () => {
    expect(degradationCaption(gaussian)).toBe(
      "blur with sigma:1.2,gaussian noise with sigma:12.3,jpeg with quality factor:55.0,ringing and overshoot artifacts",
    );
    expect(captionParts(poisson)).toEqual([
      "blur with sigma:0.0",
      "poisson noise with scale:1.4",
      "jpeg with quality factor:61.3",
    ]);
  });

  it.each([
    [12.25, "12.2"],
    [12.75, "12.8"],
    [0.25, "0.2"],
    [0.75, "0.8"],
    [0.35, "0.3"], // 0.35 is slightly less in binary
    [2.05, "2.0"],
    [29.96, "30.0"],
  ])("writes %d with one decimal as %s", (blurSigma, text) => {
    expect(captionParts({ ...poisson, blurSigma })[0]).toBe(`blur with sigma:${text}`);
  });
});

describe("fineLabels", () => {
  it("writes all five, absent ones as zero", () => {
    expect(fineLabels(gaussian)).toEqual([
      "blur with sigma:1.2",
      "gaussian noise with sigma:12.3",
      "poisson noise with scale:0.0",
      "jpeg with quality factor:55.0",
      "ringing and overshoot artifacts",
    ]);
    expect(fineLabels(poisson).slice(1)).toEqual([
      "gaussian noise with sigma:0",
      "poisson noise with scale:1.4",
      "jpeg with quality factor:61.3",
      "no ringing and overshoot artifacts",
    ]);
    expect(fineLabels(poisson, { gaussian: "0.0" })[1]).toBe("gaussian noise with sigma:0.0");
    expect(fineLabels(gaussian, { poisson: "0" })[2]).toBe("poisson noise with scale:0");
  });
});

describe("parseCaption", () => {
  it("reads back what was written", () => {
    expect(parseCaption(degradationCaption(gaussian))).toEqual({
      ...gaussian,
      noise: { type: "gaussian", sigma: 12.3 },
    });
    expect(parseCaption(degradationCaption({ ...poisson, noise: null }))).toEqual({ ...poisson, noise: null });
    expect(fineLabels(parseCaption(degradationCaption(poisson)))).toEqual(fineLabels(poisson));
  });

  it.each([
    ["", '"" is not a degradation'],
    ["a photo", '"a photo" is not a degradation'],
    ["blur with sigma:x,jpeg with quality factor:50.0", '"blur with sigma:x" is not a degradation'],
    ["blur with sigma:1.0", 'has no "jpeg with quality factor:..."'],
    ["jpeg with quality factor:50.0", 'has no "blur with sigma:..."'],
    ["blur with sigma:1.0,blur with sigma:1.0", '"blur with sigma" is there twice'],
    ["ringing and overshoot artifacts:3", "is not a degradation"],
    [
      "blur with sigma:1.0,gaussian noise with sigma:1.0,poisson noise with scale:1.0,jpeg with quality factor:1.0",
      "two kinds of noise",
    ],
  ])("refuses %j", (caption, message) => {
    expect(() => parseCaption(caption)).toThrow(message);
  });
});

describe("labelValue", () => {
  it("is the number after the last colon", () => {
    expect(labelValue("gaussian noise with sigma:15")).toBe(15);
    expect(labelValue("a: b:2.5")).toBe(2.5);
    expect(() => labelValue("no ringing")).toThrow('"no ringing" does not end in ":" and a number');
    expect(() => labelValue("sigma:")).toThrow("a number");
  });
});
