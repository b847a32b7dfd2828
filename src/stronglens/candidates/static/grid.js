"use strict";

/** Show a picture of a sheet in an element: `tile` counts pictures of one band's width; `filter` is CSS. */
function showPicture(element, sheet, number, scale, filter, tile = 0, tilesEach = 1) {
  const { across, each } = CANDIDATES.sheets[sheet];
  const side = CANDIDATES.sizePx * scale;
  const inFile = number % each;
  const left = ((inFile % across) * tilesEach + tile) * side;
  const top = Math.floor(inFile / across) * side;
  element.style.width = `${side}px`;
  element.style.height = `${side}px`;
  element.style.backgroundImage = `url("images/${sheet}_${Math.floor(number / each)}.png")`;
  element.style.backgroundSize = `${across * tilesEach * side}px auto`;
  element.style.backgroundPosition = `-${left}px -${top}px`;
  element.style.filter = filter;
}

/**
 * A grid of pictures, of which only those in sight exist as elements: ten thousand are as quick as ten.
 * `describe(item)` gives {id, prob, grade, note, filter} of an item; `open(item)` is called for the chosen one.
 */
class Grid {
  constructor(element, space, describe, open, move) {
    this.element = element;
    this.space = space;
    this.describe = describe;
    this.open = open;
    this.move = move;
    this.items = [];
    this.chosen = 0;
    this.scale = 2;
    this.showsIds = false;
    element.addEventListener("scroll", () => this.draw(), { passive: true });
    element.addEventListener("click", (event) => {
      const card = event.target.closest(".card");
      if (!card) return;
      this.choose(Number(card.dataset.place));
      this.open();
    });
    new ResizeObserver(() => this.lay()).observe(element);
  }

  /** Show these items, and choose one of them. */
  show(items, chosen = 0) {
    this.items = items;
    this.chosen = Math.max(0, Math.min(chosen, items.length - 1));
    this.element.hidden = !items.length;
    this.lay();
    this.reveal();
  }

  get item() {
    return this.items[this.chosen];
  }

  /** Choose an item by its place. */
  choose(place) {
    this.chosen = Math.max(0, Math.min(place, this.items.length - 1));
    this.reveal();
    this.draw();
    this.move();
  }

  /** Measure, and draw anew. */
  lay() {
    const side = CANDIDATES.sizePx * this.scale;
    const style = getComputedStyle(this.element);
    const room = this.element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    this.cardWidth = side + 8;
    this.cardHeight = side + (this.showsIds ? 50 : 32);
    this.columns = Math.max(1, Math.floor(room / this.cardWidth));
    this.indent = Math.max(0, Math.floor((room - this.columns * this.cardWidth) / 2));
    this.space.style.height = `${Math.ceil(this.items.length / this.columns) * this.cardHeight}px`;
    this.draw();
  }

  /** Scroll so far that the chosen item is in sight. */
  reveal() {
    const top = Math.floor(this.chosen / this.columns) * this.cardHeight;
    const height = this.element.clientHeight;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + this.cardHeight > this.element.scrollTop + height) {
      this.element.scrollTop = top + this.cardHeight - height;
    }
  }

  draw() {
    const above = this.element.scrollTop;
    const first = Math.max(0, Math.floor(above / this.cardHeight) - 2) * this.columns;
    const rows = Math.ceil(this.element.clientHeight / this.cardHeight) + 4;
    const last = Math.min(this.items.length, first + rows * this.columns);
    const cards = [];
    for (let place = first; place < last; place += 1) cards.push(this.card(place));
    // The chosen one exists even out of sight, since the list names it as active.
    if (this.items.length && (this.chosen < first || this.chosen >= last)) cards.push(this.card(this.chosen));
    this.space.replaceChildren(...cards);
    if (this.items.length) this.element.setAttribute("aria-activedescendant", `item-${this.item}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  card(place) {
    const item = this.items[place];
    const { id, prob, grade, note, filter } = this.describe(item);
    const card = document.createElement("div");
    card.className = place === this.chosen ? "card chosen" : "card";
    card.id = `item-${item}`;
    card.dataset.place = place;
    card.setAttribute("role", "option");
    card.setAttribute("aria-selected", String(place === this.chosen));
    card.setAttribute("aria-setsize", this.items.length);
    card.setAttribute("aria-posinset", place + 1);
    const column = place % this.columns;
    const row = Math.floor(place / this.columns);
    card.style.left = `${this.indent + column * this.cardWidth}px`;
    card.style.top = `${row * this.cardHeight}px`;
    card.style.width = `${this.cardWidth - 4}px`;
    card.style.height = `${this.cardHeight - 4}px`;
    const picture = document.createElement("div");
    picture.className = "thumb";
    showPicture(picture, "colour", item, this.scale, filter);
    const line = document.createElement("div");
    line.className = "line";
    const text = document.createElement("span");
    text.className = `prob ${note}`;
    text.textContent = prob;
    line.append(unseen(`${id}, probability `), text, unseen(grade ? ", grade " : ", not graded"));
    if (grade) line.append(gradeBadge(grade));
    card.append(picture, line);
    if (this.showsIds) card.append(this.idLine(id));
    card.title = id;
    return card;
  }

  /** The end of an id, which tells objects of one folder apart; a screen reader has it already. */
  idLine(id) {
    const line = document.createElement("div");
    line.className = "id";
    line.setAttribute("aria-hidden", "true");
    const text = document.createElement("bdi");
    text.textContent = id;
    line.append(text);
    return line;
  }
}

/** Words for those who hear the page. */
function unseen(words) {
  const text = document.createElement("span");
  text.className = "hidden";
  text.textContent = words;
  return text;
}

function gradeBadge(grade) {
  const badge = document.createElement("span");
  badge.className = `badge grade-${grade}`;
  badge.textContent = grade;
  return badge;
}
