"""A model and a tokenizer of transformers, tiny and made from nothing."""

import torch
import transformers


def make():
    return {"model": model(), "tokenizer": tokenizer()}


def model(kind=transformers.BertForSequenceClassification):
    torch.manual_seed(0)
    return kind(
        transformers.BertConfig(
            vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
            max_position_embeddings=16,
        )
    ).eval()  # fmt: skip


def tokenizer():
    import tokenizers

    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")


def others():
    return {"a model with tied weights": model(transformers.BertForMaskedLM), "a tokenizer": tokenizer()}


def same(made, got):
    if isinstance(made, dict):
        assert set(got) == set(made)
        for name, member in made.items():
            same(member, got[name])
    elif isinstance(made, transformers.PreTrainedModel):
        assert type(got) is type(made)
        assert all(torch.equal(got.state_dict()[name], tensor) for name, tensor in made.state_dict().items())
        words = torch.tensor([[1, 2, 0]])
        with torch.no_grad():
            torch.testing.assert_close(got(words).logits, made(words).logits)
    else:
        assert got("a b c").input_ids == made("a b c").input_ids


def refused():
    mine = type("Mine", (transformers.BertModel,), {})
    return {
        "a class of somebody else's": model(mine),
        "a name that is no folder": {"../up": tokenizer()},
        "something else beside a model": {"model": model(), "b": object()},
    }
