"use strict";

/** Whether the page is on a phone: upright, or on its side. */
const isUpright = () => window.innerWidth < 700;
const isSmall = () => isUpright() || window.innerHeight < 500;

const BLINK_MS = 700; // slower than what may harm people sensitive to flashes

/** Pages about a position on the sky, given in degrees; opened on a click, never before. */
const LOOK_UP = {
  "Legacy Survey": (ra, dec) => `https://www.legacysurvey.org/viewer?ra=${ra}&dec=${dec}&mark=${ra},${dec}&zoom=16`,
  ESASky: (ra, dec) => `https://sky.esa.int/esasky/?target=${ra}%20${dec}&fov=0.02&cooframe=J2000`,
  SIMBAD: (ra, dec) =>
    `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${ra}d${dec < 0 ? "" : "%2B"}${dec}d&Radius=10&Radius.unit=arcsec`,
};

/** One object closely: large, band by band, with what is known of it. */
class Viewer {
  constructor(app) {
    this.app = app;
    this.dialog = document.getElementById("viewer");
    this.picture = document.getElementById("picture");
    this.frame = document.getElementById("picture-frame");
    this.all = document.getElementById("side-by-side");
    this.bar = document.getElementById("scale-bar");
    this.band = -1; // the colour composite
    this.scale = 0; // as large as there is room
    this.isSideBySide = false;
    this.blinking = 0;
    this.isOther = false;
    const on = (id, act) => document.getElementById(id).addEventListener("click", act);
    on("viewer-close", () => this.dialog.close());
    on("smaller", () => this.zoom(-1));
    on("larger", () => this.zoom(1));
    on("previous", () => app.step(-1));
    on("next", () => app.step(1));
    on("side", () => this.toggleSide());
    on("blink", () => this.toggleBlink());
    on("viewer-undo", () => app.undo());
    this.makeBands();
    this.makeGrades();
    this.dialog.addEventListener("close", () => {
      this.stopBlinking();
      app.grid.element.focus();
    });
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
        this.isSideBySide = false;
        this.draw();
      });
      button.append(...pictured(name));
      return button;
    });
    document.getElementById("viewer-bands").append(...this.bandButtons);
    this.figures = names.map((name) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const [picture] = pictured("");
      picture.setAttribute("role", "img");
      caption.textContent = name;
      figure.append(picture, caption);
      return figure;
    });
    this.all.append(...this.figures);
  }

  makeGrades() {
    this.gradeButtons = gradeButtons((grade) => {
      const given = this.app.gradeOf(this.app.grid.item) === grade;
      this.app.grade(given ? "" : grade, 0);
    });
    document.getElementById("viewer-grades").append(...this.gradeButtons);
  }

  toggleSide() {
    this.isSideBySide = !this.isSideBySide;
    this.scale = 0;
    this.draw();
  }

  /** Show two stretches in turn. */
  toggleBlink() {
    if (this.blinking) this.stopBlinking();
    else {
      this.blinking = setInterval(() => {
        this.isOther = !this.isOther;
        this.draw();
      }, BLINK_MS);
    }
    this.draw();
  }

  stopBlinking() {
    clearInterval(this.blinking);
    this.blinking = 0;
    this.isOther = false;
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

  /** Width and height of what pictures may fill, in CSS pixels. */
  room() {
    const { innerWidth: width, innerHeight: height } = window;
    if (isUpright()) return [width - 32, height * 0.36];
    if (isSmall()) return [width * 0.5, height - 150];
    if (this.isSideBySide) return [Math.min(width * 0.96, 1440) - 400, height - 300];
    const side = Math.min(width * 0.5, height - 320, 560);
    return [side, side];
  }

  /** How many pictures are side by side, across and down, for them to be largest. */
  arrangement() {
    if (!this.isSideBySide) return [1, 1];
    const n = this.figures.length;
    const [width, height] = this.room();
    const size = (across) => Math.min(width / across, height / Math.ceil(n / across));
    const counts = Array.from({ length: n }, (_, place) => place + 1);
    const across = counts.reduce((best, count) => (size(count) > size(best) ? count : best));
    return [across, Math.ceil(n / across)];
  }

  /** The largest whole scale at which all that is shown fits. */
  fitting() {
    const [width, height] = this.room();
    const [across, down] = this.arrangement();
    const gaps = this.isSideBySide ? [8 * (across - 1), 26 * down] : [0, 0];
    const room = Math.min((width - gaps[0]) / across, (height - gaps[1]) / down);
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
    const has = (band) => band < 0 || Boolean(items.bands[item] & (1 << band));
    if (!has(this.band)) this.band = -1;
    const fitting = this.fitting();
    const scale = this.scale || fitting;
    this.picture.hidden = this.isSideBySide;
    this.all.hidden = !this.isSideBySide;
    this.dialog.classList.toggle("wide", this.isSideBySide);
    if (this.isSideBySide) this.drawSide(item, scale, has);
    else {
      this.frame.style.width = this.frame.style.height = `${fitting * CANDIDATES.sizePx}px`;
      this.show(this.picture, item, this.band, scale);
    }
    const shown = this.band < 0 ? `colour composite of ${CANDIDATES.colours.join(", ")}` : `band ${bands[this.band]}`;
    this.picture.setAttribute("aria-label", `${items.id[item]}, ${shown}`);
    drawScaleBar(this.bar, scale);
    document.getElementById("viewer-id").textContent = items.id[item];
    this.bandButtons.forEach((button, place) => {
      const missing = !has(place - 1);
      button.disabled = missing;
      button.setAttribute("aria-pressed", String(place - 1 === this.band && !this.isSideBySide));
      button.setAttribute("aria-label", missing ? `no band ${bands[place - 1]}` : button.textContent);
      const small = button.firstElementChild;
      small.classList.toggle("missing", missing);
      this.show(small, item, place - 1, isSmall() ? 1 : 2);
    });
    this.drawFacts(item);
    this.drawButtons(item);
  }

  drawSide(item, scale, has) {
    const [across] = this.arrangement();
    this.frame.style.width = this.frame.style.height = "auto";
    this.all.style.gridTemplateColumns = `repeat(${across}, max-content)`;
    this.figures.forEach((figure, place) => {
      const picture = figure.firstElementChild;
      this.show(picture, item, place - 1, scale);
      picture.classList.toggle("missing", !has(place - 1));
      const name = figure.lastElementChild.textContent;
      picture.setAttribute("aria-label", has(place - 1) ? name : `no band ${name}`);
    });
  }

  drawButtons(item) {
    const { app } = this;
    const grade = app.gradeOf(item);
    this.gradeButtons.forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.grade === grade)),
    );
    const press = (id, pressed) => document.getElementById(id).setAttribute("aria-pressed", String(pressed));
    press("side", this.isSideBySide);
    press("blink", Boolean(this.blinking));
    const stretch = this.isOther ? app.tone.other : app.tone.stretch;
    document.getElementById("stretch-shown").textContent = this.blinking ? STRETCHES[stretch].name : "";
    document.getElementById("viewer-undo").disabled = !app.grades.done.length;
    const { chosen, items: all } = app.grid;
    document.getElementById("position").textContent = `${chosen + 1} of ${all.length}`;
    document.getElementById("previous").disabled = chosen === 0;
    document.getElementById("next").disabled = chosen === all.length - 1;
  }

  show(element, item, band, scale) {
    const { tone } = this.app;
    const stretch = this.isOther ? tone.other : tone.stretch;
    if (band < 0) showPicture(element, "colour", item, scale, tone.filter(item, stretch));
    else showPicture(element, "bands", item, scale, tone.filter(undefined, stretch), band, CANDIDATES.bands.length);
  }

  drawFacts(item) {
    const { items, bands, threshold, sets } = CANDIDATES;
    const prob = items.prob[item];
    const std = items.std[item];
    const label = items.label[item];
    const [ra, dec] = [items.ra[item], items.dec[item]];
    const missing = bands.filter((_, band) => !(items.bands[item] & (1 << band)));
    const facts = [
      ["Probability", `${prob.toFixed(3)} ± ${std.toFixed(3)}`],
      ["Answer at t*", `${items.pred[item] ? "lens" : "no lens"} (t* = ${threshold.toFixed(3)})`],
      ["Data set", nameOfSet(sets[items.set[item]].name)],
    ];
    if (label >= 0) facts.push(["True class", label ? "lens" : "no lens"]);
    if (items.domain[item] !== "unknown") facts.push(["Domain", items.domain[item]]);
    if (items.known[item]) facts.push(["Known lens", items.known[item]]);
    if (ra !== null) {
      facts.push(["RA, Dec", `${ra.toFixed(6)}°, ${dec.toFixed(6)}°`]);
      facts.push(["Look up", ...Object.entries(LOOK_UP).map(([name, address]) => skyLink(name, address(ra, dec)))]);
    }
    if (missing.length) facts.push(["Missing bands", missing.join(", ")]);
    const rows = facts.flatMap(([name, ...values]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const text = document.createElement("dd");
      text.append(...values);
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

/** A picture to be filled, and its name. */
function pictured(name) {
  const picture = document.createElement("span");
  picture.className = "band-picture";
  const text = document.createElement("span");
  text.textContent = name;
  return [picture, text];
}

/** A link that tells the other page nothing of this one. */
function skyLink(name, address) {
  const link = document.createElement("a");
  link.textContent = name;
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

const nameOfSet = (name) => (name === "heldout" ? "held-out" : name);

/** A bar of a round length, at most 40 % of a picture: in arcsec, or in pixels if their size is not known. */
function drawScaleBar(element, scale) {
  const perPixel = CANDIDATES.pixelScaleArcsec ?? 1;
  const most = 0.4 * CANDIDATES.sizePx * perPixel;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = power * [5, 2, 1].find((one) => one * power <= most);
  const [line, text] = element.children;
  line.style.width = `${(length / perPixel) * scale}px`;
  text.textContent = CANDIDATES.pixelScaleArcsec ? `${length} arcsec` : `${length} px`;
}

/** A button for each grade, which says what the grade means. */
function gradeButtons(act) {
  return Object.entries(GRADES).map(([grade, meaning]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `grade-${grade}`;
    button.dataset.grade = grade;
    const letter = document.createElement("b");
    letter.textContent = grade;
    const text = document.createElement("span");
    text.textContent = meaning;
    button.append(letter, " ", text);
    button.addEventListener("click", () => act(grade));
    return button;
  });
}
