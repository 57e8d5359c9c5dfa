// What a page must be for those who do not see it, or not well, or use a finger: names for
// all controls, contrast, sizes, no sideways scrolling, no motion if none is wanted.
import assert from "node:assert/strict";

const CONTROLS = new Set(["button", "link", "textbox", "checkbox", "combobox", "radio", "slider", "image", "img", "meter", "group", "navigation", "region", "dialog"]);

// named reads the accessibility tree: each control has a name. It returns the names of a role.
export async function named(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const names = {};
  for (const node of nodes) {
    const role = node.role?.value, name = node.name?.value?.replace(/\s+/g, " ").trim();
    if (node.ignored || !CONTROLS.has(role)) continue;
    assert.ok(name, page.url() + " has a " + role + " without a name: " + JSON.stringify(node).slice(0, 300));
    (names[role] ??= []).push(name);
  }
  return names;
}

// contrast returns the texts of a page whose contrast is too low: 4.5 to 1, and 3 to 1 for
// large ones, as WCAG 2 counts it.
const contrast = (page) => page.evaluate(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below, alpha) => [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha));
  const luminance = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const low = [];
  let texts = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest(".hidden, .skip, script, svg") || !element.checkVisibility()) continue;
    const chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(e);
    let ground = rgba(getComputedStyle(document.documentElement).colorScheme === "dark" ? "#000" : "#fff"), opacity = 1;
    for (const e of chain) {
      const style = getComputedStyle(e), [r, g, b, a] = rgba(style.backgroundColor);
      opacity *= Number(style.opacity);
      ground = over([r, g, b], ground, a * opacity);
    }
    const style = getComputedStyle(element), [r, g, b, a] = rgba(style.color);
    const ink = over([r, g, b], ground, a * opacity);
    const [light, dark] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
    const ratio = (light + 0.05) / (dark + 0.05), px = parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    texts++;
    if (ratio < (large ? 3 : 4.5)) low.push(node.data.trim() + ": " + ratio.toFixed(2));
  }
  return { low, texts };
});

// readable checks the contrast in the light and in the dark.
export async function readable(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const { low, texts } = await contrast(page);
    assert.ok(texts > 3, page.url() + " has no texts");
    assert.deepEqual(low, [], page.url() + " in the " + colorScheme);
  }
  const grounds = [];
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
  }
  assert.notEqual(grounds[0], grounds[1], "the dark is as the light");
  await page.emulateMedia({ colorScheme: null });
}

// fits: nothing sticks out at any width, and what is pressed is as wide as a finger. Links
// within a sentence need not be.
export async function fits(page) {
  const before = page.viewportSize();
  for (const width of [320, 390, 768, 1280]) {
    await page.setViewportSize({ width, height: 844 });
    const { over, small } = await page.evaluate(() => ({
      over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      small: [...document.querySelectorAll("button, a")].filter((e) => {
        const box = e.getBoundingClientRect();
        return e.checkVisibility() && !e.matches("p > a:not(.back, .primary), .skip") && (box.height < 44 || box.width < 44);
      }).map((e) => e.textContent.trim() + " " + e.getBoundingClientRect().width + "×" + e.getBoundingClientRect().height),
    }));
    assert.ok(over <= 0, page.url() + " at " + width + " px is " + over + " px too wide");
    assert.deepEqual(small, [], page.url() + " at " + width + " px has what a finger does not hit");
  }
  await page.setViewportSize(before);
}

// still checks that nothing moves if no motion is wanted, and that something does otherwise.
export async function still(page) {
  const moving = () => page.evaluate(() => [...document.querySelectorAll("*")].filter((e) => {
    const { animationName, transitionDuration } = getComputedStyle(e);
    return animationName !== "none" || parseFloat(transitionDuration) > 0;
  }).length);
  await page.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(await moving(), 0, page.url() + " moves although no motion is wanted");
  await page.emulateMedia({ reducedMotion: null });
}
