// What the checks of looks.rs measure in the page: each gives a list of what is wrong, which should be empty.
window.measures = (() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = () => all(".card:not([hidden])").filter((card) => card.getClientRects().length > 0);
  const name = (element) => `${element.tagName}.${element.getAttribute("class") ?? ""} ${element.textContent.slice(0, 40)}`;

  // Elements that hold text themselves, and are seen.
  const texts = () => all("body *").filter((element) => {
    if (element.closest("script, style, title, .hidden, option")) return false;
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "");
    return own && element.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true });
  });
  const rectsOfText = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return [...range.getClientRects()].filter((rect) => rect.width > 0 && rect.height > 0);
  };
  const cross = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;

  // A colour as the browser paints it.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = new Map();
  const paint = (colour) => {
    if (!painted.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      painted.set(colour, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return painted.get(colour);
  };
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    const box = element.closest("g.stage")?.querySelector("rect");
    if (box) return paint(getComputedStyle(box).fill);
    for (let at = element; at; at = at.parentElement) {
      const colour = paint(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const pair = [paint(element instanceof SVGElement ? style.fill : style.color), ground(element)].map(luminance);
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  };

  return {
    seen,
    // The page is wider than the window.
    wider: () => document.documentElement.scrollWidth > innerWidth ? [document.documentElement.scrollWidth] : [],
    // Text that lies on a bar.
    crossed: () => {
      const bars = all(".track").map((bar) => bar.getBoundingClientRect());
      const on = (element) => rectsOfText(element).some((rect) => bars.some((bar) => cross(rect, bar)));
      return bars.length > 0 ? texts().filter(on).map(name) : ["there are no bars"];
    },
    // Text that leaves its box in the pipeline, or lies on other text there.
    clipped: () => all("g.stage").filter((stage) => stage.getClientRects().length > 0).filter((stage) => {
      const box = stage.querySelector("rect").getBoundingClientRect();
      const rects = [...stage.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
      const outside = rects.some((rect) => rect.right > box.right || rect.left < box.left || rect.bottom > box.bottom);
      const overlap = (a, b) => cross(a, b) && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
      return outside || rects.some((a, i) => rects.slice(i + 1).some((b) => overlap(a, b)));
    }).map(name),
    // Text of a drawing that is cut off at its edge.
    cut: () => all("svg text").filter((text) => text.getClientRects().length > 0).filter((text) => {
      const [inner, outer] = [text, text.closest("svg")].map((element) => element.getBoundingClientRect());
      return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
    }).map(name),
    // Text that is hard to read on its ground.
    faint: () => texts().map((element) => [contrast(element), element]).filter(([value]) => value < 4.5)
      .map(([value, element]) => `${value.toFixed(2)} ${name(element)}`),
    // What can be clicked and not be reached by Tab.
    unreachable: () => all("a, button, input, select, summary, .card, .wide").filter((element) => element.tabIndex < 0).map(name),
    // Folded parts whose content is not seen.
    folded: () => all("details > :not(summary)").filter((part) => !part.checkVisibility()),
    inSight: (element) => {
      const rect = element.getBoundingClientRect();
      return rect.top >= 0 && rect.top < innerHeight / 2;
    },
    choose: (id, value) => {
      const select = document.getElementById(id);
      select.value = value;
      select.dispatchEvent(new Event("change"));
    },
  };
})();
