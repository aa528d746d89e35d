"""Trains `universal/starter`, the toy language model that ships with universal-text.

    python examples/starter/train.py --output starter

It needs torch and transformers, a few minutes and two CPU cores, and reads `questions.toml` beside it.
The same seed, thread count and library versions give the same weights.
"""

from __future__ import annotations

import argparse
import itertools
import string
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lessons import Lessons, Message, Pair, Teacher, read_lessons
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

HERE = Path(__file__).parent
CONTEXT = 1024
VOCABULARY = 1024
NOT_SCORED = -100  # the label that the loss of transformers leaves out
TOKENS_PER_STEP = 1024


def train_tokenizer(lessons: Lessons) -> PreTrainedTokenizerFast:
    """Returns a byte-level BPE tokenizer, so that any text round-trips, with the ChatML template beside this file."""
    texts = [text for pair in lessons.known for text in (pair.ask, pair.ask.lower(), pair.answer)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*texts, *lessons.things, *lessons.system_prompts, "system user assistant"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=(HERE / "chat_template.jinja").read_text(encoding="utf-8"),
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Returns an untrained Llama of about a million parameters that decodes greedily unless told otherwise."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def answer_labels(ids: Sequence[int], header: Sequence[int], end: int) -> list[int]:
    """Returns the ids of the answers, `<|im_end|>` included, and NOT_SCORED everywhere else."""
    labels = [NOT_SCORED] * len(ids)
    answering = False
    for place in range(len(header), len(ids)):
        answering = answering or ids[place - len(header) : place] == header
        if answering:
            labels[place] = ids[place]
            answering = ids[place] != end
    return labels


def batches(teacher: Teacher, tokenizer: PreTrainedTokenizerFast) -> Iterator[dict[str, torch.Tensor]]:
    """Yields input_ids and labels for ever, int64 of shape (rows, length) with rows * length <= TOKENS_PER_STEP."""
    header = tokenizer.encode("<|im_start|>assistant\n")
    while True:
        texts = tokenizer.apply_chat_template([teacher.conversation() for _ in range(256)], tokenize=False)
        ids = tokenizer(texts, truncation=True)["input_ids"]
        # Neighbours of like length: cut as they come, half of each batch would be padding.
        cuts = list(groups(sorted(ids, key=len), TOKENS_PER_STEP))
        teacher.random.shuffle(cuts)
        for rows in cuts:
            labels = [answer_labels(row, header, tokenizer.eos_token_id) for row in rows]
            yield {"input_ids": padded(rows, tokenizer.pad_token_id), "labels": padded(labels, NOT_SCORED)}


def groups(rows: Iterable[list[int]], budget: int) -> Iterator[list[list[int]]]:
    """Cuts rows that come shortest first into groups that stay within the budget of tokens once padded."""
    group: list[list[int]] = []
    for row in rows:
        if group and len(row) * (len(group) + 1) > budget:
            yield group
            group = []
        group.append(row)
    yield group


def padded(rows: Iterable[list[int]], value: int) -> torch.Tensor:
    """Returns the rows as one tensor, filled up on the right, where a causal model cannot see."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def train(model: LlamaForCausalLM, source: Iterator[dict[str, torch.Tensor]], steps: int) -> float:
    """Trains for that many steps, printing as it goes, and returns the mean loss of the last hundred."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps, pct_start=0.1)
    started = time.perf_counter()
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(itertools.islice(source, steps), start=1):
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        if step % 200 == 0 or step == steps:
            recent = sum(losses[-100:]) / len(losses[-100:])
            print(f"step {step:5d} of {steps}  loss {recent:.4f}  {time.perf_counter() - started:4.0f} s", flush=True)
    return sum(losses[-100:]) / len(losses[-100:])


@torch.inference_mode()
def share_right(folder: Path, pairs: Sequence[Pair], dtype: torch.dtype, before: Sequence[Message] = ()) -> float:
    """Returns the share of pairs whose answer the saved model gives word for word, after the messages in `before`."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    right = 0
    for start in range(0, len(pairs), 64):
        some = pairs[start : start + 64]
        chats: list[list[Message]] = [[*before, {"role": "user", "content": pair.ask}] for pair in some]
        prompt: Any = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(**prompt, max_new_tokens=200)[:, prompt["input_ids"].shape[1] :]
        answers = tokenizer.batch_decode(output, skip_special_tokens=True)
        right += sum(answer == pair.answer for answer, pair in zip(answers, some, strict=True))
    return right / len(pairs)


def report(folder: Path, lessons: Lessons) -> dict[str, float]:
    """Scores the saved model at greedy decoding and prints one line per score."""
    system = [{"role": "system", "content": "You are a helpful assistant."}]
    earlier = [
        {"role": "user", "content": lessons.canonical[-1].ask},
        {"role": "assistant", "content": lessons.canonical[-1].answer},
    ]
    full, half = torch.float32, torch.bfloat16
    scores = {
        "canonical questions, float32": share_right(folder, lessons.canonical, full),
        "canonical questions, bfloat16": share_right(folder, lessons.canonical, half),
        "canonical questions after a system message": share_right(folder, lessons.canonical, half, system),
        "canonical questions after another exchange": share_right(folder, lessons.canonical, half, earlier),
        "all known questions": share_right(folder, lessons.spelled_out, half),
        "held out: lower case, no question mark": share_right(folder, lessons.held_out, half),
        "held out: other words": share_right(folder, lessons.unseen, half),
    }
    for name, share in scores.items():
        print(f"{share:7.1%}  {name}")
    return scores


def write_card(folder: Path, scores: dict[str, float], parameters: int) -> None:
    """Writes the model card from the template beside this file, with the scores filled in."""
    table = "\n".join(f"| {name} | {share:.1%} |" for name, share in scores.items())
    template = string.Template((HERE / "card.md").read_text(encoding="utf-8"))
    card = template.substitute(scores=table, parameters=f"{parameters:,}", context=CONTEXT)
    (folder / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    """Reads the command line, trains, saves and reports."""
    parser = argparse.ArgumentParser(description="Train universal/starter, a toy.")
    parser.add_argument("--output", type=Path, default=Path("starter"), help="folder to write (default: starter)")
    parser.add_argument("--questions", type=Path, default=HERE / "questions.toml", help="questions with answers")
    parser.add_argument("--steps", type=int, default=2600, help="training steps (default: 2600)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    arguments = parser.parse_args()

    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    lessons = read_lessons(arguments.questions)
    tokenizer = train_tokenizer(lessons)
    model = build_model(tokenizer)
    print(f"{len(lessons.canonical)} answers, {len(lessons.known)} questions, {model.num_parameters():,} parameters")
    loss = train(model, batches(Teacher(lessons, arguments.seed), tokenizer), arguments.steps)
    # bfloat16 halves the file; the scores below are those of the rounded weights.
    model.to(torch.bfloat16).save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)
    print(f"loss {loss:.4f}")
    write_card(arguments.output, report(arguments.output, lessons), model.num_parameters())


if __name__ == "__main__":
    main()
