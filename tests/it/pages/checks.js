// Rules of WCAG 2.1 AA that a script can decide. Returns one sentence for each problem.
const problems = [];
const short = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 90);
const visible = (element) => element.checkVisibility() && !element.closest(".unseen");

// 1.4.3: text has a contrast of 4.5 to its background.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const colour = (text) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = text;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = ([red, green, blue]) => {
  const linear = (value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
};
const contrast = (a, b) => {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};
const background = (element) => {
  if (element instanceof SVGElement) {
    const box = element.closest("g")?.querySelector("rect");
    if (box && element.closest(".node")) return colour(getComputedStyle(box).fill);
  }
  for (let one = element; one; one = one.parentElement) {
    const found = colour(getComputedStyle(one).backgroundColor);
    if (found[3] === 255) return found;
  }
  return [255, 255, 255, 255];
};
const seen = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !visible(element) || element.closest("script, style, title, desc")) continue;
  const style = getComputedStyle(element);
  const front = colour(element instanceof SVGElement ? style.fill : style.color);
  const back = background(element);
  const ratio = contrast(front, back);
  if (ratio < 4.5 && !seen.has(`${front} ${back}`)) {
    seen.set(`${front} ${back}`, true);
    problems.push(`the contrast is ${ratio.toFixed(2)}: ${short(element)}`);
  }
}

// 1.4.11: the parts of a chart have a contrast of 3 to the page.
for (const bar of document.querySelectorAll("rect.bar, .key")) {
  const style = getComputedStyle(bar);
  const front = colour(bar instanceof SVGElement ? style.fill : style.backgroundColor);
  const ratio = contrast(front, background(bar.parentElement));
  if (ratio < 3) problems.push(`the contrast is ${ratio.toFixed(2)}: ${short(bar)}`);
}

// 1.3.1: headings are in order, without a gap. One is of the first level.
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
  const own = Number(heading.tagName[1]);
  if (own > level + 1) problems.push(`h${own} follows h${level}: ${heading.textContent}`);
  if (!heading.textContent.trim()) problems.push(`empty heading: ${short(heading)}`);
  level = own;
}
if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");

// 1.3.1: tables have a caption, and their headers a scope.
for (const table of document.querySelectorAll("table")) {
  if (!table.caption?.textContent.trim()) problems.push(`no caption: ${short(table)}`);
  for (const header of table.querySelectorAll("th")) {
    if (!["col", "row"].includes(header.scope)) problems.push(`no scope: ${short(header)}`);
  }
  for (const row of table.tBodies[0].rows) {
    if (row.cells.length !== table.tHead.rows[0].cells.length) problems.push(`row of another length: ${short(row)}`);
  }
}

// 3.1.1, 2.4.2, 4.1.1: language, title, unique ids, references that exist.
if (document.documentElement.lang !== "en") problems.push("no language");
if (!document.title.trim()) problems.push("no title");
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of new Set(ids)) {
  if (ids.filter((one) => one === id).length > 1) problems.push(`the id ${id} is used twice`);
}
for (const name of ["aria-labelledby", "aria-describedby", "for"]) {
  for (const element of document.querySelectorAll(`[${name}]`)) {
    for (const id of element.getAttribute(name).split(" ")) {
      if (!document.getElementById(id)) problems.push(`no element ${id}: ${short(element)}`);
    }
  }
}
for (const link of document.querySelectorAll('a[href^="#"]')) {
  const id = link.hash.slice(1);
  if (!id.includes("=") && !document.getElementById(id)) problems.push(`no target: ${short(link)}`);
}

// 2.5.8: controls are large enough to be hit, except links in text.
for (const control of document.querySelectorAll("button, input, select")) {
  if (visible(control) && !control.matches(".digest") && control.getBoundingClientRect().height < 20) {
    problems.push(`a low control: ${short(control)}`);
  }
}
return problems;
