"""Gated attention pooling."""

import torch

from hccfeat.models.mil import GatedAttentionMil


def network() -> GatedAttentionMil:
    torch.manual_seed(1)
    return GatedAttentionMil(5, hidden=8, attention=4).eval()


def test_weights_sum_to_one_and_padding_counts_for_nothing() -> None:
    net = network()
    bags = torch.randn(2, 6, 5)
    present = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    logits, weights = net(bags, present)
    assert logits.shape == (2,)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert (weights[1, 4:] == 0).all()
    alone, short = net(bags[1:, :4], torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(alone[0], logits[1])
    torch.testing.assert_close(short[0], weights[1, :4])


def test_the_order_of_patches_does_not_matter() -> None:
    net = network()
    bag = torch.randn(1, 7, 5)
    turned = torch.randperm(7)
    everything = torch.ones(1, 7, dtype=torch.bool)
    (one, weights), (two, moved) = net(bag, everything), net(bag[:, turned], everything)
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(weights[:, turned], moved)


def test_the_weights_are_those_of_the_paper() -> None:
    net = network()
    bag = torch.randn(1, 3, 5)
    h = torch.relu(net.embed[0](bag[0]))
    scores = [
        net.weigh.weight[0] @ (torch.tanh(net.value(one)) * torch.sigmoid(net.gate(one))) + net.weigh.bias[0]
        for one in h
    ]
    expected = torch.stack(scores).softmax(dim=0)
    logits, weights = net(bag, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(weights[0], expected)
    torch.testing.assert_close(logits, net.classify(expected @ h))
