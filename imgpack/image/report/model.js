"use strict";
// What is in the image, as trees of nodes in arrays: a node is a number, 0 the root, and parents
// have lower numbers than what is in them.

const data = JSON.parse(document.getElementById("data").textContent);
const DIRECTORY = 0o040000, REGULAR = 0o100000, SYMLINK = 0o120000, TYPE = 0o170000;
const KINDS = ["", "added", "removed", "changed"];
const WHAT = ["content", "type", "mode", "owner", "target", "attributes"];
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

const isDirectory = (entry) => (entry.mode & TYPE) === DIRECTORY;

function humanSize(size) {
  let unit = 0, number = size;
  for (; number >= 1024 && unit < UNITS.length - 1; unit++) number /= 1024;
  return unit ? `${number.toFixed(1)} ${UNITS[unit]}` : `${size} B`;
}

function modeText(mode) {
  const type = { 0o140000: "s", 0o120000: "l", 0o100000: "-", 0o060000: "b", 0o040000: "d", 0o020000: "c", 0o010000: "p" };
  let text = type[mode & TYPE] || "?";
  for (const shift of [6, 3, 0]) {
    const bits = (mode >> shift) & 7, special = mode & (0o1000 << (shift / 3));
    const letter = shift ? "s" : "t", runs = bits & 1;
    text += (bits & 4 ? "r" : "-") + (bits & 2 ? "w" : "-");
    text += special ? (runs ? letter : letter.toUpperCase()) : runs ? "x" : "-";
  }
  return text;
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// The paths of rows: names and parents, and for each row its path and what it says.
function readPaths(rows, read) {
  const paths = { names: [""], parents: [-1], depths: [0] }, found = [];
  const way = [0];
  for (const row of rows) {
    const [depth, name] = row;
    if (name !== 0) {
      way.length = depth;
      way.push(paths.names.length);
      paths.names.push(name);
      paths.parents.push(way[depth - 1]);
      paths.depths.push(depth);
    }
    if (row.length > 2) found.push(read(row, way[depth]));
  }
  return [paths, found];
}

const readEntry = ([, , mode, layer, size = 0, by = 0, flags = 0, uid = 0, gid = 0, target = ""], path) =>
  ({ path, mode, layer, size, by, deleted: (flags & 1) > 0, elsewhere: (flags & 2) > 0, uid, gid, target });
const readChange = ([, , kind, mode = 0, before = 0, after = 0, what = 0], path) =>
  ({ path, kind, mode, before, after, what, size: Math.max(before, after), layer: 0, by: 0, uid: 0, gid: 0, target: "" });

class Tree {
  constructor(title) {
    this.parents = [-1]; this.names = [title]; this.layers = [0]; this.entries = [null];
    this.first = [0]; this.next = [0]; this.totals = [0]; this.hidden = [0]; this.files = [0];
    this.lowered = null; this.order = null;
  }
  add(parent, name, layer, entry) {
    const node = this.parents.length;
    this.parents.push(parent); this.names.push(name); this.layers.push(layer); this.entries.push(entry);
    this.first.push(0); this.next.push(this.first[parent]); this.first[parent] = node;
    this.totals.push(0); this.hidden.push(0); this.files.push(0);
    if (entry) this.hold(node, entry);
    return node;
  }
  hold(node, entry) {
    this.entries[node] = entry;
    if (isDirectory(entry)) return;
    const bytes = entry.elsewhere ? 0 : entry.size;
    this.totals[node] += bytes;
    this.hidden[node] += entry.by ? bytes : 0;
    this.files[node] += 1;
  }
  // Sums of all below, and the layer or kind of change that has most of it.
  sum() {
    const most = new Float64Array(this.parents.length);
    for (let node = this.parents.length - 1; node > 0; node--) {
      const parent = this.parents[node];
      this.totals[parent] += this.totals[node];
      this.hidden[parent] += this.hidden[node];
      this.files[parent] += this.files[node];
      if (this.totals[node] > most[parent]) {
        most[parent] = this.totals[node];
        if (!this.entries[parent] || isDirectory(this.entries[parent])) this.layers[parent] = this.layers[node];
      }
    }
    return this;
  }
  children(node) {
    const found = [];
    for (let child = this.first[node]; child; child = this.next[child]) found.push(child);
    return found.sort((a, b) => this.totals[b] - this.totals[a] || a - b);
  }
  way(node) {
    const found = [];
    for (; node >= 0; node = this.parents[node]) found.unshift(node);
    return found;
  }
  opens(node) { return this.first[node] > 0 || node === 0; }
  // A version of a path, which the picture of directories has in it, has the same path.
  isVersion(node) { return this.versions > 0 && node >= this.versions; }
  path(node) {
    const way = this.way(this.isVersion(node) ? this.parents[node] : node).slice(this.skip || 1);
    return `/${way.map((one) => this.names[one]).join("/")}`;
  }
  // All nodes but the root, the largest first, sorted once.
  sorted() {
    return (this.order ??= Uint32Array.from(this.parents.keys()).subarray(1).sort((a, b) => this.totals[b] - this.totals[a] || a - b));
  }
  leaves(top) {
    const inside = new Uint8Array(this.parents.length);
    inside[top] = 1;
    for (let node = top + 1; node < inside.length; node++) inside[node] = inside[this.parents[node]];
    inside[top] = 0;
    return [...this.sorted().filter((node) => inside[node] && this.isListed(node))];
  }
  isListed(node) {
    const entry = this.entries[node];
    return entry !== null && (this.listed || (!this.first[node] && !isDirectory(entry)));
  }
  // Paths in small letters, once, for searching.
  lower() {
    if (!this.lowered) {
      this.lowered = [""];
      const skip = this.skip || 1;
      for (let node = 1; node < this.parents.length; node++) {
        const parent = this.parents[node], name = this.names[node].toLowerCase();
        const top = skip === 2 && parent === 0;
        this.lowered.push(top ? "" : this.isVersion(node) ? this.lowered[parent] : `${this.lowered[parent]}/${name}`);
      }
    }
    return this.lowered;
  }
  find(text) {
    const lower = this.lower(), wanted = text.toLowerCase();
    return [...this.sorted().filter((node) => this.entries[node] && lower[node].includes(wanted))];
  }
}

function layersTree(paths, entries, count, joined) {
  const tree = new Tree("Image");
  tree.skip = 2;
  const ways = [];
  for (let layer = 1; layer <= count; layer++)
    ways.push([[0, tree.add(0, joined ? "All layers" : `Layer ${layer}`, layer, null)]]);
  for (const entry of entries) {
    const way = ways[entry.layer - 1], line = [];
    let path = entry.path, depth = paths.depths[path];
    for (; depth > 0 && way[depth]?.[0] !== path; depth--, path = paths.parents[path]) line.push(path);
    way.length = depth + 1;
    for (let at = line.length - 1; at >= 0; at--, depth++)
      way.push([line[at], tree.add(way[depth][1], paths.names[line[at]], entry.layer, null)]);
    tree.hold(way[way.length - 1][1], entry);
  }
  return tree.sum();
}

function pathsTree(paths, entries) {
  const tree = new Tree("/"), several = new Uint8Array(paths.names.length);
  for (const entry of entries) several[entry.path]++;
  const inside = new Uint8Array(paths.names.length);
  for (let path = 1; path < paths.names.length; path++) {
    inside[paths.parents[path]] = 1;
    tree.add(paths.parents[path], paths.names[path], 0, null);
  }
  tree.versions = tree.parents.length;
  for (const entry of entries) {
    const { path, layer } = entry, file = !isDirectory(entry);
    if (file && (several[path] > 1 || inside[path])) {
      tree.add(path, `${paths.names[path]} (layer ${layer})`, layer, entry);
    } else {
      tree.layers[path] = layer;
      if (!tree.entries[path] || !entry.by) tree.hold(path, entry);
    }
  }
  return tree.sum();
}

function changesTree(paths, changes) {
  const tree = new Tree("/");
  tree.listed = true;
  tree.changed = []; // bytes before and after, and how many paths, of each node with all below
  for (let path = 1; path < paths.names.length; path++) tree.add(paths.parents[path], paths.names[path], 0, null);
  for (const change of changes) {
    tree.layers[change.path] = change.kind;
    tree.hold(change.path, change);
    tree.changed[change.path] = [change.before, change.after, 1];
  }
  for (let node = tree.parents.length - 1; node > 0; node--) {
    const own = tree.changed[node], above = (tree.changed[tree.parents[node]] ??= [0, 0, 0]);
    own.forEach((number, at) => { above[at] += number; });
  }
  return tree.sum();
}
