// What stands around the picture: facts, configuration, history, and the table of the same.

const $ = (id) => document.getElementById(id);
const SHOWN = 200;

// An element with a class and what is in it; texts are only ever texts.
function make(kind, className, ...inside) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  element.append(...inside.map((one) => (one instanceof Node ? one : String(one))));
  return element;
}

function terms(list, pairs) {
  for (const [name, text] of pairs) list.append(make("div", "", make("dt", "text", name), make("dd", "text", text)));
}

function showFacts(image, entries) {
  const shown = entries.filter((one) => !one.by && !isDirectory(one)).length;
  let whole = 0, hidden = 0, gone = 0;
  for (const one of entries) {
    const bytes = isDirectory(one) || one.elsewhere ? 0 : one.size;
    whole += bytes;
    hidden += one.by ? bytes : 0;
    gone += one.by && bytes ? 1 : 0;
  }
  document.title = `${image.name}: image report`;
  $("name").textContent = image.name;
  $("digest").textContent = image.manifest.digest;
  const platform = image.platform, built = [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
  const lost = hidden ? `${humanSize(hidden)} in ${plural(gone, "file")} (${((hidden / whole) * 100).toFixed(1)} %)` : "nothing";
  const more = Object.entries(image.annotations || {});
  terms($("facts"), [
    ["Platform", built], ["Created", (image.created || "not said").replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/, "$1 $2 UTC")], ["Stored", `${humanSize(image.stored)} in ${plural(image.layers.length, "layer")}`],
    ["Unpacked", humanSize(whole)], ["Files", shown.toLocaleString("en")], ["Hidden or deleted", lost],
  ]);
  const told = [["Image ID", image.config.digest], ...Object.entries(image.runtime).filter(([, value]) => !isEmpty(value)).map(([name, value]) => [name, lines(name, value)])];
  for (const [name, text] of [...told, ...(more.length ? [["Annotations", pairs(more)]] : [])])
    $("runtime").append(make("dt", "text", name), make("dd", "text", text));
}

const isEmpty = (value) => value === null || value === "" || value === false || (typeof value === "object" && !Object.keys(value).length);
const pairs = (found) => found.map(([name, text]) => `${name}=${text}`).join("\n");

function lines(name, value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && ["Env", "OnBuild"].includes(name)) return value.join("\n");
  if (!Array.isArray(value) && typeof value === "object") {
    const found = Object.entries(value);
    if (found.every(([, one]) => typeof one === "object" && one && !Object.keys(one).length)) return Object.keys(value).join(" ");
    if (found.every(([, one]) => typeof one === "string")) return pairs(found);
  }
  return JSON.stringify(value);
}

// Each step of the history beside its layer; layers that no step made come last.
function showSteps(image, tree, light, open) {
  let layer = 0;
  const steps = image.history.map((step) => [step.empty_layer ? 0 : ++layer, step]).filter(([number]) => number <= image.layers.length);
  while (layer < image.layers.length) steps.push([++layer, {}]);
  for (const [number, step] of steps) {
    const command = make("span", "command text", step.created_by || step.comment || "(no history)");
    const button = make("button", "", make("span", `number ${number ? `fill k${(number - 1) % 8}` : ""}`, number || "–"), command);
    button.type = "button";
    if (number) {
      const stored = image.layers[number - 1], top = number <= tree.tops ? number : 0, hidden = top && tree.hidden[top];
      button.append(make("span", "size", humanSize(top ? tree.totals[top] : stored.size)));
      button.append(make("small", "", `${stored.digest.slice(7, 19)} · ${humanSize(stored.size)} stored${hidden ? ` · ${humanSize(hidden)} hidden` : ""}`));
      button.dataset.layer = number;
      for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => light(number));
      for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => light(0));
      button.addEventListener("click", () => open(number));
    } else {
      button.disabled = true;
      button.append(make("span", "size", "–"));
    }
    $("steps").append(make("li", "", button));
  }
}

const COLUMNS = {
  files: [["Name"], ["Size", "n"], ["Share", "n wide"], ["Hidden", "n"], ["Files", "n wide"], ["Layer", "n"], ["Mode", "wide"], ["Owner", "wide"]],
  changes: [["Name"], ["Change"], ["Before", "n"], ["After", "n"], ["Difference", "n wide"], ["What", "wide"], ["Mode", "wide"]],
};

function fileCells(tree, node, whole) {
  const entry = tree.entries[node], total = tree.totals[node], hidden = tree.hidden[node];
  const size = entry && entry.elsewhere ? `(${humanSize(entry.size)})` : humanSize(total);
  const share = whole ? `${((total / whole) * 100).toFixed(1)} %` : "";
  const layer = entry ? entry.layer : tree.skip === 2 ? tree.layers[node] : "";
  return [size, share, hiddenText(entry, hidden), tree.first[node] ? tree.files[node].toLocaleString("en") : "", layer, ...ownerCells(entry)];
}

const hiddenText = (entry, hidden) =>
  (entry && entry.by ? `${entry.deleted ? "deleted" : "hidden"} by ${entry.by}` : hidden ? humanSize(hidden) : "");
const ownerCells = (entry) => (entry ? [modeText(entry.mode), entry.uid === undefined ? "" : `${entry.uid}:${entry.gid}`] : ["", ""]);

function changeCells(tree, node) {
  const entry = tree.entries[node], [before, after, count] = tree.changed[node];
  const kind = tree.first[node] ? plural(count, "path") : KINDS[entry.kind];
  const old = entry?.kind === 1 ? "" : humanSize(before), now = entry?.kind === 2 ? "" : humanSize(after);
  return [kind, old, now, difference(after - before), entry ? changedText(entry) : "", entry ? modeText(entry.mode) : ""];
}

const difference = (bytes) => (bytes ? `${bytes < 0 ? "−" : "+"}${humanSize(Math.abs(bytes))}` : "0 B");
const changedText = (entry) => WHAT.filter((_, bit) => entry.what & (1 << bit)).join(", ");

// The table of nodes; names are paths where they come from several directories.
function showTable(tree, nodes, count, named, open, kind, whole) {
  $("columns").replaceChildren(...COLUMNS[kind].map(([name, className]) => Object.assign(make("th", className || "", name), { scope: "col" })));
  $("rows").replaceChildren(...nodes.slice(0, count).map((node) => {
    const entry = tree.entries[node], layer = tree.skip === 2 && tree.parents[node] === 0, name = named(node) + (tree.first[node] && !layer ? "/" : "");
    const button = make("button", "text", entry && entry.target ? `${name} → ${entry.target}` : name);
    button.type = "button";
    button.addEventListener("click", () => open(node));
    const cells = (kind === "changes" ? changeCells : fileCells)(tree, node, whole);
    return make("tr", "", make("td", "", button), ...cells.map((text, number) => make("td", COLUMNS[kind][number + 1][1] || "", text)));
  }));
  $("more").hidden = nodes.length <= count;
}
