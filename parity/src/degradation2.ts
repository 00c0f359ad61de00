/** The group `degradation2`: USM sharpening, MATLAB's imresize and the second-order pipeline, from recorded random draws. */
import { imresize, usmSharpen } from "@deplsr/degradation";
import { type Device, squeeze, unsqueeze } from "@deplsr/tensor";
import { Attributes } from "./attributes.ts";
import { stageCases, tensor } from "./degradation-stages.ts";
import type { Case, Driver, Fixture, Outputs } from "./fixture.ts";

/** The file's `op` decides. */
export const cases: Driver = (fixture, device) => {
  const config = new Attributes(fixture.config, "config");
  const op = config.oneOf("op", ["usm_sharp", "imresize", "two_order_degradation"]);
  if (op === "two_order_degradation") return pipelineCases(fixture, device, config);
  return op === "usm_sharp" ? usmCases(fixture, device, config) : imresizeCases(fixture, device, config);
};

function usmCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const radius = config.number("radius");
  const outputs = config.object("outputs");
  // The kernel follows from the radius, and the last one is a property of the data.
  config.inform("sigma", "kernel", "min_tie_distance");
  config.finish();
  return each(outputs, (name, attributes) => {
    const image = tensor(fixture, device, "in.image");
    const options = { weight: attributes.number("weight"), threshold: attributes.number("threshold") };
    return { [name]: usmSharpen(image, { radius, ...options }) };
  });
}

function imresizeCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const outputs = config.object("outputs");
  config.finish();
  return each(outputs, (name, attributes) => {
    const image = tensor(fixture, device, attributes.string("image"));
    const antialiasing = attributes.boolean("antialiasing");
    // One image without the axis of the batch.
    return { [name]: squeeze(imresize(unsqueeze(image, 0), attributes.number("scale"), { antialiasing }), 0) };
  });
}

function pipelineCases(fixture: Fixture, device: Device, config: Attributes): Case[] {
  const stages = config.raw("stages");
  // What the stages repeat, and a property of the data.
  config.inform("scale", "resize1_scale", "resize1_mode", "noise1", "resize2_scale", "resize2_mode", "noise2");
  config.inform("final_order", "final_mode", "min_tie_distance");
  config.finish();
  return stageCases(fixture, device, stages);
}

/** A case for each entry of a configuration's outputs. */
function each(outputs: Attributes, run: (name: string, attributes: Attributes) => Outputs): Case[] {
  return outputs.names().map((name) => ({
    name,
    run: () => {
      const attributes = outputs.object(name);
      const result = run(name, attributes);
      attributes.finish();
      return result;
    },
  }));
}
