// What all views need of the document: elements, growing text boxes, notices, words for screen readers.

export const byId = (id) => document.getElementById(id);

// An element; properties that begin with "on" are listeners, the rest attributes; null is left out.
export function h(tag, properties = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(properties)) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return element;
}

// Has a text said once by a screen reader: it stands outside of what is being written.
export function announce(text) {
	const place = byId("announcer");
	place.textContent = "";
	requestAnimationFrame(() => { place.textContent = text; });
}

let noticeTimer = 0;

// Tells something for a while, with a way to take it back.
export function notice(text, action = null) {
	const place = byId("notice");
	clearTimeout(noticeTimer);
	const close = () => { place.hidden = true; };
	const button = action && h("button", { onclick: () => { close(); action(); } }, "Undo");
	place.replaceChildren(text, ...(button ? [button] : []));
	place.classList.toggle("silent", !button);
	place.hidden = false;
	noticeTimer = setTimeout(close, 12000);
}

// A text box as high as its text; what is typed goes to `kept` at once.
export function growing(box, kept = () => {}) {
	const grow = () => {
		box.style.height = "auto";
		if (box.scrollHeight) box.style.height = `${box.scrollHeight + 2}px`;
	};
	box.addEventListener("input", () => { grow(); kept(box.value); });
	box.grow = grow;
	new ResizeObserver(grow).observe(box.parentElement);
	return box;
}

// Puts a text into a box in such a way that Ctrl+Z brings back what was there.
export function retype(box, text) {
	box.focus();
	box.select();
	document.execCommand("insertText", false, text);
}

// Enter without Shift, and not in the middle of composing a character.
export const isEnter = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing;

// Shows an error in its place, with a way to try again; nothing: hides it.
export function showError(place, error, again = null) {
	place.hidden = !error;
	if (!error) return;
	place.replaceChildren(h("span", {}, error.message || String(error)));
	if (again) place.append(h("button", { onclick: again }, "Try again"));
	announce(error.message || String(error));
}

export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		notice("Copied");
	} catch {
		notice("This browser lets no page copy here: select the text");
	}
}

// Hands a file to the person.
export function download(name, content, type = "text/plain;charset=utf-8") {
	const address = URL.createObjectURL(new Blob([content], { type }));
	h("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// On narrow screens a side panel is folded behind a button.
export function folds(button, body) {
	button.addEventListener("click", () => {
		const open = body.classList.toggle("open");
		button.setAttribute("aria-expanded", open);
		button.textContent = open ? "Hide" : "Show";
	});
}
