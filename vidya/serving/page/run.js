// The run behind the model: figures, curves and samples, live while it trains.

import { ask } from "./api.js";
import { drawChart, shortNumber } from "./chart.js";
import { byId, h } from "./dom.js";

let timer = 0;
let shown = false;
let told = null;

export function start() {
	new ResizeObserver(() => { if (shown && told) draw(); }).observe(byId("run-view"));
	document.addEventListener("visibilitychange", () => { if (shown && !document.hidden) look(); });
}

export function enter() {
	shown = true;
	look();
}

export function leave() {
	shown = false;
	clearTimeout(timer);
}

async function look() {
	clearTimeout(timer);
	let wait = 15000;
	try {
		told = await ask("/v1/vidya/run");
		if (!["finished", "stopped", "none"].includes(told.state)) wait = 3000;
		draw();
	} catch (error) {
		byId("run-state").textContent = error.message;
	}
	if (shown && !document.hidden) timer = setTimeout(look, wait);
}

function duration(seconds) {
	const minutes = Math.round(seconds / 60);
	if (minutes < 1) return `${Math.round(seconds)} s`;
	return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function draw() {
	const run = told;
	byId("run-title").textContent = run.preset ? `${run.name}, preset ${run.preset}` : run.name;
	byId("run-state").textContent = {
		none: "There is nothing of a training in this run folder.",
		training: "It is training now; what you see keeps up with it.",
		finished: "The training is finished.",
		stopped: "The training was stopped before its end.",
	}[run.state] ?? run.state;
	const held = run.evaluations.at(-1);
	const figures = run.state === "none" ? [] : [
		["step", run.steps ? `${run.step.toLocaleString("en")} of ${run.steps.toLocaleString("en")}` : run.step.toLocaleString("en")],
		["loss, training text", run.loss?.toFixed(3)],
		["loss, unseen text", held?.[1].toFixed(3)],
		["bits a byte, unseen text", held?.[2].toFixed(3)],
		["tokens a second", run.speed.length ? shortNumber(Math.round(run.speed.at(-1)[1])) : null],
		["tokens seen", shortNumber(run.tokens)],
		["trained for", run.seconds === null ? null : duration(run.seconds)],
		["left", run.seconds_left === null ? null : duration(run.seconds_left)],
	].filter(([, value]) => value !== null && value !== undefined);
	byId("figures").replaceChildren(...figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
	drawChart(byId("run-loss"), "Loss, nats a token", [
		{ name: "training text", className: "train", points: run.curve },
		{ name: "unseen text", className: "held", points: run.evaluations.map(([step, loss]) => [step, loss]) },
	]);
	drawChart(byId("run-speed"), "Speed of the last steps, tokens a second", [
		{ name: "tokens a second", className: "train", points: run.speed },
	], { fromZero: true });
	const [when, ...samples] = run.samples;
	byId("run-samples").replaceChildren(...(when ? [h("div", { class: "samples" },
		h("h2", {}, `What it replied at ${when}`), h("ul", {}, samples.map((line) => h("li", {}, line.trim()))))] : []));
	const open = byId("run-table").querySelector("details")?.open;
	byId("run-table").replaceChildren(...(run.evaluations.length ? [h("details", { open: open || null },
		h("summary", {}, "Every evaluation, as a table"),
		h("table", {}, h("thead", {}, h("tr", {}, ["step", "loss", "bits a byte"].map((name) => h("th", { scope: "col" }, name)))),
			h("tbody", {}, run.evaluations.map(([step, loss, bits]) => h("tr", {}, h("td", {}, Math.round(step).toLocaleString("en")), h("td", {}, loss.toFixed(4)), h("td", {}, bits.toFixed(4)))))))] : []));
}
