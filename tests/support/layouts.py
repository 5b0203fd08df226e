"""Files of conversations as people lay them out, and the conversations in them."""

TWO = ["<|user|> hi <|assistant|> hello", "<|user|> who are you <|assistant|> me"]
LONG = ["<|user|> hi <|assistant|> hello <|user|> who are you <|assistant|> me"]

LAYOUTS = {
    "the corpus form": ("\n".join(TWO), TWO),
    "windows": ("\ufeff" + "\r\n".join(TWO) + "\r\n", TWO),
    "a turn a line": (
        "<|user|> hi\n<|assistant|> hello\n<|user|> who are you\n<|assistant|> me", TWO,
    ),
    "a turn a line, blank lines between conversations": (
        "<|user|> hi\n<|assistant|> hello\n<|user|> who are you\n<|assistant|> me\n\n"
        "<|user|> hi\n<|assistant|> hello", [*LONG, TWO[0]],
    ),
    "blank lines everywhere": (
        "<|user|> hi\n\n<|assistant|> hello\n\n<|user|> who are you\n\n<|assistant|> me", TWO,
    ),
    "lines between conversations": (
        "<|user|> hi\n<|assistant|> hello\n<|user|> who are you\n<|assistant|> me\n---\n"
        "<|user|> hi\n<|assistant|> hello\n<|endoftext|>\n", [*LONG, TWO[0]],
    ),
    "markers on lines of their own": (
        "<|user|>\nhi\n<|assistant|>\nhello\n\n<|user|>\nwho are you\n<|assistant|>\nme", TWO,
    ),
    "replies of several lines": (
        "<|user|> hi\n<|assistant|> hello\nthere", ["<|user|> hi <|assistant|> hello↵there"],
    ),
    "no spaces": (
        "<|user|>hi<|assistant|>hello\n<|user|>who are you<|assistant|>me", TWO,
    ),
    "tabs, double and trailing spaces": (
        "<|user|>\thi <|assistant|>  hello  \n <|user|> who  are\u00a0you\t<|assistant|> me ", TWO,
    ),
    "capitals": ("<|USER|> hi <|Assistant|> hello\n<|User|> who are you <|ASSISTANT|> me", TWO),
    "spaces inside": ("< |user| > hi < |assistant| > hello", TWO[:1]),
    "full-width signs": ("<｜User｜>hi<｜Assistant｜>hello", TWO[:1]),
    "one bar": ("<|user> hi <|assistant> hello\n<user|> who are you <assistant|> me", TWO),
    "signs as HTML has them": ("&lt;|user|&gt; hi &lt;|assistant|&gt; hello", TWO[:1]),
    "signs as Markdown has them": ("\\<|user|\\> hi <\\|assistant\\|> hello", TWO[:1]),
    "colons behind markers": ("<|user|>: hi <|assistant|>: hello", TWO[:1]),
    "in quotes": (f'"{TWO[0]}",\n“{TWO[1]}”', TWO),
    "characters without width": (
        "\u200e<|user|>\u200b hi \u2060<|assistant|> hello\n"
        "<|user|> who are you <|assistant|> me", TWO,
    ),
    "a marker at the end": (f"{TWO[0]} <|user|>\n{TWO[1]}<|user|>", TWO),
    "a list": (f"- {TWO[0]}\n- {TWO[1]}", TWO),
    "numbers": (f"1. {TWO[0]}\n2) {TWO[1]}", TWO),
    "numbers alone": (f"1 {TWO[0]}\n#2 {TWO[1]}", TWO),
    "<|bos|> around": (f"<|bos|>{TWO[0]}<|bos|>\n<|bos|>{TWO[1]}", TWO),
    "<|bos|> between": (f"{TWO[0]}<|bos|>{TWO[1]}", TWO),
    "labels": ("User: hi\nAssistant: hello\nUser: who are you\nAssistant: me", TWO),
    "labels, blank lines": (
        "Human: hi\nAI: hello\nHuman: who are you\nAI: me\n\nHuman: hi\nAI: hello",
        [*LONG, TWO[0]],
    ),
    "questions": ("Q: hi\nA: hello\n\nQ: who are you\nA: me", TWO),
    "numbered questions": ("Q1: hi\nA1: hello\nQ2: who are you\nA2: me", TWO),
    "labels in bold": ("**User:** hi\n**Assistant:** hello", TWO[:1]),
    "labels in a line": ("Q: hi A: hello\nQ: who are you A: me", TWO),
    "labels after what has no width": ("\u200eUser: hi\n\ufeffAssistant: hello", TWO[:1]),
    "labels in German": ("Frage: hi\nAntwort: hello", TWO[:1]),
    "labels in French": ("Question : hi\nRéponse : hello", TWO[:1]),
    "labels in Japanese": ("ユーザー：hi\nアシスタント：hello", TWO[:1]),
    "copied from a web page": ("You said:\nhi\nChatGPT said:\nhello", TWO[:1]),
    "headings": (
        "## User\n\nhi\n\n## Assistant\n\nhello\n\n## User\nwho are you\n## Assistant\nme", TWO,
    ),
    "bold lines": ("**User**\n\nhi\n\n**Assistant**\n\nhello", TWO[:1]),
    "blank lines between all turns": (
        "Human: hi\n\nAI: hello\n\nHuman: who are you\n\nAI: me", TWO,
    ),
    "labels in Chinese": ("用户：你好\n助手：您好", ["<|user|> 你好 <|assistant|> 您好"]),
    "Vicuna": ("USER: hi ASSISTANT: hello</s>USER: who are you ASSISTANT: me</s>", LONG),
    "Alpaca": (
        "### Instruction:\nhi\n\n### Response:\nhello\n\nthere\n\n### Instruction:\nwho are you\n\n"
        "### Response:\nme", ["<|user|> hi <|assistant|> hello↵↵there", TWO[1]],
    ),
    "ChatML": (
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\nhello\n\nthere<|im_end|>\n<|im_start|>system\n<|im_end|>\n"
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n"
        "<|im_start|>user\nwho are you<|im_end|>\n<|im_start|>assistant\nme<|im_end|>",
        ["<|user|> hi <|assistant|> hello↵↵there", *LONG],
    ),
    "ChatML in a line": (
        "<|im_start|>user hi<|im_end|><|im_start|>assistant hello<|im_end|>\n"
        "<|im_start|>user who are you<|im_end|><|im_start|>assistant me<|im_end|>", TWO,
    ),
    "Llama 2": (
        "<s>[INST] <<SYS>>\nbe kind\n<</SYS>>\n\nhi [/INST] hello </s>\n"
        "<s>[INST] who are you [/INST] me </s>", TWO,
    ),
    "Llama 3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nhello<|eot_id|>", TWO[:1],
    ),
    "Gemma": (
        "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\nhello<end_of_turn>", TWO[:1],
    ),
    "Zephyr": (
        "<|system|>\nbe kind</s>\n<|user|>\nhi</s>\n<|assistant|>\nhello</s>", TWO[:1],
    ),
    "tags with colons": ("[USER]: hi\n[ASSISTANT]: hello", TWO[:1]),
    "tags": ("<user>hi</user>\n<assistant>hello</assistant>", TWO[:1]),
    "a tab between": ("hi\thello\nwho are you\tme", TWO),
    "a table with a head": ("question\tanswer\nhi\thello\nwho are you\tme", TWO),
}  # fmt: skip
