/** Everything about one photo beside its picture. */
import { css, html, LitElement, type TemplateResult } from "lit";
import "./download-bar.ts";
import "./seen-bars.ts";
import "./settings-panel.ts";
import type { DeviceDescription } from "../client/api.ts";
import type { Item } from "./item.ts";
import { controls } from "./look.ts";
import { DEFAULTS, type Settings, sameResult } from "./settings.ts";
import { duration } from "./words.ts";

/** `<deplsr-panel>`: says `cancel`, `again`, and `settings` with what is otherwise. */
export class PhotoPanel extends LitElement {
  static override properties = {
    item: { attribute: false },
    revision: { attribute: false },
    all: { attribute: false },
    settings: { attribute: false },
    device: { attribute: false },
  };
  declare item: Item;
  declare revision: number;
  /** All items that have a result. */
  declare all: readonly Item[];
  declare settings: Settings;
  declare device: DeviceDescription | null;

  constructor() {
    super();
    this.revision = 0;
    this.all = [];
    this.settings = DEFAULTS;
    this.device = null;
  }

  override render(): TemplateResult {
    const { item, settings } = this;
    const change = (event: CustomEvent): boolean =>
      this.dispatchEvent(new CustomEvent("settings", { detail: event.detail }));
    return html`
      <section class="head">
        <h2 title=${item.name}>${item.name}</h2>
        ${this.#facts()}
        ${item.facts?.notes.map((note) => html`<p class="quiet">${note}</p>`) ?? ""}
        ${this.#status()}
      </section>
      <section aria-labelledby="seen">
        <h3 id="seen">What it sees</h3>
        <deplsr-seen .seen=${item.seen}></deplsr-seen>
      </section>
      ${
        item.result === null
          ? ""
          : html`<section aria-labelledby="download">
              <h3 id="download">Download</h3>
              <deplsr-download .item=${item} .all=${this.all} .settings=${settings} @settings=${change}></deplsr-download>
            </section>`
      }
      <section aria-labelledby="result">
        <h3 id="result">Result</h3>
        <deplsr-settings .settings=${settings} .device=${this.device} @settings=${change}></deplsr-settings>
      </section>
    `;
  }

  #facts(): TemplateResult | string {
    const { facts, result } = this.item;
    if (facts === null) return "";
    const sizes = [facts, ...(result ? [result] : [])].map(({ width, height }) => `${width} × ${height}`);
    return html`<p class="quiet numbers">${sizes.join(" → ")} · ${facts.format.toUpperCase()}${facts.depth === 16 ? ", 16 bits" : ""}</p>`;
  }

  #status(): TemplateResult {
    const { item, settings } = this;
    const again = (text: string): TemplateResult =>
      html`<button class="primary" @click=${() => this.#say("again")}>${text}</button>`;
    const changed = item.settings !== null && !sameResult(item.settings, settings);
    switch (item.state.kind) {
      case "failed":
        return html`<p class="wrong">${item.state.message}</p>${again("Try again")}`;
      case "cancelled":
        return html`<p class="quiet">Cancelled.</p>${again("Enlarge")}`;
      case "done":
        return html`<p class="quiet">Done in ${duration(item.result!.seconds)}.</p>${changed ? again("Enlarge with these settings") : ""}`;
      default:
        return html`<div class="progress">
            ${this.#progress()}
            <button @click=${() => this.#say("cancel")}>Cancel</button>
          </div>
          ${changed && item.state.kind === "enlarging" ? again("Begin again with these settings") : ""}`;
    }
  }

  #progress(): TemplateResult {
    const { state } = this.item;
    const { done, total, secondsLeft } = state.kind === "enlarging" ? state : { done: 0, total: 0, secondsLeft: null };
    const text =
      { waiting: "Waits for its turn", reading: "Reading", seeing: "Looking at it" }[state.kind as string] ??
      "Enlarging";
    const left = secondsLeft === null ? "" : `, about ${duration(secondsLeft)} left`;
    return html`<div class="how">
      <span class="numbers">${text}${total > 0 ? ` ${Math.floor((100 * done) / total)} %${left}` : " …"}</span>
      ${
        total > 0
          ? html`<progress aria-label="Enlarging" max=${total} .value=${done}></progress>`
          : html`<progress aria-label=${text}></progress>`
      }
    </div>`;
  }

  #say(event: "cancel" | "again"): void {
    this.dispatchEvent(new CustomEvent(event, { detail: this.item }));
  }

  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 26px;
        align-content: start;
      }
      section {
        min-width: 0;
      }
      h2 {
        overflow: hidden;
        font-size: 17px;
        font-weight: 600;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      h3 {
        margin-bottom: 6px;
        font-size: 15px;
        font-weight: 600;
      }
      .head {
        display: grid;
        gap: 4px;
      }
      .head > button {
        margin-top: 6px;
      }
      .progress {
        display: flex;
        gap: 12px;
        align-items: center;
        min-height: 44px;
      }
      .how {
        flex: 1;
        min-width: 0;
      }
      progress {
        display: block;
        width: 100%;
        height: 6px;
        margin-top: 4px;
        border: 0;
        border-radius: 3px;
        overflow: hidden;
        background: var(--line);
        accent-color: var(--accent);
      }
      progress::-webkit-progress-bar {
        background: var(--line);
      }
      progress::-webkit-progress-value {
        background: var(--accent);
      }
      progress::-moz-progress-bar {
        background: var(--accent);
      }
      @media (forced-colors: active) {
        progress {
          forced-color-adjust: none;
          border: 1px solid CanvasText;
          background: Canvas;
        }
        progress::-webkit-progress-bar {
          background: Canvas;
        }
        progress::-webkit-progress-value {
          background: Highlight;
        }
        progress::-moz-progress-bar {
          background: Highlight;
        }
      }
      .wrong::first-letter {
        text-transform: uppercase;
      }
      .wrong {
        color: var(--wrong);
        overflow-wrap: anywhere;
      }
    `,
  ];
}

customElements.define("deplsr-panel", PhotoPanel);
