import { describe, expect, it } from "vitest";
import { besselJ1 } from "../src/bessel.ts";
import { type BlurKernel, type BlurKernelSpec, blurKernel, covariance, padKernel } from "../src/blur-kernel.ts";

const at = (kernel: BlurKernel, row: number, column: number): number => kernel.weights[row * kernel.size + column]!;
const centre = (kernel: BlurKernel): number => at(kernel, (kernel.size - 1) / 2, (kernel.size - 1) / 2);
const sinc = (cutoff: number, size: number): BlurKernel => blurKernel({ type: "sinc", cutoff, size });
const skewed = { size: 7, sigmaX: 1, sigmaY: 2, theta: Math.PI / 4 } as const;

describe("besselJ1", () => {
  it.each([
    [0, 0],
    [0.5, 0.242268457675],
    [3, 0.339058958526],
    [10, 0.0434727461688614],
    [47, 0.0912687642400079],
    [-3, -0.339058958526],
  ])("J1(%d) is %d", (x, expected) => {
    expect(besselJ1(x)).toBeCloseTo(expected, 11);
  });
});

describe("blurKernel", () => {
  it("agrees with published values of the circular low-pass filter", () => {
    const seven = sinc(Math.PI / 3, 7);
    expect(seven.weights.reduce((sum, weight) => sum + weight)).toBeCloseTo(1, 12);
    expect(centre(seven)).toBeCloseTo(0.0636353983145, 9);
    expect(at(seven, 0, 0)).toBeCloseTo(-0.00616561397854, 9);
    expect(at(seven, 0, 3)).toBeCloseTo(0.0115302094999, 9);
    expect(centre(sinc(Math.PI / 3, 21))).toBeCloseTo(0.0877581040159, 9);
    expect(at(sinc(Math.PI / 3, 21), 20, 0)).toBeCloseTo(0.00244985058512, 9);
    expect(centre(sinc(Math.PI, 7))).toBeCloseTo(0.802869545574, 9);
    expect(Math.min(...sinc(Math.PI, 7).weights)).toBeCloseTo(-0.077789780912, 9);
    expect(centre(sinc(2, 9))).toBeCloseTo(0.273394709626, 9);
    expect(centre(sinc(Math.PI / 5, 13))).toBeCloseTo(0.0245388053977, 9);
  });

  it("agrees with published values of the Gaussians", () => {
    const iso = blurKernel({ type: "iso", size: 7, sigma: 1 });
    expect(centre(iso)).toBeCloseTo(0.159241125691, 10);
    expect(at(iso, 2, 3)).toBeCloseTo(0.0965846250186, 10);
    expect(at(iso, 6, 6)).toBeCloseTo(1.9651916124e-5, 12);
    const aniso = blurKernel({ type: "aniso", ...skewed });
    expect(centre(aniso)).toBeCloseTo(0.0832003983739, 10);
    expect(at(aniso, 3, 4)).toBeCloseTo(0.0608707117849, 10);
    expect(at(aniso, 4, 3)).toBeCloseTo(0.0608707117849, 10);
    expect(at(aniso, 0, 0)).toBeCloseTo(1.02677448633e-5, 12);
    expect(at(aniso, 0, 6)).toBeCloseTo(0.00876925747185, 10);
    const wide = blurKernel({ type: "aniso", size: 21, sigmaX: 1.5, sigmaY: 3, theta: Math.PI / 6 });
    expect(centre(wide)).toBeCloseTo(0.0353711019961, 10);
    expect(at(wide, 10, 11)).toBeCloseTo(0.0295280188296, 10);
    expect(at(wide, 11, 10)).toBeCloseTo(0.0320941232402, 10);
  });

  it("agrees with published values of the generalised and plateau families", () => {
    const generalized = blurKernel({ type: "generalized_aniso", ...skewed, beta: 0.7 });
    expect(centre(generalized)).toBeCloseTo(0.0629970000673, 10);
    expect(at(generalized, 3, 4)).toBeCloseTo(0.043959401422, 10);
    expect(at(generalized, 0, 0)).toBeCloseTo(0.00143564790451, 10);
    expect(at(generalized, 0, 6)).toBeCloseTo(0.0150319449626, 10);
    const plateau = blurKernel({ type: "plateau_aniso", ...skewed, beta: 1.5 });
    expect(centre(plateau)).toBeCloseTo(0.0957209683275, 10);
    expect(at(plateau, 3, 4)).toBeCloseTo(0.0640657193891, 10);
    expect(at(plateau, 0, 6)).toBeCloseTo(0.00907656921004, 10);
  });

  it("with beta 1 the generalised family is the Gaussian", () => {
    expect(blurKernel({ type: "generalized_iso", size: 9, sigma: 1.3, beta: 1 })).toEqual(
      blurKernel({ type: "iso", size: 9, sigma: 1.3 }),
    );
  });

  it("with sigma 0 changes nothing, in every family", () => {
    const delta = new Float64Array(25);
    delta[12] = 1;
    const specs: BlurKernelSpec[] = [
      { type: "iso", size: 5, sigma: 0 },
      { type: "aniso", size: 5, sigmaX: 0, sigmaY: 0, theta: 1 },
      { type: "plateau_iso", size: 5, sigma: 0, beta: 2 },
    ];
    for (const spec of specs) expect(blurKernel(spec).weights).toEqual(delta);
  });

  it("refuses what has no kernel", () => {
    expect(() => blurKernel({ type: "iso", size: 4, sigma: 1 })).toThrow("size 4 must be odd");
    expect(() => blurKernel({ type: "iso", size: 3, sigma: -1 })).toThrow("sigma (-1, -1) must be positive");
    expect(() => blurKernel({ type: "aniso", size: 3, sigmaX: 0, sigmaY: 1, theta: 0 })).toThrow("0 for both axes");
    expect(() => blurKernel({ type: "iso", size: 3, sigma: Number.NaN })).toThrow("must be positive");
  });
});

describe("covariance", () => {
  it("turns the axes", () => {
    const matrix = covariance(1, 2, Math.PI / 4); // columns of 4: wgpu-matrix pads them
    expect([matrix[0], matrix[1], matrix[4], matrix[5]].map((value) => Number(value!.toFixed(12)))).toEqual([
      2.5, -1.5, -1.5, 2.5,
    ]);
  });
});

describe("padKernel", () => {
  it("keeps the centre in the centre", () => {
    const padded = padKernel(blurKernel({ type: "iso", size: 3, sigma: 1 }), 7);
    expect(padded.weights.length).toBe(49);
    expect(centre(padded)).toBe(centre(blurKernel({ type: "iso", size: 3, sigma: 1 })));
    expect([...padded.weights].filter((weight) => weight > 0)).toHaveLength(9);
  });

  it("refuses a smaller or an even frame", () => {
    const kernel = blurKernel({ type: "iso", size: 5, sigma: 1 });
    expect(() => padKernel(kernel, 3)).toThrow("does not fit");
    expect(() => padKernel(kernel, 8)).toThrow("does not fit");
  });
});
