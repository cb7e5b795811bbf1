"""Names of places in the page: what links and guideline items point at."""

import re


def slug(text: str) -> str:
    """Return ``text`` as part of an HTML id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def endpoint_key(index: int, endpoint: str) -> str:
    """Return how the ids of an endpoint's parts begin; its position makes them unique whatever it is called."""
    return f"e{index}-{slug(endpoint)}"


def block_id(index: int, endpoint: str, block: str) -> str:
    """Return the id of one part of an endpoint's section, such as ``calibration``.

    Parameters
    ----------
    index : int
        Position of the endpoint in the report.
    endpoint : str
        Its name.
    block : str
        A name of ``reports/sections.toml``.
    """
    return f"{endpoint_key(index, endpoint)}-{block}"
