/**
 * The trained networks: where their files of weights and their cards are. Nothing is loaded here, and nothing of the engine is needed.
 *
 * @packageDocumentation
 */

export { DIAGNOSIS_PROMPTS, MODELS, type ShippedModel, shippedModel } from "./models.ts";
export { PHOTOGRAPH_SIDE, PHOTOGRAPHS, type ShippedPhotograph } from "./photographs.ts";
