"use strict";

/** Whether the page is on a phone: upright, or on its side. */
const isUpright = () => window.innerWidth < 700;
const isSmall = () => isUpright() || window.innerHeight < 500;

/** One object closely: large, band by band, with what is known of it. */
class Viewer {
  constructor(app) {
    this.app = app;
    this.dialog = document.getElementById("viewer");
    this.picture = document.getElementById("picture");
    this.frame = document.getElementById("picture-frame");
    this.band = -1; // the colour composite
    this.scale = 0; // as large as there is room
    const on = (id, act) => document.getElementById(id).addEventListener("click", act);
    on("viewer-close", () => this.dialog.close());
    on("smaller", () => this.zoom(-1));
    on("larger", () => this.zoom(1));
    on("previous", () => app.step(-1));
    on("next", () => app.step(1));
    this.makeBands();
    this.makeGrades();
    this.dialog.addEventListener("close", () => app.grid.element.focus());
    window.addEventListener("resize", () => this.dialog.open && this.draw());
  }

  open() {
    this.band = -1;
    this.scale = 0;
    if (!this.dialog.open) this.dialog.showModal();
    this.draw();
    this.frame.focus();
  }

  makeBands() {
    const names = ["colour", ...CANDIDATES.bands];
    this.bandButtons = names.map((name, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.addEventListener("click", () => {
        this.band = place - 1;
        this.draw();
      });
      const picture = document.createElement("span");
      picture.className = "band-picture";
      const text = document.createElement("span");
      text.textContent = name;
      button.append(picture, text);
      return button;
    });
    document.getElementById("viewer-bands").append(...this.bandButtons);
  }

  makeGrades() {
    this.gradeButtons = Object.entries(GRADES).map(([grade, meaning]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = `grade-${grade}`;
      button.textContent = grade;
      button.title = meaning;
      button.setAttribute("aria-label", `${grade}, ${meaning}`);
      button.addEventListener("click", () => {
        const given = this.app.gradeOf(this.app.grid.item) === grade;
        this.app.grade(given ? "" : grade, 0);
      });
      return button;
    });
    document.getElementById("viewer-grades").append(...this.gradeButtons);
  }

  /** Larger or smaller around what is in the middle now, which at first is the middle of the object. */
  zoom(by) {
    const { frame } = this;
    const across = (frame.scrollLeft + frame.clientWidth / 2) / frame.scrollWidth;
    const down = (frame.scrollTop + frame.clientHeight / 2) / frame.scrollHeight;
    const now = this.scale || this.fitting();
    this.scale = Math.max(1, Math.min(24, now + by));
    this.draw();
    frame.scrollLeft = Math.round(across * frame.scrollWidth - frame.clientWidth / 2);
    frame.scrollTop = Math.round(down * frame.scrollHeight - frame.clientHeight / 2);
  }

  /** Show another part of a picture that is larger than its frame, a few pixels of the sky on. */
  pan(right, down) {
    const by = 4 * (this.scale || this.fitting());
    this.frame.scrollBy(right * by, down * by);
  }

  /** The largest whole scale at which the picture fits its frame. */
  fitting() {
    const { innerWidth: width, innerHeight: height } = window;
    let room = Math.min(width * 0.5, height - 240, 560);
    if (isUpright()) room = Math.min(width - 32, height * 0.42);
    else if (isSmall()) room = Math.min(width * 0.5, height - 150);
    return Math.max(1, Math.floor(room / CANDIDATES.sizePx));
  }

  draw() {
    const { app } = this;
    const item = app.grid.item;
    if (item === undefined) {
      this.dialog.close();
      return;
    }
    const { items, bands } = CANDIDATES;
    const has = (band) => Boolean(items.bands[item] & (1 << band));
    if (this.band >= 0 && !has(this.band)) this.band = -1;
    const fitting = this.fitting();
    this.frame.style.width = this.frame.style.height = `${fitting * CANDIDATES.sizePx}px`;
    this.show(this.picture, item, this.band, this.scale || fitting);
    const shown = this.band < 0 ? `colour composite of ${CANDIDATES.colours.join(", ")}` : `band ${bands[this.band]}`;
    this.picture.setAttribute("aria-label", `${items.id[item]}, ${shown}`);
    document.getElementById("viewer-id").textContent = items.id[item];
    this.bandButtons.forEach((button, place) => {
      const missing = place > 0 && !has(place - 1);
      button.disabled = missing;
      button.setAttribute("aria-pressed", String(place - 1 === this.band));
      button.setAttribute("aria-label", missing ? `no band ${bands[place - 1]}` : button.textContent);
      const small = button.firstElementChild;
      small.classList.toggle("missing", missing);
      this.show(small, item, place - 1, isSmall() ? 1 : 2);
    });
    this.drawFacts(item);
    const grade = app.gradeOf(item);
    this.gradeButtons.forEach((button) =>
      button.setAttribute("aria-pressed", String(button.textContent === grade)),
    );
    const { chosen, items: all } = app.grid;
    document.getElementById("position").textContent = `${chosen + 1} of ${all.length}`;
    document.getElementById("previous").disabled = chosen === 0;
    document.getElementById("next").disabled = chosen === all.length - 1;
  }

  show(element, item, band, scale) {
    if (band < 0) showPicture(element, "colour", item, scale);
    else showPicture(element, "bands", item, scale, band, CANDIDATES.bands.length);
  }

  drawFacts(item) {
    const { items, bands, threshold, sets } = CANDIDATES;
    const prob = items.prob[item];
    const std = items.std[item];
    const label = items.label[item];
    const missing = bands.filter((_, band) => !(items.bands[item] & (1 << band)));
    const facts = [
      ["Probability", `${prob.toFixed(4)} ± ${std.toFixed(4)}`],
      ["Answer at t*", `${items.pred[item] ? "lens" : "no lens"} (t* = ${threshold.toFixed(4)})`],
      ["Data set", sets[items.set[item]].name],
    ];
    if (label >= 0) facts.push(["In truth", label ? "lens" : "no lens"]);
    if (items.domain[item] !== "unknown") facts.push(["Domain", items.domain[item]]);
    if (items.known[item]) facts.push(["Known lens", items.known[item]]);
    if (items.ra[item] !== null) {
      facts.push(["RA, Dec", `${items.ra[item].toFixed(6)}°, ${items.dec[item].toFixed(6)}°`]);
    }
    if (missing.length) facts.push(["Missing bands", missing.join(", ")]);
    const rows = facts.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const text = document.createElement("dd");
      text.textContent = value;
      return [term, text];
    });
    document.getElementById("facts").replaceChildren(...rows);
    const gauge = document.getElementById("gauge");
    const percent = (value) => `${100 * Math.max(0, Math.min(1, value))}%`;
    gauge.setAttribute("aria-label", `probability ${prob.toFixed(3)}, t* ${threshold.toFixed(3)}`);
    const [spread, star, mark, text] = gauge.children;
    spread.style.left = percent(prob - std);
    spread.style.right = percent(1 - prob - std);
    star.style.left = percent(threshold);
    mark.style.left = percent(prob);
    text.style.left = percent(threshold);
  }
}
