"""Seeds derived from names, so that any step of a training can be repeated without its history."""

import hashlib


def derived_seed(*parts: int | str) -> int:
    """Give a seed in 0 .. 2**63 - 1 that depends on every part, for instance (seed, "epoch", 3).

    A training that reseeds itself from (seed, epoch, step) needs no random state in its checkpoints: a resumed
    run draws what an undisturbed one would have drawn.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
