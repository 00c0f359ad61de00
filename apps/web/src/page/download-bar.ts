/** A result as a file. */
import { css, html, LitElement, type TemplateResult } from "lit";
import type { ResultFormat } from "../client/api.ts";
import { encodeAll, encodeResult, saveFile } from "./download.ts";
import * as icons from "./icons.ts";
import type { Item } from "./item.ts";
import { controls, rows } from "./look.ts";
import { DEFAULTS, type Settings } from "./settings.ts";
import { oneLine } from "./words.ts";
import type { ZipEntry } from "./zip.ts";

const FORMATS: readonly (readonly [format: ResultFormat, name: string])[] = [
  ["png", "PNG"],
  ["jpeg", "JPEG"],
  ["webp", "WebP"],
];

/** `<deplsr-download>`: format, quality and the buttons; says changes of settings with `settings`. */
export class DownloadBar extends LitElement {
  static override properties = {
    item: { attribute: false },
    all: { attribute: false },
    settings: { attribute: false },
    busy: { state: true },
    wrong: { state: true },
  };
  declare item: Item;
  /** All items that have a result. */
  declare all: readonly Item[];
  declare settings: Settings;
  declare busy: boolean;
  declare wrong: string | null;

  constructor() {
    super();
    this.all = [];
    this.settings = DEFAULTS;
    this.busy = false;
    this.wrong = null;
  }

  override render(): TemplateResult {
    const { format, quality } = this.settings;
    const refused = this.item.result?.refused;
    const reason = refused?.[format] ?? null;
    return html`
      <label class="row">
        <span>File</span>
        <select @change=${this.#format}>
          ${FORMATS.map(([one, name]) => html`<option value=${one} ?selected=${one === format}>${name}</option>`)}
        </select>
      </label>
      ${
        format === "png"
          ? ""
          : html`<label class="row">
              <span>Quality</span>
              <input type="range" min="1" max="100" .value=${String(quality[format])} @input=${this.#quality}>
              <output class="quiet numbers">${quality[format]}</output>
            </label>`
      }
      <button class="primary" ?disabled=${this.busy || reason !== null}
        @click=${() => this.#save(() => encodeResult(this.item, this.settings))}>
        ${icons.DOWNLOAD}${this.busy ? "Writing the file …" : "Download"}
      </button>
      ${
        this.all.length > 1
          ? html`<button ?disabled=${this.busy} @click=${() => this.#save(() => encodeAll(this.all, this.settings))}>
              Download all ${this.all.length} (ZIP)
            </button>`
          : ""
      }
      <p class="wrong" role="alert">${this.wrong ?? reason}</p>
    `;
  }

  readonly #format = (event: Event): void => {
    this.wrong = null;
    this.#say({ format: (event.target as HTMLSelectElement).value as ResultFormat });
  };

  readonly #quality = (event: Event): void => {
    const quality = Number((event.target as HTMLInputElement).value);
    this.#say({ quality: { ...this.settings.quality, [this.settings.format]: quality } });
  };

  #say(change: Partial<Settings>): void {
    this.dispatchEvent(new CustomEvent("settings", { detail: change }));
  }

  async #save(make: () => Promise<ZipEntry>): Promise<void> {
    this.busy = true;
    this.wrong = null;
    try {
      saveFile(await make());
    } catch (error) {
      this.wrong = oneLine(error);
    }
    this.busy = false;
  }

  static override styles = [
    controls,
    rows,
    css`
      :host {
        display: grid;
        gap: 10px;
      }
      .wrong {
        color: var(--wrong);
      }
      .wrong:empty {
        display: none;
      }
    `,
  ];
}

customElements.define("deplsr-download", DownloadBar);
