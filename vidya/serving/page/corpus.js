// Conversations as lines of a corpus: what vidya/text/conversation_format.py writes, to the character.

const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const SPACES = new RegExp(`${SPACE.source}+`);
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;
const OPENING = /<(?=[|｜]\s*(?:bos|user|assistant|human|prompter|bot|model)\s*[|｜]\s*>)/gi;

// The turns of a conversation, the user's first, as one document.
export function document_(turns) {
	return turns
		.map((turn, number) => `${number % 2 ? "<|assistant|>" : "<|user|>"} ${unmarked(onOneLine(turn))}`)
		.join(" ");
}

export function onOneLine(text) {
	const kept = [];
	for (const line of text.replaceAll("↵", "⏎").split(LINE_END)) {
		const words = line.split(SPACES).filter(Boolean).join(" ");
		if (words) kept.push(" ".repeat(indentation(line)) + words);
		else if (kept.length && kept.at(-1)) kept.push("");
	}
	return kept.join("↵").replace(/^[↵ ]+|[↵ ]+$/g, "");
}

function indentation(line) {
	let columns = 0;
	for (const character of line) {
		if (!SPACE.test(character)) break;
		columns += character === "\t" ? 4 - (columns % 4) : 1;
	}
	return columns;
}

const unmarked = (text) => text.replace(/\p{Surrogate}/gu, "?").replace(OPENING, "< ");
