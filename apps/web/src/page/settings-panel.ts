/** What can be set for a result. */
import { css, html, LitElement, type TemplateResult } from "lit";
import type { DeviceDescription } from "../client/api.ts";
import { controls, rows } from "./look.ts";
import { DEFAULTS, LONGEST_SIDE, SCALES, type Settings, TILE_SIDES } from "./settings.ts";

/** `<deplsr-settings>`: fields; says every change with `settings`, whose detail is what is otherwise. */
export class SettingsPanel extends LitElement {
  static override properties = { settings: { attribute: false }, device: { attribute: false } };
  declare settings: Settings;
  declare device: DeviceDescription | null;

  constructor() {
    super();
    this.settings = DEFAULTS;
    this.device = null;
  }

  override render(): TemplateResult {
    const { by, strength, colour, backend, tiles } = this.settings;
    const tiled = this.device?.backend ?? "wasm";
    return html`
      <fieldset>
        <legend>Size</legend>
        <div class="sizes">
          ${SCALES.map((scale) =>
            this.#size(`scale-${scale}`, `${scale}×`, by === "scale" && this.settings.scale === scale, {
              by: "scale",
              scale,
            }),
          )}
          ${this.#size("width", "Width", by === "width", { by: "width" })}
          ${this.#size("height", "Height", by === "height", { by: "height" })}
        </div>
        ${by === "scale" ? "" : this.#pixels(by)}
      </fieldset>
      <label class="row">
        <span>Strength</span>
        <input type="range" min="0" max="100" step="5" .value=${String(Math.round(100 * strength))}
          @input=${(event: Event) => this.#say({ strength: Number(value(event)) / 100 })}>
        <output class="quiet numbers">${Math.round(100 * strength)} %</output>
      </label>
      <label class="row">
        <span>Colours</span>
        <select @change=${(event: Event) => this.#say({ colour: value(event) as Settings["colour"] })}>
          <option value="keep" ?selected=${colour === "keep"}>As in the photo</option>
          <option value="free" ?selected=${colour === "free"}>As the network makes them</option>
        </select>
      </label>
      <details>
        <summary>Device</summary>
        <label class="row">
          <span>Work on</span>
          <select @change=${(event: Event) => this.#say({ backend: value(event) as Settings["backend"] })}>
            <option value="auto" ?selected=${backend === "auto"}>The fastest there is</option>
            <option value="webgpu" ?selected=${backend === "webgpu"}>GPU (WebGPU)</option>
            <option value="wasm" ?selected=${backend === "wasm"}>Processor (WebAssembly)</option>
          </select>
        </label>
        <label class="row">
          <span>Tiles</span>
          <select @change=${(event: Event) => this.#say({ tiles: { ...tiles, [tiled]: Number(value(event)) || "auto" } })}>
            <option value="auto" ?selected=${tiles[tiled] === "auto"}>As memory allows</option>
            ${TILE_SIDES.map((side) => html`<option value=${side} ?selected=${tiles[tiled] === side}>${side} pixels</option>`)}
          </select>
        </label>
        ${this.device?.advice ? html`<p class="quiet">${this.device.advice}</p>` : ""}
      </details>
    `;
  }

  #size(id: string, name: string, checked: boolean, change: Partial<Settings>): TemplateResult {
    return html`<label class="size">
      <input class="unseen" type="radio" name="size" value=${id} .checked=${checked} @change=${() => this.#say(change)}>
      <span>${name}</span>
    </label>`;
  }

  #pixels(by: "width" | "height"): TemplateResult {
    return html`<label class="row">
      <span>Pixels</span>
      <input type="number" min="1" max=${LONGEST_SIDE} step="1" inputmode="numeric" .value=${String(this.settings[by])}
        @change=${(event: Event) => this.#say({ [by]: clamp(Number(value(event)), this.settings[by]) })}>
    </label>`;
  }

  #say(change: Partial<Settings>): void {
    this.dispatchEvent(new CustomEvent("settings", { detail: change }));
    // A field that was given what cannot be shows what holds.
    this.requestUpdate();
  }

  static override styles = [
    controls,
    rows,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 10px;
      }
      fieldset {
        min-width: 0;
        margin: 0;
        padding: 0;
        border: 0;
      }
      legend {
        padding: 0;
        margin-bottom: 4px;
      }
      .sizes {
        display: grid;
        grid-template-columns: repeat(6, auto);
        gap: 6px;
      }
      .size {
        position: relative;
      }
      .size span {
        display: grid;
        min-height: 36px;
        padding: 0 6px;
        place-items: center;
        border: 1px solid var(--edge);
        border-radius: 8px;
        background: var(--raised);
        cursor: pointer;
      }
      .size span:hover {
        border-color: var(--ink);
      }
      .size :checked + span {
        border-color: var(--accent);
        box-shadow: inset 0 0 0 1px var(--accent);
        color: var(--accent);
      }
      .size :focus-visible + span {
        outline: 2px solid var(--accent);
        outline-offset: 2px;
      }
      fieldset .row,
      details .row {
        margin-top: 8px;
      }
      details p {
        margin-top: 8px;
        font-size: 13px;
      }
      summary {
        cursor: pointer;
        color: var(--quiet);
      }
      @media (pointer: coarse) {
        .size span {
          min-height: 44px;
        }
      }
      @media (max-width: 360px) {
        .sizes {
          grid-template-columns: repeat(3, 1fr);
        }
      }
      @media (forced-colors: active) {
        .size :checked + span {
          border: 2px solid Highlight;
        }
      }
    `,
  ];
}

function value(event: Event): string {
  return (event.target as HTMLInputElement | HTMLSelectElement).value;
}

function clamp(pixels: number, otherwise: number): number {
  return Number.isInteger(pixels) && pixels >= 1 ? Math.min(pixels, LONGEST_SIDE) : otherwise;
}

customElements.define("deplsr-settings", SettingsPanel);
