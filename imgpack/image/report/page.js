// The page: which tree is shown from which node on, and what keys and clicks do.

const [paths, entries] = readPaths(data.entries, readEntry);
const [changedPaths, changes] = readPaths(data.changes, readChange);
const layerCount = data.image.tables;
// Of a lock it is known what all layers make, and not which has what.
const joined = layerCount !== data.image.layers.length;
const VIEWS = {
  layers: { title: "Layers", tree: () => layersTree(paths, entries, layerCount, joined) },
  paths: { title: "Directories", tree: () => pathsTree(paths, entries) },
  changes: { title: "Changes", tree: () => changesTree(changedPaths, changes) },
};
const trees = {};
const state = { view: "layers", node: 0, rows: SHOWN };
const treeOf = (view) => (trees[view] ??= VIEWS[view].tree());

const map = new Treemap($("map"), colour, label, (node, listed) => go(node, { listed }), pick);

function colour(tree, node, nested) {
  const layer = tree.layers[node];
  if (state.view === "changes") return nested ? "plain" : `fill ${KINDS[layer] || ""}${layer === 2 ? " hatch" : ""}`;
  if (nested) return state.view === "layers" ? `box k${(layer - 1) % 8}` : "plain";
  return layer ? `fill k${(layer - 1) % 8}` : "plain";
}

function label(node) {
  const tree = treeOf(state.view), entry = tree.entries[node], parts = [tree.names[node], humanSize(tree.totals[node])];
  if (tree.first[node]) parts.push(plural(tree.files[node], "file"));
  if (state.view === "changes") parts.push(entry ? KINDS[entry.kind] : "");
  else if (tree.hidden[node]) parts.push(`${humanSize(tree.hidden[node])} hidden or deleted`);
  return parts.filter(Boolean).join(", ");
}

function pick(node, rest = 0) {
  const tree = treeOf(state.view), entry = tree.entries[node], told = [];
  if (rest) told.push(`${plural(rest, "smaller one")} in ${tree.path(node)}: open for the list`);
  else if (entry && state.view === "changes") {
    const what = changedText(entry);
    told.push(`${KINDS[entry.kind]}${what ? ` (${what})` : ""}: ${humanSize(entry.before)} → ${humanSize(entry.after)}`, modeText(entry.mode));
  } else if (state.view === "changes") {
    const [before, after, count] = tree.changed[node] || [0, 0, 0];
    told.push(plural(count, "path"), `${humanSize(before)} → ${humanSize(after)} (${difference(after - before)})`);
  } else {
    told.push(entry && entry.elsewhere ? `${humanSize(entry.size)}, whose bytes count at another name` : humanSize(tree.totals[node]));
    if (tree.first[node]) told.push(plural(tree.files[node], "file"));
    if (entry) told.push(`${modeText(entry.mode)} ${entry.uid}:${entry.gid}`, `layer ${entry.layer}`);
    if (entry && entry.by) told.push(`${entry.deleted ? "deleted" : "hidden"} by layer ${entry.by}`);
    else if (tree.hidden[node]) told.push(`${humanSize(tree.hidden[node])} hidden or deleted by higher layers`);
  }
  const name = make("strong", "text", tree.skip === 2 && tree.parents[node] <= 0 ? tree.names[node] : tree.path(node));
  $("told").replaceChildren(name, make("br"), told.join(" · "));
  light(rest || state.view === "changes" || joined || !node ? 0 : entry ? entry.layer : tree.skip === 2 ? tree.layers[node] : 0, false);
}

// Mark the step of a layer, and in the picture what is of it.
function light(layer, picture = true) {
  for (const button of $("steps").querySelectorAll("button")) button.classList.toggle("on", layer > 0 && Number(button.dataset.layer) === layer);
  if (picture && !$("search").value) map.light(state.view === "changes" ? 0 : layer);
}

function go(node, { listed = null, focus = true, from = 0 } = {}) {
  Object.assign(state, { node, rows: SHOWN });
  if (listed !== null) $("flat").checked = false;
  $("search").value = "";
  show(from);
  if (focus) (map.tiles.find((tile) => tile.tabIndex === 0) || $("map")).focus({ preventScroll: true });
  if (listed) $("table").scrollIntoView();
}

function view(name, node = 0) {
  state.view = name;
  go(node, { focus: false });
}

function up() {
  if (state.node) go(treeOf(state.view).parents[state.node], { from: state.node });
}

// Out of the table: open what opens and stay in the table, or show a file in its directory.
function openNode(node) {
  const tree = treeOf(state.view);
  if (tree.first[node]) {
    go(node, { focus: false });
    $("rows").querySelector("button").focus();
    return;
  }
  go(tree.parents[node], { from: node });
  const tile = map.tiles.find((one) => one.node === node);
  if (tile) map.choose(tile);
  pick(node);
  $("picture").scrollIntoView({ block: "nearest" });
}

function showCrumbs(tree) {
  const way = tree.way(state.node);
  const crumbs = way.map((node, depth) => {
    const name = node === 0 ? (state.view === "layers" ? "Image" : "/") : tree.names[node];
    if (depth === way.length - 1) return Object.assign(make("span", "text", name), { ariaCurrent: "location" });
    const button = make("button", "text", name);
    button.type = "button";
    button.addEventListener("click", () => go(node, { from: way[depth + 1] }));
    return button;
  });
  $("crumbs").replaceChildren(...crumbs.flatMap((one, number) => (number ? [make("span", "", "›"), one] : [one])));
}

function showRows() {
  const tree = treeOf(state.view), text = $("search").value, kind = state.view === "changes" ? "changes" : "files";
  const flat = $("flat").checked, whole = tree.totals[state.node];
  const nodes = text ? tree.find(text) : flat ? tree.leaves(state.node) : tree.children(state.node);
  const bytes = nodes.reduce((sum, node) => sum + (text && tree.first[node] ? 0 : tree.totals[node]), 0);
  const named = text || flat ? (node) => tree.path(node) : (node) => tree.names[node] + stepOf(tree, node);
  $("table-title").textContent = text ? "What the search finds" : state.node ? `In ${tree.skip === 2 && !tree.parents[state.node] ? tree.names[state.node] : tree.path(state.node)}` : "The same as a table";
  $("count").textContent = `${plural(nodes.length, text ? "path" : "name")}, ${humanSize(bytes)}${nodes.length > state.rows ? `; the ${state.rows} largest are shown` : ""}`;
  if (text) light(0);
  if (text) $("told").replaceChildren(make("strong", "", "Search"), make("br"), `${$("count").textContent}: in the picture and in the table`);
  else pick(state.node);
  map.mark(text ? nodes : null);
  showTable(tree, nodes, state.rows, named, openNode, kind, text ? tree.totals[0] : whole);
}

// What made a layer, where layers are listed.
function stepOf(tree, node) {
  if (joined || tree.skip !== 2 || tree.parents[node] !== 0) return "";
  const step = data.image.history.filter((one) => !one.empty_layer)[node - 1], text = step?.created_by || "";
  return text && `: ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`;
}

function showLegend() {
  const found = state.view === "changes"
    ? [["fill added", "added"], ["fill changed", "changed"], ["fill removed hatch", "removed"]]
    : [["plain hatch", "hidden or deleted by a higher layer: in the image's size, not in its files"]];
  if (state.view !== "changes" && !joined) found.unshift(...Array.from({ length: Math.min(layerCount, 8) }, (_, number) => [`fill k${number}`, `layer ${Array.from({ length: Math.ceil((layerCount - number) / 8) }, (_, turn) => number + 1 + 8 * turn).slice(0, 3).join(", ")}${layerCount - number > 24 ? ", …" : ""}`]));
  $("legend").replaceChildren(...found.map(([className, text]) => make("li", "", make("i", className), text)));
}

function show(from = 0) {
  const tree = treeOf(state.view);
  for (const button of $("views").children) button.ariaPressed = String(button.dataset.view === state.view);
  $("picture-title").textContent = state.view === "changes" ? "What changed" : "What takes the space";
  showCrumbs(tree);
  showLegend();
  map.draw(tree, state.node, from);
  light(0);
  showRows();
}

function showChanges() {
  const counts = [0, 0, 0, 0];
  let bytes = 0;
  for (const one of changes) { counts[one.kind]++; bytes += one.after - one.before; }
  const told = KINDS.slice(1).map((kind, number) => `${counts[number + 1].toLocaleString("en")} ${kind}`).join(", ");
  $("changes").hidden = false;
  $("changes").append("Since ", make("strong", "text", data.before.name), ` (${data.before.manifest.digest.slice(0, 19)}): ${told}; ${difference(bytes)} of files.`);
}

function keys(event) {
  const typing = event.target.matches("input[type=search]");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && $("search").value) { $("search").value = ""; showRows(); }
  else if (event.key === "Escape" || (event.key === "Backspace" && !typing)) up();
  else if (event.key === "/" && !typing) { $("search").focus(); event.preventDefault(); }
}

function start() {
  const layers = treeOf("layers");
  layers.tops = joined ? 0 : layerCount;
  showFacts(data.image, entries);
  showSteps(data.image, layers, light, (number) => view("layers", joined ? 1 : number));
  if (data.before) { showChanges(); state.view = "changes"; }
  for (const name of Object.keys(VIEWS).filter((one) => one !== "changes" || data.before)) {
    const button = make("button", "", VIEWS[name].title);
    Object.assign(button, { type: "button" }).dataset.view = name;
    button.addEventListener("click", () => view(name));
    $("views").append(button);
  }
  $("search").addEventListener("input", () => { state.rows = SHOWN; showRows(); });
  $("flat").addEventListener("change", () => { state.rows = SHOWN; showRows(); });
  $("more").addEventListener("click", () => { state.rows += 1000; showRows(); });
  document.addEventListener("keydown", keys);
  show();
  let width = $("map").clientWidth;
  new ResizeObserver(() => {
    if ($("map").clientWidth !== width) show();
    width = $("map").clientWidth;
  }).observe($("map"));
  // Ready for the first letter of a search.
  setTimeout(() => { layers.lower(); layers.sorted(); });
}

start();
