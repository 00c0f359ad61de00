/** The empty page: a sentence, a place for photos, and some to try. */
import { css, html, LitElement, type TemplateResult } from "lit";
import { fileChooser } from "./file-chooser.ts";
import * as icons from "./icons.ts";
import { controls } from "./look.ts";
import { fetchSample, SAMPLES, type Sample } from "./samples.ts";
import { oneLine } from "./words.ts";

/** `<deplsr-drop>`: says chosen files with `photos`. What is dropped anywhere on the page, the page itself sees. */
export class DropZone extends LitElement {
  static override properties = { over: { type: Boolean }, wrong: { state: true } };
  /** Whether something is held over the page. */
  declare over: boolean;
  declare wrong: string | null;

  constructor() {
    super();
    this.over = false;
    this.wrong = null;
  }

  override render(): TemplateResult {
    return html`
      <h1>Drop a photo, see what is wrong with it, get a better one.</h1>
      <div class="zone ${this.over ? "over" : ""}">
        ${icons.PHOTOS}
        <p>Drop photos here, or paste one</p>
        <div class="buttons">
          ${fileChooser(this.#take, { text: "Choose photos", primary: true })}
          ${fileChooser(this.#take, { text: html`${icons.CAMERA}Take a photo`, camera: true })}
        </div>
      </div>
      <section class="samples" aria-labelledby="samples">
        <h2 id="samples" class="quiet">Or try one of these</h2>
        <ul>
          ${SAMPLES.map(
            (sample) => html`<li><button @click=${() => this.#try(sample)}>
              <img src=${sample.url} alt=${sample.title} width="192" height="192" decoding="async">
            </button></li>`,
          )}
        </ul>
      </section>
      <p class="wrong" role="alert">${this.wrong}</p>
    `;
  }

  readonly #take = (files: readonly File[]): void => {
    this.dispatchEvent(new CustomEvent("photos", { detail: files }));
  };

  async #try(sample: Sample): Promise<void> {
    this.wrong = null;
    try {
      this.#take([await fetchSample(sample)]);
    } catch (error) {
      this.wrong = oneLine(error);
    }
  }

  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: clamp(20px, 4vh, 36px);
        align-content: center;
        width: min(100%, 760px);
        margin: auto;
        text-align: center;
      }
      h1 {
        margin: 0 auto;
        max-width: 18em;
        font-size: clamp(26px, 5vw, 42px);
        font-weight: 650;
        line-height: 1.15;
        letter-spacing: -0.022em;
        text-wrap: balance;
      }
      .zone {
        display: grid;
        gap: 14px;
        justify-items: center;
        padding: clamp(28px, 7vh, 64px) 20px;
        border: 1.5px dashed var(--edge);
        border-radius: 16px;
        background: var(--raised);
      }
      .zone > .icon {
        width: 36px;
        height: 36px;
        color: var(--quiet);
        stroke-width: 1.25;
      }
      .over {
        border: 1.5px solid var(--accent);
        box-shadow: inset 0 0 0 2px var(--accent);
      }
      .buttons {
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: 10px;
      }
      .buttons button {
        min-height: 44px;
        padding: 0 20px;
      }
      h2 {
        font-size: 14px;
        font-weight: 400;
      }
      .samples ul {
        display: flex;
        justify-content: center;
        gap: 12px;
        margin-top: 12px;
      }
      .samples button {
        display: block;
        min-height: 0;
        padding: 0;
        overflow: hidden;
        border: 0;
        border-radius: var(--radius);
      }
      .samples img {
        display: block;
        width: clamp(84px, 24vw, 132px);
        height: auto;
        transition: transform 0.25s;
      }
      .samples button:hover img {
        transform: scale(1.04);
      }
      .wrong {
        color: var(--wrong);
      }
      .wrong:empty {
        display: none;
      }
      @media (pointer: fine) and (min-width: 821px) {
        .camera {
          display: none;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        .samples img {
          transition: none;
        }
      }
    `,
  ];
}

customElements.define("deplsr-drop", DropZone);
