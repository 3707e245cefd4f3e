// The picture: a squarified treemap (Bruls, Huizing, van Wijk 2000) of what is large enough to see.

const LEAST_AREA = 30, MOST_TILES = 2500, HEADING = 17, LEAST_NESTED = 5000;

// Rectangles of sizes, largest first, that fill one; each as square as can be.
function squarify(sizes, left, top, width, height) {
  const rects = [];
  let total = sizes.reduce((sum, size) => sum + size, 0), at = 0;
  while (at < sizes.length && total > 0) {
    const side = Math.min(width, height), scale = (width * height) / total;
    let end = at, row = 0, worst = Infinity;
    for (; end < sizes.length; end++) {
      const sum = row + sizes[end], thick = (sum * scale) / side;
      const shape = Math.max((sizes[at] * scale) / thick ** 2, thick ** 2 / (sizes[end] * scale));
      if (end > at && shape > worst) break;
      [row, worst] = [sum, shape];
    }
    const thick = (row * scale) / side;
    let along = 0;
    for (; at < end; at++) {
      const long = (sizes[at] * scale) / thick;
      rects.push(width >= height ? [left, top + along, thick, long] : [left + along, top, long, thick]);
      along += long;
    }
    if (width >= height) { left += thick; width -= thick; } else { top += thick; height -= thick; }
    total -= row;
  }
  return rects;
}

class Treemap {
  constructor(element, colour, label, open, pick) {
    Object.assign(this, { element, colour, label, open, pick, tiles: [], lit: 0 });
    element.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.act(tile);
    });
    element.addEventListener("pointerover", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.pick(tile.node, tile.rest);
    });
    element.addEventListener("focusin", (event) => {
      if (event.target.classList.contains("tile")) this.point(event.target);
    });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  draw(tree, top, wanted = 0) {
    this.tree = tree;
    this.tiles = [];
    this.width = this.element.clientWidth || 640;
    this.height = this.element.clientHeight || 400;
    const fragment = document.createDocumentFragment();
    this.count = 0;
    const waiting = [[top, [0, 0, this.width, this.height], 1]];
    // The largest comes first, so that what is left out for want of room is small.
    while (waiting.length) {
      const [node, rect, level] = waiting.pop();
      waiting.push(...this.inside(fragment, node, rect, level));
      waiting.sort((a, b) => a[1][2] * a[1][3] - b[1][2] * b[1][3]);
    }
    if (!this.count) {
      const none = document.createElement("p");
      none.className = "none";
      none.textContent = "No bytes of files here; the table below has the names.";
      fragment.append(none);
    }
    this.element.replaceChildren(fragment);
    const first = this.tiles.find((tile) => tile.node === wanted) || this.tiles[0];
    if (first) first.tabIndex = 0;
    this.light(this.lit);
  }

  // Draw what is in a node; what of it has room for more, with that and its level.
  inside(fragment, parent, [left, top, width, height], level) {
    const tree = this.tree, children = tree.children(parent).filter((node) => tree.totals[node] > 0);
    const whole = tree.totals[parent], area = width * height;
    let seen = children.findIndex((node) => (tree.totals[node] / whole) * area < LEAST_AREA);
    if (seen < 0) seen = children.length;
    seen = Math.min(seen, Math.max(MOST_TILES - this.count, 0));
    const sizes = children.slice(0, seen).map((node) => tree.totals[node]);
    const rest = children.slice(seen).reduce((sum, node) => sum + tree.totals[node], 0);
    const shown = children.slice(0, seen);
    if (rest > 0) {
      let place = sizes.findIndex((size) => size < rest);
      if (place < 0) place = sizes.length;
      sizes.splice(place, 0, rest);
      shown.splice(place, 0, -1);
    }
    const nested = squarify(sizes, left, top, width, height).map((rect, number) => {
      const node = shown[number];
      return node < 0 ? this.tile(fragment, parent, rect, level, children.length - seen, rest) : this.tile(fragment, node, rect, level);
    });
    return nested.filter(Boolean);
  }

  tile(fragment, node, [left, top, width, height], level, rest = 0, bytes = 0) {
    const tree = this.tree, tile = document.createElement("div");
    this.count++;
    Object.assign(tile, { node, rest, level });
    tile.style.left = `${(left / this.width) * 100}%`;
    tile.style.top = `${(top / this.height) * 100}%`;
    tile.style.width = `${(width / this.width) * 100}%`;
    tile.style.height = `${(height / this.height) * 100}%`;
    const opens = !rest && tree.first[node] > 0;
    const roomy = width > 54 && height > 44 && (level === 1 || width * height > LEAST_NESTED);
    const nested = opens && roomy && this.count < MOST_TILES;
    tile.className = `tile ${rest ? "rest" : this.colour(tree, node, nested)}`;
    tile.layer = rest ? 0 : tree.layers[node];
    if (level === 1) {
      tile.tabIndex = -1;
      tile.setAttribute("role", "button");
      tile.setAttribute("aria-label", rest ? `${plural(rest, "smaller one")}, ${humanSize(bytes)}` : this.label(node));
      this.tiles.push(tile);
    } else tile.setAttribute("aria-hidden", "true");
    if (width > 30 && height > 15) this.write(tile, node, width, height, nested, rest, bytes);
    const gone = rest || nested ? 0 : tree.hidden[node] / tree.totals[node];
    if (gone > 0) {
      const mark = document.createElement("div");
      mark.className = "gone";
      mark.style.height = `${gone * 100}%`;
      tile.classList.add("lost");
      tile.append(mark);
    }
    fragment.append(tile);
    return nested ? [node, [left + 3, top + HEADING, width - 6, height - HEADING - 3], level + 1] : null;
  }

  write(tile, node, width, height, nested, rest, bytes) {
    const tree = this.tree, name = document.createElement("span"), size = document.createElement("span");
    name.className = "text";
    name.textContent = rest ? `${rest.toLocaleString("en")} smaller` : tree.names[node] + (tree.first[node] && node && !nested ? "/" : "");
    size.className = "bytes";
    size.textContent = humanSize(rest ? bytes : tree.totals[node]);
    tile.append(name);
    if (nested ? width > 130 : height > 32 && width > 44) tile.append(nested ? " " : document.createElement("br"), size);
  }

  // Dim all that is of another layer than this; none with 0.
  light(layer) {
    this.lit = layer;
    for (const tile of this.element.querySelectorAll(".tile")) {
      const other = layer > 0 && tile.layer !== layer;
      tile.classList.toggle("dim", other);
    }
  }

  // Dim all that is not on the way to these nodes; nothing with null.
  mark(nodes) {
    const kept = new Uint8Array(this.tree.parents.length);
    for (let node of nodes || []) for (; node > 0 && !kept[node]; node = this.tree.parents[node]) kept[node] = 1;
    for (const tile of this.element.querySelectorAll(".tile")) tile.classList.toggle("dim", nodes !== null && (tile.rest > 0 || !kept[tile.node]));
  }

  point(tile) {
    for (const other of this.tiles) other.tabIndex = other === tile ? 0 : -1;
    this.pick(tile.node, tile.rest);
  }

  act(tile) {
    if (tile.rest) this.open(tile.node, true);
    else if (this.tree.first[tile.node]) this.open(tile.node);
    else this.choose(tile);
  }

  choose(tile) {
    for (const other of this.element.querySelectorAll(".picked")) other.classList.remove("picked");
    tile.classList.add("picked");
    this.pick(tile.node, 0);
  }

  key(event) {
    const tile = event.target, steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!this.tiles.includes(tile) || event.ctrlKey || event.metaKey || event.altKey) return;
    const ends = { Home: this.tiles[0], End: this.tiles[this.tiles.length - 1] };
    if (event.key === "Enter" || event.key === " ") this.act(tile);
    else if (event.key in ends) ends[event.key].focus();
    else if (event.key in steps) this.beside(tile, ...steps[event.key])?.focus();
    else return;
    event.preventDefault();
  }

  // The tile that comes next in a direction: near, and rather in line.
  beside(tile, right, down) {
    const middle = (box) => [box.left + box.width / 2, box.top + box.height / 2];
    const from = tile.getBoundingClientRect(), [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const other of this.tiles) {
      const box = other.getBoundingClientRect(), [ox, oy] = middle(box);
      const ahead = right ? (ox - x) * right : (oy - y) * down;
      const edge = right > 0 ? box.left - from.right : right < 0 ? from.left - box.right : down > 0 ? box.top - from.bottom : from.top - box.bottom;
      if (other === tile || ahead <= 0 || edge < -2) continue;
      const off = right ? Math.max(0, Math.abs(oy - y) - box.height / 2) : Math.max(0, Math.abs(ox - x) - box.width / 2);
      const far = edge + 3 * off;
      if (far < least) [best, least] = [other, far];
    }
    return best;
  }
}
