// Teaching: candidates side by side, a choice or a better answer, and what the lesson changed.

import { ask, events as eventsOf, fetchText, tell } from "./api.js";
import { announce, byId, download, folds, growing, h, isEnter, notice, retype, showError } from "./dom.js";
import { draft, keepDraft, newId } from "./store.js";

const TALK = "teach"; // whose drafts these are
const TURNS = 5; // after which a conversation begins anew, as in the terminal
const COUNT = 5;
const teacher = newId();
let held = false; // whether the server may keep the place for this page
let turns = []; // the conversation that the next question goes on with
let offered = null; // the question whose candidates are shown
let asking = null; // stops the candidates being written
let lessons = []; // the cards of this page's lessons, the oldest first
let working = Promise.resolve(); // lessons and undos, in their order

const place = byId("lessons");
const box = growing(byId("question"), (text) => keepDraft(TALK, "question", text));

export function start() {
	box.value = draft(TALK, "question");
	if (!draft(TALK, "answer")) keepDraft(TALK, "answer", draft(TALK, "sent")); // nobody has said that it came
	byId("asker").addEventListener("submit", (event) => { event.preventDefault(); askIt(); });
	box.addEventListener("keydown", (event) => { if (isEnter(event)) { event.preventDefault(); askIt(); } });
	byId("ask-stop").addEventListener("click", stop);
	byId("afresh").addEventListener("click", () => { turns = []; showContext(); box.focus(); });
	byId("measure").addEventListener("click", measure);
	byId("journal").addEventListener("click", journal);
	byId("teach-view").addEventListener("keydown", keys);
	folds(byId("lessons-toggle"), byId("lessons-body"));
	addEventListener("pagehide", leave);
	showEmpty();
	showContext();
}

export function enter() {
	box.grow();
	box.focus();
	return showStatistics();
}

// Lets somebody else teach.
export function leave() {
	if (held) tell("/v1/vidya/leave", { teacher });
	held = false;
}

// A request that may teach, as this teacher.
function asTeacher(request, path, body, signal) {
	held = true;
	return request(`/v1/vidya/${path}`, { ...body, teacher }, signal);
}

const asMessages = (texts) =>
	texts.map((content, number) => ({ role: number % 2 ? "assistant" : "user", content }));

// ---- questions

async function askIt() {
	const text = box.value.trim();
	if (!text || asking) return;
	if (await offer([...turns, text])) clearQuestion();
}

function clearQuestion() {
	box.value = "";
	keepDraft(TALK, "question", "");
	box.grow();
}

// Has candidates written; whether they came.
async function offer(asked) {
	stop();
	const abort = new AbortController();
	asking = abort;
	showError(byId("teach-error"), null);
	place.querySelector(".empty")?.remove();
	const earlier = offered;
	const shown = candidateCard(asked);
	earlier?.card.remove();
	offered = shown;
	place.append(shown.card);
	buttons();
	shown.card.scrollIntoView({ block: "nearest" });
	scrollTo(0, document.body.scrollHeight);
	shown.list.focus();
	let found = null;
	try {
		const body = { messages: asMessages(asked), n: COUNT };
		for await (const event of asTeacher(eventsOf, "candidates", body, abort.signal)) {
			if (event.question) found = event;
			else shown.write(event.number, event.text);
		}
	} catch (error) {
		if (error.name !== "AbortError") showError(byId("teach-error"), error, () => { box.value ||= asked.at(-1); askIt(); });
	}
	asking = null;
	buttons();
	if (!found) {
		shown.card.remove();
		if (offered === shown) offered = null;
		showEmpty();
		box.focus();
		return false;
	}
	shown.finish(found);
	announce(`${found.candidates.length} answers. ${found.candidates.map((one) => `${one.number}: ${one.text}`).join(". ")}`);
	return true;
}

function candidateCard(asked) {
	const lines = Array.from({ length: COUNT }, (_, at) => candidateLine(at + 1));
	const list = h("ol", { class: "candidates", tabindex: "-1", "aria-label": "Answers to choose among" }, lines.map((one) => one.line));
	const note = h("p", { class: "soft small" }, "It writes five answers …");
	const answer = h("textarea", { rows: 1, id: "answer", placeholder: "Or write a better one" });
	answer.value = draft(TALK, "answer");
	answer.addEventListener("keydown", (event) => {
		if (isEnter(event)) { event.preventDefault(); teachAnswer(); }
		if (event.key === "Escape") { event.stopPropagation(); list.querySelector("button")?.focus(); }
	});
	const card = h("article", { class: "card", "aria-label": "Question" },
		h("p", { class: "asked" }, asked.at(-1)), list, note,
		h("div", { class: "better" },
			h("label", {}, h("span", { class: "quiet" }, "A better answer"), answer),
			h("button", { onclick: teachAnswer }, "Teach")),
		h("p", { class: "acts" },
			h("button", { class: "word", onclick: () => learn({ reject: true }) }, h("kbd", {}, "0"), " None is right"),
			h("button", { class: "word", onclick: () => offer(asked) }, h("kbd", {}, "r"), " Other answers"),
			h("button", { class: "word", onclick: skip }, h("kbd", {}, "Esc"), " Skip")));
	growing(answer, (text) => keepDraft(TALK, "answer", text));
	return {
		card, list, answer, asked, found: null,
		write(number, text) { lines[number - 1]?.said.replaceChildren(text); },
		finish(found) {
			this.found = found;
			note.textContent = found.note ?? "Pick the right one by its digit, edit one with e, or type a better one.";
			const whole = found.candidates.map((one) => candidateLine(one.number, one.text));
			const focused = list.contains(document.activeElement) || document.activeElement === document.body;
			list.replaceChildren(...whole.map((one) => one.line));
			if (focused) (list.querySelector("button") ?? list).focus();
		},
	};
}

function candidateLine(number, text = null) {
	const said = h("span", { class: text === null ? "said still" : "said" }, text ?? "");
	const line = h("li", {},
		h("button", { class: "pick", disabled: text === null, onclick: () => learn({ pick: number }) },
			h("span", { class: "number" }, String(number)), said),
		text === null ? null : h("button", { class: "word", "aria-label": `Edit ${number}`, onclick: () => edit(text) }, "Edit"));
	return { line, said };
}

function stop() {
	asking?.abort();
}

function skip() {
	stop();
	if (offered?.found) {
		offered.card.remove();
		offered = null;
		showEmpty();
	}
	box.focus();
}

function edit(text) {
	retype(offered.answer, text);
}

function teachAnswer() {
	const answer = offered?.answer.value.trim();
	if (answer) learn({ answer });
}

function keys(event) {
	if (event.key === "Escape" && (asking || offered)) { skip(); return; }
	if (!offered?.list.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
	const picks = [...offered.list.querySelectorAll(".pick")];
	const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
	if (way) {
		event.preventDefault();
		const at = picks.indexOf(event.target.closest("li")?.firstChild);
		picks[Math.max(0, Math.min(picks.length - 1, at + way))]?.focus();
	}
	if (event.key.length > 1 || event.key === " ") return;
	const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
	if (digit === null && event.key !== "e" && event.key !== "r") {
		offered.answer.focus(); // what is typed goes there
		if (event.key === "=") event.preventDefault();
		return;
	}
	event.preventDefault();
	if (!offered.found) return;
	if (digit === 0) learn({ reject: true });
	else if (digit !== null) picks[digit - 1]?.click();
	else if (event.key === "r") offer(offered.asked);
	else event.target.closest("li")?.querySelector(".word")?.click();
}

// ---- a lesson

function learn(choice) {
	const { found, asked, card, answer } = offered ?? {};
	if (!card || (choice.answer === undefined && !found)) return;
	stop();
	const was = { offered, turns };
	const right = choice.answer ?? found?.candidates[choice.pick - 1]?.text ?? null;
	const likeliest = found && [...found.candidates].sort((one, other) => other.logprob - one.logprob)[0]?.text;
	const lesson = lessonCard(asked, right, likeliest);
	card.replaceWith(lesson.card);
	offered = null;
	turns = right === null ? turns : [...asked, right];
	if (turns.length / 2 >= TURNS) turns = [];
	if (choice.answer) {
		keepDraft(TALK, "sent", choice.answer);
		keepDraft(TALK, "answer", "");
	}
	if (box.value.trim() === asked.at(-1)) clearQuestion();
	showContext();
	box.focus();
	lesson.card.scrollIntoView({ block: "nearest" });
	const body = found ? { question: found.question } : { messages: asMessages(asked) };
	working = working.then(async () => {
		try {
			const told = await asTeacher(ask, "lessons", { ...body, ...choice });
			lessons.push(lesson);
			lesson.learnt(told);
			announce(`Learnt. ${told.outcome.line}`);
			showCounts(told);
			showUndo();
			await lesson.askAgain().catch(() => {});
		} catch (error) {
			turns = was.turns;
			showContext();
			if (choice.answer && !draft(TALK, "answer")) keepDraft(TALK, "answer", choice.answer);
			showError(byId("teach-error"), error);
			if (offered) lesson.card.remove();
			else {
				offered = was.offered;
				lesson.card.replaceWith(card);
				answer.focus();
			}
		}
		keepDraft(TALK, "sent", "");
		await showStatistics();
	});
}

function lessonCard(asked, right, before) {
	const state = h("p", { class: "busy soft" }, "Learning; you can go on");
	const facts = h("div", { class: "facts" });
	const again = h("p", { class: "small" });
	const acts = h("div", { class: "acts" });
	const card = h("article", { class: "card learnt", "aria-label": "Lesson" },
		h("p", { class: "asked" }, asked.at(-1)),
		h("p", { class: "answer" }, h("span", {}, right ?? "None of the answers is right."),
			h("span", { class: "mark" }, right === null ? "rejected" : "taught")),
		state, facts, again, acts);
	return {
		card, acts, number: null,
		learnt({ lesson, outcome }) {
			this.number = lesson.number;
			state.className = "small";
			state.textContent = sentence(outcome.line);
			if (outcome.before !== null && outcome.after !== null) facts.append(lossChange(outcome.before, outcome.after));
			if (outcome.drift !== null) {
				facts.append(h("p", { class: "soft small" }, `Drift on other talk: ${outcome.drift.toFixed(3)} nats a token from the base model (0: it talks as before).`));
			}
		},
		// The same question, asked again: what it says now, greedily.
		async askAgain() {
			again.textContent = "Asked again …";
			const body = { messages: asMessages(asked), temperature: 0, max_tokens: 60 };
			const said = (await ask("/v1/chat/completions", body)).choices[0].message.content;
			again.replaceChildren(h("span", { class: "soft" }, "Asked again: "), said,
				before && before !== said ? h("span", { class: "soft" }, ` — before: ${before}`) : "");
			before = said;
		},
		undone() {
			card.classList.add("undone");
			card.querySelector(".mark").textContent = "taken back";
			state.textContent = "Taken back: the model is what it was before, to the last bit.";
			facts.replaceChildren();
			acts.replaceChildren();
		},
	};
}

const sentence = (line) => `${line[0].toUpperCase()}${line.slice(1)}.`;

function lossChange(before, after) {
	const row = (word, value, name) => {
		const bar = h("u", { class: name });
		bar.style.width = `${(100 * value) / Math.max(before, after, 0.01)}%`;
		return [h("span", { class: "soft" }, word), h("i", {}, bar), h("b", {}, value.toFixed(2))];
	};
	return h("div", { class: "change" }, row("loss before", before, "before"), row("loss after", after, ""));
}

function showUndo() {
	for (const one of lessons) one.acts.replaceChildren();
	lessons.at(-1)?.acts.append(h("button", { class: "plain", onclick: undo }, "Undo"));
}

function undo() {
	working = working.then(async () => {
		try {
			const told = await asTeacher(ask, "undo");
			const at = lessons.findIndex((one) => one.number === told.lesson.number);
			const [taken] = at < 0 ? [] : lessons.splice(at, 1);
			taken?.undone();
			if (turns.at(-2) === told.lesson.turns.at(-1)) turns = turns.slice(0, -2);
			showContext();
			showCounts(told);
			showUndo();
			announce(sentence(told.line));
			if (!taken) notice(sentence(told.line));
			box.focus();
			await taken?.askAgain().catch(() => {});
		} catch (error) {
			showError(byId("teach-error"), error);
		}
		await showStatistics();
	});
}

// ---- beside it

function buttons() {
	byId("ask").hidden = asking !== null;
	byId("ask-stop").hidden = asking === null;
}

function showContext() {
	const exchanges = turns.length / 2;
	byId("context").textContent = exchanges
		? `The next question goes on after ${exchanges} ${exchanges === 1 ? "exchange" : "exchanges"}.`
		: "The next question begins a conversation.";
	byId("afresh").hidden = !exchanges;
}

function showEmpty() {
	if (place.children.length) return;
	place.append(h("p", { class: "empty" }, "Ask the model something. It offers five answers: you pick the right one, or write a better one, and it learns that at once."));
}

function showCounts({ lessons: count, taken_back: taken }) {
	byId("count").textContent = `${count} ${count === 1 ? "lesson" : "lessons"}${taken ? `, ${taken} taken back` : ""}`;
}

async function showStatistics() {
	let told;
	try {
		told = await ask("/v1/vidya/stats");
	} catch (error) {
		showError(byId("teach-error"), error, enter);
		return;
	}
	if (!told.teaching) {
		showError(byId("teach-error"), new Error("Teaching is off on this server: python -m vidya.serve --teach yes."));
		byId("ask").disabled = true;
		return;
	}
	showCounts(told);
	byId("journal").disabled = told.began_with === null;
	byId("measure").disabled = !told.lessons;
	const latest = [...told.latest].reverse();
	byId("latest").replaceChildren(...latest.map((one, at) => h("li", {},
		h("div", {}, h("p", { class: "soft" }, one.turns.at(-1)), h("p", {}, one.right ?? "none was right")),
		at === 0 ? h("button", { class: "word", "aria-label": `Undo: ${one.turns.at(-1)}`, onclick: undo }, "Undo") : null)));
}

function measure() {
	byId("measured").replaceChildren(h("p", { class: "busy soft" }, "Measuring"));
	working = working.then(async () => {
		try {
			const { measured } = await asTeacher(ask, "measure");
			byId("measured").replaceChildren(...measured.map((line) => h("p", {}, line)));
			announce(measured.join(". "));
		} catch (error) {
			byId("measured").replaceChildren();
			showError(byId("teach-error"), error);
		}
	});
}

async function journal() {
	try {
		download("teach.jsonl", await fetchText("/v1/vidya/journal"), "application/jsonl");
	} catch (error) {
		showError(byId("teach-error"), error);
	}
}
