"""The attention module by itself."""

import pytest
import torch

from hccfeat.errors import ConfigError
from hccfeat.models.attention import TokenAttention


def attention(width: int = 12, heads: int = 3, **options: bool) -> TokenAttention:
    torch.manual_seed(0)
    return TokenAttention(width, heads, dropout=0.5, attention_dropout=0.5, layer_norm_eps=1e-5, **options)


def test_attention_maps_reproduce_what_attend_gives() -> None:
    module, tokens = attention().eval(), torch.randn(2, 5, 12)
    maps = module.attention_weights(tokens)
    assert maps.shape == (2, 3, 5, 5)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 3, 5))
    values = module.qkv(tokens)[..., 24:].view(2, 5, 3, 4).transpose(1, 2)
    mixed = (maps @ values).transpose(1, 2).reshape(2, 5, 12)
    torch.testing.assert_close(module.projection(mixed), module.attend(tokens))


def test_attention_maps_have_no_dropout_and_carry_gradients() -> None:
    module, tokens = attention().train(), torch.randn(2, 5, 12, requires_grad=True)
    maps = module.attention_weights(tokens)
    assert torch.equal(maps, module.attention_weights(tokens))
    maps[..., 0].sum().backward()
    assert float(tokens.grad.abs().sum()) > 0


def test_the_softmax_is_a_switch() -> None:
    plain, with_softmax = attention(softmax=False).eval(), attention().eval()
    tokens = torch.randn(2, 5, 12)
    torch.testing.assert_close(plain(tokens).softmax(dim=1), with_softmax(tokens))
    assert set(plain.state_dict()) == set(with_softmax.state_dict())


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="heads: is 5, which does not divide the token width 12"):
        attention(heads=5)
