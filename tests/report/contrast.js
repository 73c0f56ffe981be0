// Texts and lines of the page with a contrast below 3:1 to what is behind them (WCAG 2.2, 1.4.11).
() => {
  const LEAST = 3;
  const rgba = (text) => {
    const numbers = (text.match(/[\d.]+/g) || []).map(Number);
    return text.startsWith("rgb") ? [...numbers.slice(0, 3), numbers[3] ?? 1] : [0, 0, 0, 0];
  };
  const over = ([r, g, b, a], back) =>
    [r, g, b].map((value, at) => a * value + (1 - a) * back[at]);
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const layer = rgba(getComputedStyle(each).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduceRight((back, layer) => over(layer, back), [255, 255, 255]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const opacity = (element) => {
    let product = 1;
    for (let each = element; each; each = each.parentElement) {
      product *= Number(getComputedStyle(each).opacity);
    }
    return product;
  };
  const below = [];
  let checked = 0;
  const check = (element, name, colour, share) => {
    const [r, g, b, a] = rgba(colour), visible = a * share * opacity(element);
    if (visible === 0) return;
    checked += 1;
    const back = behind(element), ratio = contrast(over([r, g, b, visible], back), back);
    const place = element.closest("[id]")?.id;
    if (ratio < LEAST) below.push([place, element.tagName, element.getAttribute("class"), name, colour, ratio]);
  };
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (!element.getClientRects().length || (!box.width && !box.height)) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden") continue;
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (element instanceof SVGElement) {
      if (["path", "line", "rect", "circle", "text", "tspan"].includes(element.tagName)) {
        if (element.closest("defs, clipPath, #js-plotly-tester, .annotation .bg")) continue;
        const isText = hasText || element.tagName === "text";
        if (!isText) check(element, "stroke", style.stroke, parseFloat(style.strokeWidth) ? Number(style.strokeOpacity) : 0);
        const ownFill = element.style.fill || element.getAttribute("fill"); // a line has none
        if (isText ? hasText : ownFill) check(element, "fill", style.fill, Number(style.fillOpacity));
      }
    } else if (hasText) check(element, "text", style.color, 1);
  }
  return { checked, below };
}
