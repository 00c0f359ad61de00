/** `<deplsr-upscaler>`: a picture of somebody's page, with what is wrong with it and a better one. */
import { css, html, LitElement, type TemplateResult } from "lit";
import "../page/compare-view.ts";
import "../page/photo-panel.ts";
import { openUpscaler } from "../client/upscaler.ts";
import type { Item } from "../page/item.ts";
import { controls, tokens } from "../page/look.ts";
import { Queue } from "../page/queue.ts";
import { DEFAULTS, type Settings } from "../page/settings.ts";
import { oneLine } from "../page/words.ts";
import { fileOf, type Source } from "./source.ts";

/**
 * Enlarges what it holds (`<img>` or `<canvas>`), what `src` names, or what its property `source` is, once its button is pressed or `start`
 * is called. Says `done` when there is a result, whose detail it is.
 */
export class UpscalerElement extends LitElement {
  static override properties = {
    src: {},
    scale: { type: Number },
    base: {},
    source: { attribute: false },
    item: { state: true },
    settings: { state: true },
    wrong: { state: true },
  };
  /** Address of a picture. */
  declare src: string | null;
  /** Default 2. */
  declare scale: number | null;
  /** Where the worker, the threads and the models lie. Default: where this file is from. */
  declare base: string | null;
  /** What is enlarged. Default: `src`, else the picture inside. */
  declare source: Source | null;
  declare item: Item | null;
  declare settings: Settings;
  declare wrong: string | null;
  #queue: Queue | null = null;
  #revision = 0;

  constructor() {
    super();
    this.src = null;
    this.scale = null;
    this.base = null;
    this.source = null;
    this.item = null;
    this.settings = DEFAULTS;
    this.wrong = null;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#queue?.close();
    this.#queue = null;
    this.item = null;
  }

  /** Begins. What goes wrong is shown in the element. */
  async start(): Promise<void> {
    this.wrong = null;
    try {
      const source = this.source ?? this.src ?? this.querySelector<HTMLImageElement | HTMLCanvasElement>("img, canvas");
      if (source === null) throw new Error("there is no picture: put an <img> or a <canvas> inside, or set src");
      const file = await fileOf(source);
      if (this.scale !== null) this.settings = { ...this.settings, by: "scale", scale: this.scale };
      this.#queue ??= this.#open();
      if (this.item !== null) this.#queue.remove(this.item);
      this.item = this.#queue.add(file, file.name);
    } catch (error) {
      this.wrong = oneLine(error);
    }
  }

  override render(): TemplateResult {
    const { item, settings } = this;
    if (item === null) {
      return html`
        <slot>${this.src === null ? "" : html`<img src=${this.src} alt="">`}</slot>
        <button class="primary" @click=${this.start}>Enlarge</button>
        <p class="wrong" role="alert">${this.wrong}</p>`;
    }
    const queue = this.#queue!;
    return html`
      <div class="both">
        <deplsr-compare .item=${item} .revision=${this.#revision}
          @attention=${this.#attention}></deplsr-compare>
        <deplsr-panel .item=${item} .revision=${this.#revision} .settings=${settings} .device=${queue.device}
          @settings=${this.#set} @cancel=${() => queue.cancel(item)} @again=${() => queue.again(item)}></deplsr-panel>
        <p class="wrong" role="alert">${this.wrong ?? queue.broken}</p>
      </div>`;
  }

  readonly #set = ({ detail }: CustomEvent<Partial<Settings>>): void => {
    this.settings = { ...this.settings, ...detail };
    if (detail.backend) void this.#queue?.reopen();
  };

  readonly #attention = ({ detail }: CustomEvent<Item>): void => {
    this.#queue?.attention(detail).catch((error: unknown) => {
      this.wrong = oneLine(error);
    });
  };

  #open(): Queue {
    const { base } = this;
    const queue = new Queue(
      (options) => openUpscaler({ ...options, ...(base === null ? {} : { base }) }),
      () => this.settings,
    );
    let told: Item["result"] = null;
    queue.addEventListener("change", () => {
      this.#revision++;
      this.requestUpdate();
      const result = this.item?.result ?? null;
      if (result !== null && result !== told) this.dispatchEvent(new CustomEvent("done", { detail: result }));
      told = result;
    });
    return queue;
  }

  static override styles = [
    tokens,
    controls,
    css`
      :host {
        display: block;
        container-type: inline-size;
      }
      ::slotted(*),
      img {
        display: block;
        max-width: 100%;
        height: auto;
        margin-bottom: 8px;
      }
      .both {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 20px;
        padding: 12px;
        border-radius: 14px;
        background: var(--ground);
      }
      deplsr-compare {
        height: min(80vh, 520px);
      }
      .wrong {
        color: var(--wrong);
      }
      .wrong:empty {
        display: none;
      }
      @container (min-width: 760px) {
        .both {
          grid-template-columns: minmax(0, 1fr) 320px;
        }
      }
    `,
  ];
}

customElements.define("deplsr-upscaler", UpscalerElement);
