// A line chart in SVG, as wide as its place.

import { h } from "./dom.js";

const EDGE = { left: 46, right: 10, top: 12, bottom: 26 };
const HEIGHT = 240;

function s(tag, properties, ...children) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
	element.append(...children);
	return element;
}

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
	const rough = (high - low) / count || 1;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
	const found = [];
	for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
	return found;
}

export function shortNumber(value) {
	if (Math.abs(value) >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
	if (Math.abs(value) >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
	return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

// Where most of the values lie: a few at the start may be far above, and would flatten the rest.
function range(curves, fromZero) {
	const values = curves.flatMap((curve) => curve.points.map((point) => point[1])).sort((a, b) => a - b);
	const high = values[Math.floor(0.985 * (values.length - 1))];
	const low = fromZero ? 0 : values[0];
	const room = (high - low) * 0.06 || 0.5;
	return [fromZero ? 0 : low - room, high + room];
}

// Draws into `place`; curves are { name, className, points: [[x, y]] }.
export function drawChart(place, title, curves, { fromZero = false } = {}) {
	const drawn = curves
		.map((curve) => ({ ...curve, points: curve.points.filter(([x, y]) => x !== null && y !== null) }))
		.filter((curve) => curve.points.length);
	if (!drawn.length) { place.replaceChildren(); return; }
	const svg = s("svg", { class: "chart", role: "img", "aria-label": summary(title, drawn) });
	const legend = drawn.length > 1 ? drawn.map((curve) => h("span", { class: curve.className }, curve.name)) : [];
	place.replaceChildren(h("figure", {}, h("figcaption", {}, h("b", {}, title), ...legend), svg));

	const width = Math.max(240, svg.clientWidth || place.clientWidth);
	svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
	const xs = drawn.flatMap((curve) => curve.points.map((point) => point[0]));
	const [left, right] = [Math.min(...xs), Math.max(...xs)];
	const [low, high] = range(drawn, fromZero);
	const inside = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
	const x = (value) => EDGE.left + (inside.width * (value - left)) / (right - left || 1);
	const y = (value) => EDGE.top + inside.height * (1 - (value - low) / (high - low));

	for (const value of ticks(low, high, 5)) {
		svg.append(s("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
			s("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, shortNumber(value)));
	}
	for (const value of ticks(left, right, width < 500 ? 3 : 6)) {
		svg.append(s("text", { x: x(value), y: HEIGHT - 8, "text-anchor": value === right ? "end" : "middle" }, shortNumber(value)));
	}
	const box = { x: EDGE.left, y: EDGE.top - 3, width: inside.width, height: inside.height + 6 };
	const inner = s("svg", { ...box, viewBox: Object.values(box).join(" ") }); // cuts off what is higher
	svg.append(inner);
	for (const curve of drawn) {
		const path = curve.points.map(([at, value], n) => `${n ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
		inner.append(s("path", { class: `curve ${curve.className}`, d: path.join("") }));
		if (curve.points.length < 60 && curve.className === "held") {
			for (const [at, value] of curve.points) inner.append(s("circle", { class: "dot", cx: x(at), cy: y(value), r: 2.5 }));
		}
	}
}

function summary(title, curves) {
	const parts = curves.map(({ name, points }) =>
		`${name} from ${shortNumber(points[0][1])} at step ${Math.round(points[0][0])} to ${shortNumber(points.at(-1)[1])} at step ${Math.round(points.at(-1)[0])}`);
	return `${title}: ${parts.join("; ")}`;
}
